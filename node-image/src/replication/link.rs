//! Following a primary: connect, greet, ask, take a full sync in, apply the stream.
//!
//! ```text
//!   Resting ─> Connecting ─> Greeting (PING, AUTH, REPLCONF...) ─> Asking (PSYNC)
//!      ^                                                     ├─ +CONTINUE ───> Streaming
//!      │                                                     └─ +FULLRESYNC ─> Receiving ─┘
//!      └──────────────── any error, silence, the other side closes
//! ```
//!
//! Each attempt asks for the stream behind this node's own offset, so a short break costs only
//! what was missed. When a link breaks inside a transaction, its first commands stay queued with
//! the client that stands for the primary: the stream goes on behind them. Not known here: what a
//! replica of ours is; which primary is right.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_store::Store;
use holdfast_wire::resp::request::{Limits, Parser, Step, encode};
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::handshake::{Greeting, answered, greeted, greetings};
use super::history::StreamId;
use super::receive::Receive;
use super::{PrimaryAddress, feed, resolve};
use crate::config::Name;
use crate::core::Core;
use crate::event_loop::REPLICATION_TOKENS;
use crate::shared::Shared;
use crate::tls::server_name;
use crate::transport::Socket;

/// Rest between two attempts.
const RETRY_MS: i64 = 1000;
/// How often the offset is acknowledged.
const ACK_MS: i64 = 1000;
/// Time that one turn spends on what has come, so that readers of this replica are served too.
const TURN_BUDGET: Duration = Duration::from_millis(5);
const READ_BYTES: usize = 16 << 10;
/// A longer answer to a greeting is none.
const LINE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) enum Stage {
    Resting {
        until_ms: i64,
    },
    Connecting,
    /// Greetings that are still to be said; the first one has been sent.
    Greeting {
        left: VecDeque<Greeting>,
    },
    Asking,
    Receiving {
        id: StreamId,
        offset: u64,
        receive: Box<Receive>,
    },
    Streaming,
}

/// The primary that is followed, and the link to it.
#[derive(Debug)]
pub struct Following {
    /// Where it is.
    pub address: PrimaryAddress,
    /// When it was last heard.
    pub last_contact_ms: Option<i64>,
    /// Since when the link is down; none while it is up.
    pub down_since_ms: Option<i64>,
    pub(super) stage: Stage,
    socket: Option<Socket>,
    input: Vec<u8>,
    at: usize,
    parser: Parser,
    output: Vec<u8>,
    pub(super) stage_since_ms: i64,
    acked_ms: i64,
    /// The socket may have bytes that nobody has read.
    more: bool,
    wants_ack: bool,
}

impl Following {
    /// Nothing is connected yet.
    pub fn new(address: PrimaryAddress, now_ms: i64) -> Self {
        Following {
            address,
            last_contact_ms: None,
            down_since_ms: Some(now_ms),
            stage: Stage::Resting { until_ms: 0 },
            socket: None,
            input: Vec::new(),
            at: 0,
            parser: Parser::new(),
            output: Vec::new(),
            stage_since_ms: now_ms,
            acked_ms: 0,
            more: false,
            wants_ack: false,
        }
    }

    /// The stream is applied as it comes.
    pub fn is_streaming(&self) -> bool {
        matches!(self.stage, Stage::Streaming)
    }

    /// A full sync is coming in: bytes so far.
    pub fn receiving_bytes(&self) -> Option<u64> {
        match &self.stage {
            Stage::Receiving { receive, .. } => Some(receive.received_bytes()),
            _ => None,
        }
    }

    /// In ROLE's words.
    pub fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Resting { .. } => "connect",
            Stage::Connecting => "connecting",
            Stage::Greeting { .. } | Stage::Asking => "handshake",
            Stage::Receiving { .. } => "sync",
            Stage::Streaming => "connected",
        }
    }

    /// Bytes that came and are not applied.
    pub fn lag_bytes(&self) -> u64 {
        if self.is_streaming() { (self.input.len() - self.at) as u64 } else { 0 }
    }

    /// There is more to read or to apply.
    pub fn wants_turn(&self) -> bool {
        self.more
    }
}

