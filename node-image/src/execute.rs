//! From a request to a reply.
//!
//! What is checked, in this order, before a handler runs: the command exists, the number of
//! arguments, authentication, the keys' slot is served here, memory, what replication and the
//! disk allow, the transaction that is being put together, pauses. The order is part of the
//! contract: which of two errors a client sees is known to test suites. Not known here: sockets,
//! and what commands do.

mod ahead;
mod checks;
pub mod from_script;
mod unblock;

use std::time::Instant;

use holdfast_wire::resp::ReplyBuf;
use holdfast_wire::resp::request::{Limits, Step};
use holdfast_wire::slot::Slot;

use crate::clients::{Blocked, Client, ClientId, ClientKind, ReplyMode};
use crate::commands::{
    AnswerToken, Command, CommandError, Ctx, Flags, Origin, Outcome, TimeoutReply, table,
};
use crate::config::Name;
use crate::core::Core;
use crate::monitor::Source;

pub(crate) use unblock::forget;
pub use unblock::{expire_blocked, serve_touched, unblock};

/// Requests of one client that are run in one go, before others have their turn.
const BATCH_MAX: usize = 1000;

/// Bytes of replies after which a client's batch ends, so that they can leave first; with so many
/// that wait for a client without a limit of its own, its further requests wait too.
const BATCH_REPLY_BYTES_MAX: usize = 1024 * 1024;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    /// It was run or refused.
    Yes,
    /// It must wait until a pause is over; it has not been touched.
    Paused,
}

/// Runs some of the requests that a client has sent; more of them have their turn later. A client
/// that sends nothing more ends with the last of its replies, unless it would have to wait for
/// others to get further ones.
pub(crate) fn go_on(core: &mut Core, id: ClientId) {
    if run_input(core, id) {
        core.to_resume.push(id);
        return;
    }
    // Promised replies and held back requests come back to here.
    let ends = |client: &Client| client.half_closed && client.promised == 0 && !client.held_back;
    if core.clients.get(id).is_some_and(ends) {
        core.close_after_reply(id);
    }
}

/// Runs the requests that a client has sent, until one must wait. Gives true when more whole
/// requests may be left.
fn run_input(core: &mut Core, id: ClientId) -> bool {
    let Some(client) = core.clients.get_mut(id) else { return false };
    if client.is_waiting() || client.close_after_reply || client.close_now {
        return false;
    }
    if holds_back(core, id) {
        return false;
    }
    let Some(client) = core.clients.get_mut(id) else { return false };
    let input = std::mem::take(&mut client.input);
    client.running_bytes = input.len() - client.input_start;
    let mut parser = std::mem::take(&mut client.parser);
    let mut at = client.input_start;
    let mut reply = open_reply(core, id);
    core.executing = Some(id);
    let mut more = false;
    let waiting = reply.len();
    for count in 0.. {
        if count == BATCH_MAX || reply.len() > waiting + BATCH_REPLY_BYTES_MAX {
            more = true;
            break;
        }
        ahead::look(core, id, &input, at, count);
        let limits = limits_of(core, id);
        let ran = match parser.next(&input, at, &limits) {
            Ok(Step::Incomplete) => break,
            Ok(Step::Request { end }) => {
                let ran = run_ranges(core, id, &input, parser.args(), &mut reply);
                at = if ran == Ran::Paused { at } else { end };
                ran
            }
            Ok(Step::Inline { words, end }) => {
                let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let ran = run_request(core, id, &args, &mut reply);
                at = if ran == Ran::Paused { at } else { end };
                ran
            }
            Err(error) => {
                tracing::debug!("a client sent what is no request: {error}");
                reply.error(&format!("ERR {error}"));
                core.shared.stats.error_replies.add(1);
                core.observed.error("ERR");
                core.close_after_reply(id);
                Ran::Yes
            }
        };
        if !core.pushed_to_executing.is_empty() {
            reply.raw(&std::mem::take(&mut core.pushed_to_executing));
        }
        let Some(client) = core.clients.get_mut(id) else { break };
        if ran == Ran::Paused {
            client.paused = true;
            core.paused.push(id);
            break;
        }
        if client.is_waiting() || client.close_after_reply || client.close_now {
            break;
        }
    }
    core.executing = None;
    close_reply(core, id, reply);
    if let Some(client) = core.clients.get_mut(id) {
        client.input = input;
        client.input_start = at;
        client.running_bytes = 0;
        client.parser = parser;
        ahead::compact(&mut client.input, &mut client.input_start);
    }
    more
}

