//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Requests are queued with the client; EXEC runs them one after the other as one unit of work,
//! so that their effects enter the log as one transaction. Not known here: what they do.

use holdfast_wire::slot::key_slot;

use super::{Command, CommandError, Ctx, Flags, Group, KeySpec, KeyUse, Outcome};
use crate::clients::{ClientId, Multi};
use crate::core::Core;
use crate::execute::{self, Call};

const COMMON: Flags =
    Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "multi",
        arity: 1,
        flags: COMMON,
        since: "1.2.0",
        summary: "Starts a transaction.",
        group: Group::Transactions,
        complexity: "O(1)",
        handler: multi,
        ..Command::BLANK
    },
    Command {
        name: "exec",
        arity: 1,
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG),
        since: "1.2.0",
        summary: "Executes all commands in a transaction.",
        group: Group::Transactions,
        complexity: "Depends on commands in the transaction",
        handler: exec,
        ..Command::BLANK
    },
    Command {
        name: "discard",
        arity: 1,
        flags: COMMON,
        since: "2.0.0",
        summary: "Discards a transaction.",
        group: Group::Transactions,
        complexity: "O(N), when N is the number of queued commands",
        handler: discard_command,
        ..Command::BLANK
    },
    Command {
        name: "watch",
        arity: -2,
        flags: COMMON,
        keys: &[KeySpec::rest(1, 1, KeyUse::ReadMeta)],
        since: "2.2.0",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        group: Group::Transactions,
        complexity: "O(1) for every key.",
        handler: watch,
        ..Command::BLANK
    },
    Command {
        name: "unwatch",
        arity: 1,
        flags: COMMON,
        since: "2.2.0",
        summary: "Forgets about watched keys of a transaction.",
        group: Group::Transactions,
        complexity: "O(1)",
        handler: unwatch_command,
        ..Command::BLANK
    },
];

fn multi(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    if let Some(client) = ctx.core.clients.get_mut(ctx.client) {
        if client.multi.is_some() {
            return Err(CommandError::new("ERR MULTI calls can not be nested"));
        }
        client.multi = Some(Multi::default());
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn exec(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let id = ctx.client;
    let Some(client) = ctx.core.clients.get_mut(id) else { return Ok(Outcome::Done) };
    let Some(multi) = client.multi.take() else {
        return Err(CommandError::new("ERR EXEC without MULTI"));
    };
    let expired = watched_key_expired(ctx.core, id, ctx.now_ms);
    let failed = ctx.core.clients.get(id).is_some_and(|c| c.watch_failed) || expired;
    unwatch(ctx.core, id);
    if multi.aborted {
        return Err(CommandError::new(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if failed {
        ctx.reply.null_array();
        return Ok(Outcome::Done);
    }
    ctx.reply.array(multi.queued.len());
    for (command, args) in &multi.queued {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        run_queued(ctx, command, &args);
    }
    Ok(Outcome::Done)
}

fn run_queued(ctx: &mut Ctx<'_>, command: &'static Command, args: &[&[u8]]) {
    let id = ctx.client;
    let db = ctx.core.clients.get(id).map_or(0, |client| client.db);
    if ctx.core.is_cluster()
        && let Some(first) = crate::keys::positions(command, args).and_then(|p| p.first().copied())
    {
        ctx.core.current_slot = args.get(first).map(|key| key_slot(key));
    }
    // Rights may have gone since it was queued.
    if let Err(denied) = crate::acl::check(ctx.core, id, command, args, "multi") {
        ctx.reply.error(crate::acl::refusal_at_exec(denied).as_str());
        return;
    }
    let call = Call { id, db, command, origin: ctx.origin, in_exec: true, woken: false };
    match execute::run(ctx.core, call, args, ctx.reply) {
        Outcome::Done => {}
        Outcome::Block(block) | Outcome::BlockAs(block, _) => {
            execute::write_timeout_reply(block.timeout_reply, ctx.reply);
        }
        Outcome::Promised(token) => execute::place_promise(ctx.core, id, token, ctx.reply),
    }
}

/// A watched key whose time is over counts as changed, though nobody has looked at it.
fn watched_key_expired(core: &mut Core, id: ClientId, now_ms: i64) -> bool {
    let watching = match core.clients.get(id) {
        Some(client) => client.watching.clone(),
        None => return false,
    };
    for (db, key) in &watching {
        core.store.contains(*db, key, now_ms);
    }
    // What the store has just removed is told to the watchers.
    core.collect_expired();
    core.clients.get(id).is_some_and(|client| client.watch_failed)
}

fn discard_command(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let open = ctx.core.clients.get(ctx.client).is_some_and(|client| client.multi.is_some());
    if !open {
        return Err(CommandError::new("ERR DISCARD without MULTI"));
    }
    discard(ctx.core, ctx.client);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// Forgets the transaction and what it watches.
pub fn discard(core: &mut Core, id: ClientId) {
    if let Some(client) = core.clients.get_mut(id) {
        client.multi = None;
    }
    unwatch(core, id);
}

fn watch(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (id, db, now_ms) = (ctx.client, ctx.db, ctx.now_ms);
    if ctx.core.clients.get(id).is_some_and(|client| client.multi.is_some()) {
        return Err(CommandError::new("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.iter().skip(1) {
        // A key whose time was over before it was watched is not a change.
        ctx.core.store.contains(db, key, now_ms);
        ctx.core.collect_expired();
        ctx.core.watched.add(id, db, key);
        if let Some(client) = ctx.core.clients.get_mut(id) {
            let watched = (db, key.to_vec());
            if !client.watching.contains(&watched) {
                client.watching.push(watched);
            }
        }
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn unwatch_command(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    unwatch(ctx.core, ctx.client);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// Forgets what a client watches.
pub fn unwatch(core: &mut Core, id: ClientId) {
    let Some(client) = core.clients.get_mut(id) else { return };
    client.watch_failed = false;
    let watching = std::mem::take(&mut client.watching);
    core.watched.remove(id, &watching);
}