/// The link's place in the poll.
const TOKEN: Token = Token(REPLICATION_TOKENS.start);

/// Ends the connection; the next attempt comes by itself.
pub fn drop_link(core: &mut Core) {
    let now_ms = core.now_ms;
    let Some(following) = &mut core.replication.following else { return };
    if let Some(mut socket) = following.socket.take() {
        socket.say_goodbye();
        if let Err(error) = core.registry.deregister(&mut socket) {
            tracing::debug!("failed to stop watching the primary's socket: {error}");
        }
    }
    if following.is_streaming() {
        following.down_since_ms = Some(now_ms);
    }
    let before =
        std::mem::replace(&mut following.stage, Stage::Resting { until_ms: now_ms + RETRY_MS });
    following.stage_since_ms = now_ms;
    following.input.clear();
    following.at = 0;
    following.parser = Parser::new();
    following.output.clear();
    following.more = false;
    if let Stage::Receiving { receive, .. } = before {
        // What had come of a snapshot may be large: it is freed in slices.
        core.store.bury(receive.into_store().0);
    }
}

fn fail(core: &mut Core, why: &str) {
    tracing::warn!("MASTER <-> REPLICA sync: {why}");
    drop_link(core);
}

/// Connects when it is time, and gives up what is silent.
pub fn cron(core: &mut Core) {
    let timeout_ms = core.config.int(Name::ReplTimeout) * 1000;
    let now_ms = core.now_ms;
    let Some(following) = &core.replication.following else { return };
    let heard_ms = following.last_contact_ms.unwrap_or(0).max(following.stage_since_ms);
    match &following.stage {
        Stage::Resting { until_ms } if now_ms >= *until_ms => connect(core),
        Stage::Resting { .. } => {}
        _ if now_ms - heard_ms > timeout_ms => fail(core, "the primary is silent"),
        Stage::Streaming if now_ms - following.acked_ms >= ACK_MS => ack(core),
        // A line feed keeps a primary patient that waits for the snapshot to be loaded.
        Stage::Receiving { .. } if now_ms - following.acked_ms >= ACK_MS => {
            send(core, b"\n".to_vec());
            if let Some(following) = &mut core.replication.following {
                following.acked_ms = now_ms;
            }
        }
        _ => {}
    }
}

fn connect(core: &mut Core) {
    let Some(following) = &mut core.replication.following else { return };
    following.stage_since_ms = core.now_ms;
    following.stage = Stage::Resting { until_ms: core.now_ms + RETRY_MS };
    // A lame primary has lost what this node may still hold.
    if following.address.host.is_empty() || core.routing.primary_lame {
        return;
    }
    let socket = open(&core.shared, &following.address);
    let mut socket = match socket {
        Ok(socket) => socket,
        Err(error) => {
            let PrimaryAddress { host, port, .. } = &following.address;
            return tracing::warn!("failed to connect to MASTER {host}:{port}: {error}");
        }
    };
    let interest = Interest::READABLE | Interest::WRITABLE;
    if let Err(error) = core.registry.register(&mut socket, TOKEN, interest) {
        return tracing::warn!("failed to watch the primary's socket: {error}");
    }
    following.socket = Some(socket);
    following.stage = Stage::Connecting;
}

/// A connection on its way, by TLS where replication speaks it.
fn open(shared: &Shared, address: &PrimaryAddress) -> io::Result<Socket> {
    let at = resolve(address)?;
    let socket = TcpStream::connect(at)?;
    if !shared.config.load().yes(Name::TlsReplication) {
        return Ok(Socket::Plain(socket));
    }
    let contexts = shared.tls.contexts().ok_or(io::ErrorKind::NotConnected)?;
    // REPLICAOF names a host, a cluster the address and the host name that goes with it.
    let named = if address.hostname.is_empty() { &address.host } else { &address.hostname };
    Socket::opened(socket, Arc::clone(&contexts.client), server_name(named, at.ip()))
}

/// The socket is ready.
pub fn on_ready(core: &mut Core, token: Token, readable: bool, writable: bool) {
    let Some(following) = &core.replication.following else { return };
    if token != TOKEN || following.socket.is_none() {
        return;
    }
    if matches!(following.stage, Stage::Connecting) {
        return finish_connect(core, writable);
    }
    if writable {
        flush(core);
    }
    if readable && let Some(following) = &mut core.replication.following {
        following.more = true;
    }
}

