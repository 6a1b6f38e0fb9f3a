//! One turn of a core: what came in, what is due, what goes out.
//!
//!   wait -> mailbox -> sockets -> clients that may go on -> what is due -> end of turn -> replies
//!
//! The end of a turn is where everybody who reads the effect log has a look (file, replicas,
//! migrations), before any reply of the turn leaves; so one write and one fsync serve all clients
//! of the turn. Sockets are edge-triggered: who stops reading before the socket is empty is put on
//! a list and read again in the next turn.
//!
//! Tokens: 0 the mailbox, 1.. listeners, [`REPLICATION_TOKENS`] belong to that module, clients
//! begin
//! at [`CLIENT_TOKENS`] with their place in the slab. Not known here: what requests say.

mod accept;
pub(crate) mod busy;
mod cron;
mod socket;

use std::ops::Range;
use std::sync::mpsc::Receiver;
use std::time::Duration;

pub use accept::{ListenError, listen, listen_at, listen_secured};
use mio::{Events, Poll, Token};
pub(crate) use socket::check_output_size;

use crate::clients::ClientId;
use crate::clock::unix_ms;
use crate::core::Core;
use crate::execute;
use crate::latency::Stopwatch;
use crate::messages::ToCore;
use crate::{aof, bus, disk, migration, replication, shutdown};

/// Token of the mailbox's waker.
pub const MAILBOX: Token = Token(0);
/// Tokens of listeners.
const LISTENERS: Range<usize> = 1..0x100;
/// Tokens that [`crate::replication`] may use; their events go to `replication::on_ready`.
pub const REPLICATION_TOKENS: Range<usize> = 0x100..0x200;
/// The first client's token.
const CLIENT_TOKENS: usize = 0x1000;

/// Bytes that one read asks for.
const READ_BYTES: usize = 64 * 1024;

/// What the poll says of one socket.
struct Ready {
    token: Token,
    readable: bool,
    writable: bool,
    /// The other side sends nothing more.
    ends: bool,
}

impl Ready {
    fn of(event: &mio::event::Event) -> Self {
        let ends = event.is_read_closed() || event.is_error();
        let readable = event.is_readable() || ends;
        Ready { token: event.token(), readable, writable: event.is_writable(), ends }
    }
}

/// The loop around a core.
pub struct EventLoop {
    poll: Poll,
    events: Events,
    mailbox: Receiver<ToCore>,
    scratch: Box<[u8]>,
    /// Listeners that had more connections than one turn takes.
    to_accept: bool,
    next_tick_ms: i64,
    ticks: u64,
}

impl EventLoop {
    /// A loop without listeners.
    pub fn new(poll: Poll, mailbox: Receiver<ToCore>) -> Self {
        EventLoop {
            poll,
            events: Events::with_capacity(1024),
            mailbox,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            to_accept: false,
            next_tick_ms: 0,
            ticks: 0,
        }
    }

    /// Runs until the node is to end; gives the exit code.
    pub fn run(&mut self, core: &mut Core) -> u8 {
        loop {
            self.turn(core, None);
            if let Some(code) = core.exit_code {
                self.last_words(core);
                return code;
            }
        }
    }