/// A client that does not read its replies gets no more of them for now. Where a limit says how
/// much may wait, it is the limit that ends it. What waits for a replica is the stream, and its
/// acknowledgements are not answered.
fn holds_back(core: &mut Core, id: ClientId) -> bool {
    let has_limit = core.config.int(Name::MaxmemoryClients) != 0
        || core.config.output_limit("normal") != (0, 0, 0);
    let Some(client) = core.clients.get_mut(id) else { return false };
    let full = client.output.len() > BATCH_REPLY_BYTES_MAX;
    client.held_back = full && !has_limit && client.kind == ClientKind::Normal;
    client.held_back
}

/// The client's replies have left: its requests may go on.
pub(crate) fn let_go_on(core: &mut Core, id: ClientId) {
    if let Some(client) = core.clients.get_mut(id)
        && client.held_back
        && client.output.len() <= BATCH_REPLY_BYTES_MAX
    {
        client.held_back = false;
        core.to_resume.push(id);
    }
}

fn limits_of(core: &Core, id: ClientId) -> Limits {
    match core.clients.get(id) {
        Some(client) if checks::is_admitted(core, client) => {
            Limits::authenticated(core.config.size(Name::ProtoMaxBulkLen))
        }
        _ => Limits::UNAUTHENTICATED,
    }
}

fn open_reply(core: &mut Core, id: ClientId) -> ReplyBuf {
    let after = core.reply_after();
    match core.clients.get_mut(id) {
        Some(client) => ReplyBuf::from_bytes(client.output.take_open(after), client.protocol),
        None => ReplyBuf::default(),
    }
}

fn close_reply(core: &mut Core, id: ClientId, reply: ReplyBuf) {
    let after = core.reply_after();
    if let Some(client) = core.clients.get_mut(id) {
        client.output.put_open(reply.into_bytes(), after);
        core.want_flush(id);
    }
}

fn run_ranges(
    core: &mut Core,
    id: ClientId,
    input: &[u8],
    ranges: &[std::ops::Range<usize>],
    reply: &mut ReplyBuf,
) -> Ran {
    // Most requests have few arguments: those need no allocation.
    const FEW: usize = 8;
    let arg = |range: &std::ops::Range<usize>| input.get(range.clone()).unwrap_or_default();
    if ranges.len() <= FEW {
        let mut few: [&[u8]; FEW] = [&[]; FEW];
        for (place, range) in few.iter_mut().zip(ranges) {
            *place = arg(range);
        }
        run_request(core, id, few.get(..ranges.len()).unwrap_or_default(), reply)
    } else {
        let all: Vec<&[u8]> = ranges.iter().map(arg).collect();
        run_request(core, id, &all, reply)
    }
}

/// Runs or refuses one request of a client.
fn run_request(core: &mut Core, id: ClientId, args: &[&[u8]], reply: &mut ReplyBuf) -> Ran {
    if args.is_empty() {
        return Ran::Yes;
    }
    let now_ms = core.now_ms;
    let mark = reply.mark();
    let mode = match core.clients.get_mut(id) {
        Some(client) => {
            client.active_ms = now_ms;
            let mode = client.reply_mode;
            if mode == ReplyMode::SkipNext {
                client.reply_mode = ReplyMode::On;
            }
            mode
        }
        None => return Ran::Yes,
    };
    let asking = core.clients.get_mut(id).is_some_and(|c| std::mem::take(&mut c.asking));
    core.bound_tracking_table();
    match checks::admit(core, id, args, asking) {
        checks::Admitted::Run { command, slot } => {
            if let Some(client) = core.clients.get_mut(id) {
                client.last_command = Some(command);
            }
            core.current_slot = slot;
            // What making room has brought about comes before the reply.
            reply.raw(&std::mem::take(&mut core.pushed_to_executing));
            run_and_finish(core, id, command, args, reply);
        }
        checks::Admitted::Queue { command } => {
            reply.raw(&std::mem::take(&mut core.pushed_to_executing));
            queue(core, id, command, args);
            reply.simple("QUEUED");
        }
        checks::Admitted::Refused { command, error } => {
            refuse(core, id, command, &error, reply);
        }
        checks::Admitted::Paused => {
            if let Some(client) = core.clients.get_mut(id) {
                client.asking = asking;
                client.reply_mode = mode;
            }
            return Ran::Paused;
        }
    }
    if !is_answered(core, id, mode) {
        reply.truncate(mark);
    }
    forget_caching(core, id);
    Ran::Yes
}