fn finish_connect(core: &mut Core, writable: bool) {
    let Some(following) = &mut core.replication.following else { return };
    let Some(socket) = &following.socket else { return };
    let error = socket.take_error().ok().flatten();
    if let Some(error) = error {
        return fail(core, &format!("failed to connect: {error}"));
    }
    match socket.peer_addr() {
        Ok(_) => {}
        Err(_) if !writable => return,
        Err(error) => return fail(core, &format!("failed to connect: {error}")),
    }
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!("failed to set a socket option: {error}");
    }
    following.last_contact_ms = Some(core.now_ms);
    let greetings = greetings(core);
    let Some(following) = &mut core.replication.following else { return };
    let first = greetings.front().map(|greeting| greeting.request.clone());
    following.stage = Stage::Greeting { left: greetings };
    following.stage_since_ms = core.now_ms;
    send(core, first.unwrap_or_default());
}

pub(super) fn send(core: &mut Core, bytes: Vec<u8>) {
    if let Some(following) = &mut core.replication.following {
        following.output.extend_from_slice(&bytes);
    }
    flush(core);
}

fn flush(core: &mut Core) {
    let Some(following) = &mut core.replication.following else { return };
    let Some(socket) = &mut following.socket else { return };
    while !following.output.is_empty() {
        match socket.write(&following.output) {
            Ok(written) => drop(following.output.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return fail(core, &format!("failed to write: {error}")),
        }
    }
    if let Err(error) = socket.push() {
        fail(core, &format!("failed to write: {error}"));
    }
}

/// Tells the primary how far this node is.
fn ack(core: &mut Core) {
    let offset = core.log.end();
    if let Some(following) = &mut core.replication.following {
        following.acked_ms = core.now_ms;
        following.wants_ack = false;
    }
    send(core, encode(&["REPLCONF", "ACK", &offset.to_string()]));
}

/// The primary asks for an ACK; it goes out when this turn's stream is applied.
pub fn want_ack(core: &mut Core) {
    if let Some(following) = &mut core.replication.following {
        following.wants_ack = true;
    }
}

/// The stream rests while this node could not keep what it brings.
pub fn is_held_back(core: &Core) -> bool {
    core.replication.following.as_ref().is_some_and(Following::is_streaming)
        && crate::waiting::must_stream_wait(core)
}

/// Reads what has come, and what the last turn left. This has its place among the sockets: what
/// is applied at the end of a turn would be missed by those who have read the turn's log already.
pub fn read_some(core: &mut Core) {
    if is_held_back(core) {
        // The silence is this node's own.
        let now_ms = core.now_ms;
        if let Some(following) = &mut core.replication.following {
            following.last_contact_ms = Some(now_ms);
        }
        return;
    }
    if core.replication.following.as_ref().is_some_and(|following| following.more) {
        read(core);
        core.end_unit();
    }
}

/// The end of a turn: answers GETACK.
pub fn on_turn(core: &mut Core) {
    if core.replication.following.as_ref().is_some_and(|following| following.wants_ack) {
        ack(core);
    }
}

fn read(core: &mut Core) {
    let mut scratch = vec![0; READ_BYTES];
    let began = Instant::now();
    loop {
        let Some(following) = &mut core.replication.following else { return };
        let Some(socket) = &mut following.socket else { return };
        following.more = began.elapsed() >= TURN_BUDGET;
        if following.more {
            return;
        }
        match socket.read(&mut scratch) {
            Ok(0) => return fail(core, "the primary closed the connection"),
            Ok(count) => {
                following.last_contact_ms = Some(core.now_ms);
                let bytes = scratch.get(..count).unwrap_or_default();
                if let Err(why) = take(core, bytes) {
                    return fail(core, &why);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return fail(core, &format!("failed to read: {error}")),
        }
    }
}

fn take(core: &mut Core, bytes: &[u8]) -> Result<(), String> {
    let now_ms = core.now_ms;
    let Some(following) = &mut core.replication.following else { return Ok(()) };
    if let Stage::Receiving { receive, .. } = &mut following.stage {
        return match receive.take(bytes, now_ms)? {
            None => Ok(()),
            Some(behind) => {
                exchange(core);
                take(core, &behind)
            }
        };
    }
    following.input.extend_from_slice(bytes);
    if following.is_streaming() { apply(core) } else { answers(core) }
}

/// Lines that answer greetings and PSYNC.
fn answers(core: &mut Core) -> Result<(), String> {
    loop {
        let Some(following) = &mut core.replication.following else { return Ok(()) };
        let Some(end) = following.input.iter().position(|byte| *byte == b'\n') else {
            let hopeless = following.input.len() > LINE_BYTES_MAX;
            return if hopeless { Err("the primary's answer has no end".into()) } else { Ok(()) };
        };
        let line: Vec<u8> = following.input.drain(..=end).collect();
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        match &mut following.stage {
            Stage::Greeting { .. } => greeted(core, line)?,
            Stage::Asking => {
                answered(core, line)?;
                // What stands behind belongs to the snapshot or to the stream.
                let Some(following) = &mut core.replication.following else { return Ok(()) };
                let rest = std::mem::take(&mut following.input);
                return take(core, &rest);
            }
            _ => return Ok(()),
        }
    }
}

pub(super) fn begin_stream(core: &mut Core) {
    let now_ms = core.now_ms;
    core.replication.has_copy = true;
    if let Some(following) = &mut core.replication.following {
        following.stage = Stage::Streaming;
        following.stage_since_ms = now_ms;
        following.down_since_ms = None;
        following.parser = Parser::new();
    }
    ack(core);
}

/// The snapshot is complete: it takes the place of the old data.
fn exchange(core: &mut Core) {
    let Some(following) = &mut core.replication.following else { return };
    let stage = std::mem::replace(&mut following.stage, Stage::Streaming);
    let Stage::Receiving { id, offset, receive } = stage else { return };
    let (store, db, keys): (Store, usize, u64) = receive.into_store();
    core.end_unit();
    core.store.adopt(store);
    core.touched_all(None);
    core.invalidate_all();
    core.log.restart_at(offset);
    core.replication.history.replaced(id);
    crate::commands::transaction::discard(core, core.primary_client);
    if let Some(primary) = core.clients.get_mut(core.primary_client) {
        primary.db = db;
    }
    feed::close_all(core);
    crate::aof::on_new_data(core);
    tracing::info!("MASTER <-> REPLICA sync: Finished with success, {keys} keys");
    begin_stream(core);
}

/// Applies every whole request that has come.
fn apply(core: &mut Core) -> Result<(), String> {
    let limits = Limits::authenticated(usize::MAX >> 1);
    let Some(following) = &mut core.replication.following else { return Ok(()) };
    let input = std::mem::take(&mut following.input);
    let mut parser = std::mem::take(&mut following.parser);
    let mut at = following.at;
    let result = apply_all(core, &input, &mut parser, &mut at, &limits);
    let Some(following) = &mut core.replication.following else { return result };
    following.input = input;
    following.parser = parser;
    following.at = at;
    if following.at > READ_BYTES || following.at == following.input.len() {
        following.input.drain(..following.at);
        following.at = 0;
    }
    result
}

fn apply_all(
    core: &mut Core,
    input: &[u8],
    parser: &mut Parser,
    at: &mut usize,
    limits: &Limits,
) -> Result<(), String> {
    loop {
        let step = parser.next(input, *at, limits).map_err(|error| error.to_string())?;
        match step {
            Step::Incomplete => return Ok(()),
            Step::Request { end } => {
                let raw = input.get(*at..end).unwrap_or_default();
                let arg = |range: &std::ops::Range<usize>| input.get(range.clone());
                let args: Vec<&[u8]> = parser.args().iter().filter_map(arg).collect();
                core.apply_replicated(&args, raw);
                *at = end;
            }
            Step::Inline { words, end } => {
                let raw = input.get(*at..end).unwrap_or_default();
                let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                if !args.is_empty() {
                    core.apply_replicated(&args, raw);
                }
                *at = end;
            }
        }
    }
}
