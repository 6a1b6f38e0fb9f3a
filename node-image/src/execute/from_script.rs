//! A command that a script runs.
//!
//! It joins the unit of work of its script, so that what all of a script's commands did enters the
//! log as one transaction and the script itself never does. What is checked is what Redis checks,
//! in its order, with the words that scripts of the field look for. Not known here: Lua.

use holdfast_cluster::{Access, Presence, Route};
use holdfast_wire::resp::ReplyBuf;
use holdfast_wire::slot::{Slot, key_slot};

use super::{Call, run, write_timeout_reply};
use crate::clients::ClientId;
use crate::commands::{Command, CommandError, Flags, Origin, Outcome, table};
use crate::config::Name;
use crate::core::Core;
use crate::keys;

/// What holds for the commands of one run of a script, and what they have come to so far.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whose script it is.
    pub client: ClientId,
    /// Where the script's own command came from.
    pub origin: Origin,
    /// Nothing may be written.
    pub read_only: bool,
    /// Commands that need memory run although there is none.
    pub allow_oom: bool,
    /// Keys of several slots may be touched.
    pub cross_slots: bool,
    /// The slot of the declared keys, else of the first key that was touched.
    pub slot: Option<Slot>,
    /// The client's request was admitted for this slot.
    pub admitted: Option<Slot>,
    /// A command that may write has run.
    pub wrote: bool,
    /// Effects are kept for the log.
    pub replicates: bool,
}

const UNKNOWN: CommandError = CommandError::new("ERR Unknown Redis command called from script");
const ARITY: CommandError =
    CommandError::new("ERR Wrong number of args calling Redis command from script");
const NOT_FROM_SCRIPT: CommandError =
    CommandError::new("ERR This Redis command is not allowed from script");
const READ_ONLY: CommandError =
    CommandError::new("ERR Write commands are not allowed from read-only scripts.");
const NOT_LOCAL: CommandError =
    CommandError::new("ERR Script attempted to access a non local key in a cluster node");
const CROSS_SLOTS: CommandError =
    CommandError::new("ERR Script attempted to access keys that do not hash to the same slot");

/// The command or subcommand that a request names, whatever its arguments.
pub fn named(args: &[&[u8]]) -> Option<&'static Command> {
    let command = table::find(args.first()?)?;
    match (command.subcommands.is_empty(), args.get(1)) {
        (false, Some(sub)) => table::find_subcommand(command, sub),
        _ => Some(command),
    }
}

fn find(args: &[&[u8]]) -> Result<&'static Command, CommandError> {
    let command = named(args).ok_or(UNKNOWN)?;
    if command.arity_fits(args.len()) { Ok(command) } else { Err(ARITY) }
}

/// Runs a command for a script; a refusal is an error without a reply, an error of the command
/// itself is in the reply.
pub fn call(
    core: &mut Core,
    rules: &mut Rules,
    args: &[&[u8]],
    reply: &mut ReplyBuf,
) -> Result<(), CommandError> {
    let command = find(args)?;
    if command.flags.has(Flags::NOSCRIPT) && !core.scripts.runs_denied_commands {
        return Err(NOT_FROM_SCRIPT);
    }
    let client_asks = rules.origin == Origin::Client;
    if client_asks && let Err(denied) = crate::acl::check(core, rules.client, command, args, "lua")
    {
        return Err(crate::acl::refusal_in_script(denied));
    }
    let writes = command.is_write();
    if writes && rules.read_only {
        return Err(READ_ONLY);
    }
    if client_asks {
        admit(core, rules, command)?;
    }
    core.current_slot = slot_for(core, rules, command, args)?;
    if writes {
        rules.wrote = true;
        core.scripts.note_write();
    }
    let id = rules.client;
    let db = core.clients.get(id).map_or(0, |client| client.db);
    let call = Call { id, db, command, origin: rules.origin, in_exec: true, woken: false };
    let kept = core.unit.mark();
    let outcome = run(core, call, args, reply);
    if !rules.replicates {
        core.unit.truncate(kept);
    }
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Block(block) | Outcome::BlockAs(block, _) => {
            write_timeout_reply(block.timeout_reply, reply);
            Ok(())
        }
        Outcome::Promised(_) => {
            core.forget_answers(id);
            Err(NOT_FROM_SCRIPT)
        }
    }
}