/// CLIENT CACHING speaks of the next command, or of the next transaction.
fn forget_caching(core: &mut Core, id: ClientId) {
    let Some(client) = core.clients.get_mut(id) else { return };
    let asked = client.last_command.is_some_and(|c| c.container == "client");
    if let (Some(tracking), None, false) = (&mut client.tracking, &client.multi, asked) {
        tracking.caching = false;
    }
}

/// Whether the request that has just run is answered (CLIENT REPLY). `before` is the mode in which
/// it came. OFF and SKIP themselves are not answered, ON is.
fn is_answered(core: &Core, id: ClientId, before: ReplyMode) -> bool {
    let Some(client) = core.clients.get(id) else { return true };
    let is_client_reply =
        client.last_command.is_some_and(|c| table::full_name(c) == ("client", "reply"));
    // What changes a subscription answers by a message, and messages are always sent.
    let messages = |c: &Command| c.flags.has(Flags::PUBSUB) && c.name.ends_with("subscribe");
    if client.last_command.is_some_and(messages) {
        return true;
    }
    client.reply_mode == ReplyMode::On && (before == ReplyMode::On || is_client_reply)
}

fn queue(core: &mut Core, id: ClientId, command: &'static Command, args: &[&[u8]]) {
    let owned = args.iter().map(|arg| arg.to_vec()).collect();
    if let Some(multi) = core.clients.get_mut(id).and_then(|client| client.multi.as_mut()) {
        multi.push(command, owned);
    }
}

fn refuse(
    core: &mut Core,
    id: ClientId,
    command: Option<&'static Command>,
    error: &CommandError,
    reply: &mut ReplyBuf,
) {
    let is_exec = command.is_some_and(|command| table::full_name(command) == ("", "exec"));
    // A redirection says where the whole transaction belongs; other refusals say that it is over.
    let redirects = ["MOVED ", "ASK ", "CLUSTERDOWN ", "TRYAGAIN ", "CROSSSLOT "];
    let ends_here = is_exec && !redirects.iter().any(|word| error.as_str().starts_with(word));
    let text = if ends_here {
        format!("EXECABORT Transaction discarded because of: {}", error.as_str())
    } else {
        error.as_str().to_owned()
    };
    reply.error(&text);
    core.shared.stats.error_replies.add(1);
    core.observed.error(&text);
    if let Some(command) = command {
        core.observed.of(command).rejected += 1;
    }
    if is_exec {
        crate::commands::transaction::discard(core, id);
    } else if let Some(multi) = core.clients.get_mut(id).and_then(|c| c.multi.as_mut()) {
        multi.aborted = true;
    }
}

/// Runs a command as a unit of work of its own and does what its outcome asks for.
fn run_and_finish(
    core: &mut Core,
    id: ClientId,
    command: &'static Command,
    args: &[&[u8]],
    reply: &mut ReplyBuf,
) {
    let db = core.clients.get(id).map_or(0, |client| client.db);
    let call = Call { id, db, command, origin: Origin::Client, in_exec: false, woken: false };
    match run(core, call, args, reply) {
        Outcome::Done => {}
        Outcome::Promised(token) => place_promise(core, id, token, reply),
        Outcome::Block(block) => {
            let args = args.iter().map(|arg| arg.to_vec()).collect();
            place_block(core, id, Blocked { block, db, command, args });
        }
        Outcome::BlockAs(block, args) => {
            place_block(core, id, Blocked { block, db, command, args });
        }
    }
    core.end_unit();
    unblock::serve_touched_within(core, id, reply);
}

fn place_block(core: &mut Core, id: ClientId, blocked: Blocked) {
    core.blocked.add(id, blocked.db, &blocked.block.keys, blocked.block.deadline_ms);
    if let Some(client) = core.clients.get_mut(id) {
        client.blocked = Some(Box::new(blocked));
    }
}

/// A command about to run.
#[derive(Clone, Copy)]
pub struct Call {
    /// Whose.
    pub id: ClientId,
    /// In which database.
    pub db: usize,
    /// Which.
    pub command: &'static Command,
    /// Where it comes from.
    pub origin: Origin,
    /// Inside EXEC.
    pub in_exec: bool,
    /// Run again because a key that it waits for was touched.
    pub woken: bool,
}