    /// One turn. Waits for events at most as long as nothing is due, and at most `wait_ms`.
    pub fn turn(&mut self, core: &mut Core, wait_ms: Option<u64>) {
        let wait = self.may_wait(core, wait_ms);
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            tracing::warn!("failed to wait for events: {error}");
        }
        let mut watch = Stopwatch::start();
        core.now_ms = unix_ms() as i64;
        core.shared.stats.core_tick_ms.set(core.now_ms);
        self.read_mailbox(core);
        watch.passed("mailbox");
        self.serve_sockets(core);
        watch.passed("sockets");
        self.resume_clients(core);
        execute::expire_blocked(core);
        watch.passed("resumed");
        if core.now_ms >= self.next_tick_ms {
            self.tick(core);
            watch.passed("tick");
        }
        self.end_turn(core, &mut watch);
        watch.stop(&core.shared.stats);
    }

    fn may_wait(&self, core: &Core, wait_ms: Option<u64>) -> Duration {
        let busy = !core.to_read.is_empty()
            || self.to_accept
            || !core.to_resume.is_empty()
            || !core.to_flush.is_empty()
            || !core.to_close.is_empty()
            || aof::wants_turn(core)
            || replication::wants_turn(core)
            || migration::wants_turn(core);
        if busy {
            return Duration::ZERO;
        }
        let now_ms = unix_ms() as i64;
        let due_ms = core.blocked.next_deadline_ms().unwrap_or(i64::MAX).min(self.next_tick_ms);
        let left = u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0);
        Duration::from_millis(left.min(wait_ms.unwrap_or(u64::MAX)).min(1000))
    }

    fn read_mailbox(&mut self, core: &mut Core) {
        while let Ok(message) = self.mailbox.try_recv() {
            match message {
                ToCore::Bus(message) => bus::on_message(core, message),
                ToCore::Disk(message) => disk::on_message(core, message),
                ToCore::Answer { token, reply } => core.answer(token, |out| match reply {
                    Ok(write) => write(out),
                    Err(error) => out.error(error.as_str()),
                }),
                ToCore::Signal => shutdown::on_signal(core),
            }
            core.end_unit();
        }
    }

    fn serve_sockets(&mut self, core: &mut Core) {
        let ready: Vec<Ready> = self.events.iter().map(Ready::of).collect();
        self.events.clear();
        for id in std::mem::take(&mut core.to_read) {
            self.read_client(core, id, true);
        }
        if std::mem::take(&mut self.to_accept) {
            self.accept_all(core);
        }
        for Ready { token, readable, writable, ends } in ready {
            match token.0 {
                0 => {}
                at if LISTENERS.contains(&at) => self.accept_all(core),
                at if REPLICATION_TOKENS.contains(&at) => {
                    replication::on_ready(core, token, readable, writable);
                    core.end_unit();
                }
                at => {
                    let place = at - CLIENT_TOKENS.min(at);
                    let Some(id) = core.clients.at(place) else { continue };
                    if writable {
                        core.want_flush(id);
                    }
                    if readable {
                        self.read_client(core, id, ends);
                    }
                }
            }
        }
        replication::read_some(core);
    }

    /// Clients whose requests waited for something that has come.
    fn resume_clients(&mut self, core: &mut Core) {
        self.resume_paused(core);
        for id in std::mem::take(&mut core.to_resume) {
            execute::go_on(core, id);
        }
    }

    /// Who waits for the end of a pause or for a key on its way tries again; who must wait on is
    /// put on the list again.
    fn resume_paused(&mut self, core: &mut Core) {
        if core.pauses.stops(core.now_ms).is_some() {
            return;
        }
        for id in std::mem::take(&mut core.paused) {
            if let Some(client) = core.clients.get_mut(id) {
                client.paused = false;
                core.to_resume.push(id);
            }
        }
    }

    fn end_turn(&mut self, core: &mut Core, watch: &mut Stopwatch) {
        execute::serve_touched(core);
        core.end_unit();
        shutdown::on_turn(core);
        migration::on_turn(core);
        core.end_unit();
        aof::on_turn(core);
        watch.passed("files");
        replication::on_turn(core);
        watch.passed("replication");
        core.log.end_turn();
        core.broadcast_changes();
        for id in std::mem::take(&mut core.to_flush) {
            self.flush_client(core, id);
        }
        core.evict_clients();
        for id in std::mem::take(&mut core.to_close) {
            self.drop_client(core, id);
        }
    }

    /// Before the process ends, replies that may leave do so.
    fn last_words(&mut self, core: &mut Core) {
        let waiting: Vec<ClientId> = core.clients.iter().map(|client| client.id).collect();
        for id in waiting {
            self.flush_client(core, id);
        }
    }
}