/// What replication, disk and memory allow.
fn admit(core: &mut Core, rules: &Rules, command: &Command) -> Result<(), CommandError> {
    if !command.flags.has(Flags::STALE)
        && !core.config.yes(Name::ReplicaServeStaleData)
        && core.replication.is_stale()
    {
        return Err(CommandError::new("ERR Can not execute the command on a stale replica"));
    }
    if command.is_write() {
        if let Some(error) = crate::replication::refuse_write(core) {
            return Err(error);
        }
        if let Some(error) = crate::aof::refuse_write(core) {
            return Err(error);
        }
    }
    // A script that has begun to write is not stopped half-way.
    if command.flags.has(Flags::DENYOOM)
        && !rules.allow_oom
        && !rules.wrote
        && crate::memory::is_short(core)
    {
        return Err(CommandError::new("OOM command not allowed when used memory > 'maxmemory'."));
    }
    Ok(())
}

/// The slot of the command's keys, which must be served here and, unless the script says
/// otherwise, be the one that the script has used before.
fn slot_for(
    core: &mut Core,
    rules: &mut Rules,
    command: &Command,
    args: &[&[u8]],
) -> Result<Option<Slot>, CommandError> {
    if !core.is_cluster() {
        return Ok(None);
    }
    let mut found: Option<Slot> = None;
    let mut crosses = false;
    let mut all: Vec<&[u8]> = Vec::new();
    keys::visit(command, args, |at, _| {
        let Some(key) = args.get(at) else { return };
        let slot = key_slot(key);
        crosses |= *found.get_or_insert(slot) != slot;
        all.push(key);
    });
    let Some(slot) = found else { return Ok(None) };
    if rules.origin != Origin::Client {
        return Ok(Some(slot));
    }
    if crosses {
        return Err(CROSS_SLOTS);
    }
    if rules.admitted != Some(slot) {
        check_served(core, rules.client, slot, command, &all)?;
    }
    if !rules.cross_slots && *rules.slot.get_or_insert(slot) != slot {
        return Err(CROSS_SLOTS);
    }
    Ok(Some(slot))
}

fn check_served(
    core: &mut Core,
    id: ClientId,
    slot: Slot,
    command: &Command,
    keys: &[&[u8]],
) -> Result<(), CommandError> {
    let Some(client) = core.clients.get(id) else { return Ok(()) };
    let access = Access {
        asking: false,
        readonly_client: client.readonly,
        write: command.is_write(),
        sharded_pubsub: false,
        multiple_keys: keys.len() > 1,
        migrate: false,
    };
    let (db, now_ms) = (client.db, core.now_ms);
    let routing = std::sync::Arc::clone(&core.routing);
    let presence = || {
        let here = keys.iter().filter(|key| core.store.contains(db, key, now_ms)).count();
        match here {
            0 => Presence::None,
            _ if here == keys.len() => Presence::All,
            _ => Presence::Some,
        }
    };
    match routing.route(slot, access, presence) {
        Route::Here => Ok(()),
        other => {
            let text = other.error(slot, false).unwrap_or_default();
            Err(match (text.starts_with("CLUSTERDOWN"), access.write && text.contains("only")) {
                (true, true) => CommandError::new(
                    "ERR Script attempted to execute a write command while the cluster is down \
                     and readonly",
                ),
                (true, false) => CommandError::new(
                    "ERR Script attempted to execute a command while the cluster is down",
                ),
                _ => NOT_LOCAL,
            })
        }
    }
}