/// Runs a handler: counts, measures, writes the error if there is one.
pub fn run(core: &mut Core, call: Call, args: &[&[u8]], reply: &mut ReplyBuf) -> Outcome {
    let started = Instant::now();
    let mark = reply.mark();
    let Call { id, db, command, origin, in_exec, woken } = call;
    let now_ms = core.now_ms;
    crate::migration::before_run(core, db, command, args);
    let result = (command.handler)(
        &mut Ctx { core, reply, client: id, db, now_ms, command, args, origin, in_exec, woken },
        args,
    );
    core.collect_expired();
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    if micros >= 1000 && !in_exec {
        // What comes next in this turn, and clients that this has woken, must not live in the past.
        core.now_ms = crate::clock::unix_ms() as i64;
    }
    // A command that begins to wait, or goes on waiting, is counted when its wait ends.
    let waits = !in_exec && matches!(result, Ok(Outcome::Block(_) | Outcome::BlockAs(..)));
    let calls = u64::from(!waits);
    core.shared.stats.commands.add(calls);
    let count = core.observed.of(command);
    count.calls += calls;
    count.micros += micros;
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            count.failed += 1;
            reply.truncate(mark);
            reply.error(error.as_str());
            core.shared.stats.error_replies.add(1);
            core.observed.error(error.as_str());
            Outcome::Done
        }
    };
    if origin == Origin::Client {
        core.note_read(id, command, args);
    }
    let source = if core.scripts.running.is_some() { Source::Script } else { Source::Client(id) };
    core.show_to_monitors(source, db, command, args);
    let logged = !command.flags.has(Flags::SKIP_SLOWLOG) && core.scripts.running.is_none();
    if logged && core.latency.is_slow(micros) {
        let (address, name) = match core.clients.get(id) {
            Some(client) => (client.address.clone(), client.name.clone()),
            None => (String::new(), Vec::new()),
        };
        let args = crate::latency::redacted(command, args);
        core.latency.add(now_ms / 1000, micros, &args, &address, &name);
    }
    outcome
}

/// Keeps a place in the client's output for a reply that comes later.
pub fn place_promise(core: &mut Core, id: ClientId, token: AnswerToken, reply: &mut ReplyBuf) {
    let after = core.reply_after();
    let Some(client) = core.clients.get_mut(id) else { return };
    let so_far = std::mem::replace(reply, ReplyBuf::new(client.protocol)).into_bytes();
    client.output.put_open(so_far, after);
    client.output.promise(token);
    client.promised += 1;
}

/// What a blocked command gets where it must not wait, or when its time is over.
pub fn write_timeout_reply(kind: TimeoutReply, reply: &mut ReplyBuf) {
    match kind {
        TimeoutReply::Null => reply.null(),
        TimeoutReply::NullArray => reply.null_array(),
    }
}

/// Runs a request of a stream (see [`Core::apply_replicated`]). Gives the slot of its keys.
pub(crate) fn replay(
    core: &mut Core,
    id: ClientId,
    origin: Origin,
    args: &[&[u8]],
) -> Option<Slot> {
    match replay_with(core, id, origin, args) {
        Ok(slot) => slot,
        Err(error) => {
            let name = String::from_utf8_lossy(args.first().unwrap_or(&&b""[..])).into_owned();
            tracing::warn!(
                "== CRITICAL == This replica is sending an error to its master: '{}' after \
                 processing the command '{name}'",
                error.as_str()
            );
            None
        }
    }
}

/// Runs a request of the append-only file; an error means that the file holds what this node
/// cannot run.
pub(crate) fn replay_checked(
    core: &mut Core,
    id: ClientId,
    args: &[&[u8]],
) -> Result<(), CommandError> {
    replay_with(core, id, Origin::Load, args).map(|_| ())
}

fn replay_with(
    core: &mut Core,
    id: ClientId,
    origin: Origin,
    args: &[&[u8]],
) -> Result<Option<Slot>, CommandError> {
    let command = checks::find(args)?;
    let slot = if core.is_cluster() { checks::first_slot(command, args) } else { None };
    let in_multi = core.clients.get(id).is_some_and(|client| client.multi.is_some());
    if in_multi && !checks::ends_queueing(command) {
        queue(core, id, command, args);
        return Ok(slot);
    }
    let db = core.clients.get(id).map_or(0, |client| client.db);
    let mut reply = ReplyBuf::default();
    core.current_slot = slot;
    run(core, Call { id, db, command, origin, in_exec: false, woken: false }, args, &mut reply);
    core.end_unit();
    match reply.as_bytes() {
        [b'-', text @ ..] => {
            let text = String::from_utf8_lossy(text);
            Err(CommandError::text(text.trim_end()))
        }
        _ => Ok(slot),
    }
}
