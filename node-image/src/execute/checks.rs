//! Whether a request may run, in the order that clients can see.
//!
//! Not known here: what running it does.

use holdfast_cluster::{Access, Presence, Route};
use holdfast_wire::resp::Protocol;
use holdfast_wire::slot::{Slot, key_slot};

use crate::clients::{Client, ClientId, ClientKind};
use crate::commands::{Command, CommandError, Flags, table};
use crate::config::Name;
use crate::core::Core;
use crate::keys;
use crate::pause::Stops;

/// The verdict.
pub(super) enum Admitted {
    /// It runs now.
    Run {
        /// The table entry.
        command: &'static Command,
        /// The slot of its keys, in cluster mode.
        slot: Option<Slot>,
    },
    /// It joins the transaction.
    Queue {
        /// The table entry.
        command: &'static Command,
    },
    /// It gets an error.
    Refused {
        /// The table entry, when there is one.
        command: Option<&'static Command>,
        /// The error.
        error: CommandError,
    },
    /// It waits for a pause to end.
    Paused,
}

/// The table entry of a request: command or subcommand, with the right number of arguments.
pub(super) fn find(args: &[&[u8]]) -> Result<&'static Command, CommandError> {
    let name = args.first().copied().unwrap_or_default();
    let Some(mut command) = table::find(name) else { return Err(unknown(args)) };
    if let (false, Some(sub)) = (command.subcommands.is_empty(), args.get(1)) {
        match table::find_subcommand(command, sub) {
            Some(sub) => command = sub,
            // DEBUG refuses what it does not know itself, to those who may use it at all.
            None if command.arity_fits(args.len()) && command.name != "debug" => {
                let sub = String::from_utf8_lossy(sub).into_owned();
                return Err(CommandError::text(format!(
                    "ERR unknown subcommand '{sub:.128}'. Try {} HELP.",
                    command.name.to_uppercase()
                )));
            }
            None => {}
        }
    }
    if !command.arity_fits(args.len()) {
        let name = match table::full_name(command) {
            ("", name) => name.to_owned(),
            (container, name) => format!("{container}|{name}"),
        };
        return Err(CommandError::wrong_arity(&name));
    }
    Ok(command)
}

fn unknown(args: &[&[u8]]) -> CommandError {
    let text = |arg: &[u8], most: usize| {
        String::from_utf8_lossy(arg.get(..most).unwrap_or(arg)).into_owned()
    };
    let mut shown = String::new();
    for arg in args.iter().skip(1) {
        if shown.len() >= 128 {
            break;
        }
        shown.push_str(&format!("'{}' ", text(arg, 128 - shown.len())));
    }
    let name = text(args.first().copied().unwrap_or_default(), 128);
    CommandError::text(format!("ERR unknown command '{name}', with args beginning with: {shown}"))
}

/// Commands that run at once although a transaction is being put together.
pub(super) fn ends_queueing(command: &Command) -> bool {
    let (container, name) = table::full_name(command);
    container.is_empty()
        && matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// The slot of the first key.
pub(super) fn first_slot(command: &Command, args: &[&[u8]]) -> Option<Slot> {
    let mut slot = None;
    keys::visit(command, args, |at, _| {
        if let (None, Some(key)) = (slot, args.get(at)) {
            slot = Some(key_slot(key));
        }
    });
    slot
}

/// True when the client need not say a password (any more).
pub(super) fn is_admitted(core: &Core, client: &Client) -> bool {
    client.authenticated || core.acl.is_open()
}

pub(super) fn admit(core: &mut Core, id: ClientId, args: &[&[u8]], asking: bool) -> Admitted {
    let command = match find(args) {
        Ok(command) => command,
        Err(error) => {
            let command = args.first().and_then(|name| table::find(name));
            return Admitted::Refused { command, error };
        }
    };
    let refused = |error: CommandError| Admitted::Refused { command: Some(command), error };
    let Some(client) = core.clients.get(id) else { return Admitted::Paused };
    if !is_admitted(core, client) && !command.flags.has(Flags::NO_AUTH) {
        return refused(CommandError::new("NOAUTH Authentication required."));
    }
    let is_exec = table::full_name(command) == ("", "exec");
    let in_multi = client.multi.is_some();
    // What holds for EXEC is what holds for the commands that it runs.
    let (some_have, some_lack) = match &client.multi {
        Some(multi) if is_exec => {
            (multi.some_have | command.flags.0, multi.some_lack | !command.flags.0)
        }
        _ => (command.flags.0, !command.flags.0),
    };
    let writes = some_have & Flags::WRITE.0 != 0;
    if in_multi && command.flags.has(Flags::NO_MULTI) {
        return refused(CommandError::new("ERR Command not allowed inside a transaction"));
    }
    let context = if in_multi { "multi" } else { "toplevel" };
    if let Err(denied) = crate::acl::check(core, id, command, args, context) {
        return refused(crate::acl::refusal(denied, command));
    }
    if !command.flags.has(Flags::ALLOW_BUSY)
        && let Some(error) = core.scripts.busy_error()
    {
        return refused(error);
    }
    let slot = match route(core, id, command, args, asking, is_exec) {
        Ok(slot) => slot,
        Err(error) => return refused(error),
    };
    if let Err(error) = allowed_now(core, id, command, Flags(some_have), Flags(!some_lack)) {
        return refused(error);
    }
    if in_multi && !ends_queueing(command) {
        return Admitted::Queue { command };
    }
    let paused = match core.pauses.stops(core.now_ms) {
        None => false,
        Some(Stops::Writes) => writes || some_have & Flags::MAY_REPLICATE.0 != 0,
        Some(Stops::All) => true,
    };
    if (paused && !comes_through_pauses(core, id, command))
        || crate::waiting::must_wait(core, id, command, args)
    {
        return Admitted::Paused;
    }
    Admitted::Run { command, slot }
}

/// CLIENT UNPAUSE must come through the pause that it ends; and replicas must go on
/// acknowledging, or the pause would never see them in step.
fn comes_through_pauses(core: &Core, id: ClientId, command: &Command) -> bool {
    match table::full_name(command) {
        ("client", _) => true,
        ("", "replconf") => core.clients.get(id).is_some_and(|c| c.kind == ClientKind::Replica),
        _ => false,
    }
}

/// A client that has subscribed in RESP2 could not tell replies from messages.
fn refuse_in_subscriber_mode(
    core: &Core,
    id: ClientId,
    command: &'static Command,
) -> Result<(), CommandError> {
    let listens = |c: &Client| !c.subscriptions.is_empty() && c.protocol == Protocol::Resp2;
    if !core.clients.get(id).is_some_and(listens) {
        return Ok(());
    }
    let (container, name) = table::full_name(command);
    let allowed = (command.flags.has(Flags::PUBSUB) && name.ends_with("subscribe"))
        || matches!(name, "ping" | "quit" | "reset");
    if container.is_empty() && allowed {
        return Ok(());
    }
    let name = if container.is_empty() { name.to_owned() } else { format!("{container}|{name}") };
    Err(CommandError::text(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
         RESET are allowed in this context"
    )))
}

/// What memory, disk, replication and loading allow: to a command by its flags, to a transaction
/// by those that some and that all of its commands have.
fn allowed_now(
    core: &mut Core,
    id: ClientId,
    command: &'static Command,
    some_have: Flags,
    all_have: Flags,
) -> Result<(), CommandError> {
    let Some(kind) = core.clients.get(id).map(|client| client.kind) else { return Ok(()) };
    if kind.is_own() {
        return Ok(());
    }
    if core.shared.stats.loading.get() != 0 && !all_have.has(Flags::LOADING) {
        return Err(CommandError::new("LOADING Redis is loading the dataset in memory"));
    }
    if some_have.has(Flags::DENYOOM) && crate::memory::is_short(core) {
        return Err(CommandError::new("OOM command not allowed when used memory > 'maxmemory'."));
    }
    if some_have.has(Flags::WRITE) {
        if let Some(error) = crate::aof::refuse_write(core) {
            return Err(error);
        }
        if let Some(error) = crate::replication::refuse_write(core) {
            return Err(error);
        }
    }
    refuse_in_subscriber_mode(core, id, command)?;
    if !all_have.has(Flags::STALE)
        && !core.config.yes(Name::ReplicaServeStaleData)
        && core.replication.is_stale()
    {
        return Err(CommandError::new(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        ));
    }
    let at_keys = Flags::READONLY.and(Flags::WRITE).and(Flags::MAY_REPLICATE);
    if kind == ClientKind::Replica && some_have.0 & at_keys.0 != 0 {
        return Err(CommandError::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

const CROSSSLOT: CommandError =
    CommandError::new("CROSSSLOT Keys in request don't hash to the same slot");

/// The slot that a request belongs to, or where it must go instead.
fn route(
    core: &mut Core,
    id: ClientId,
    command: &'static Command,
    args: &[&[u8]],
    asking: bool,
    is_exec: bool,
) -> Result<Option<Slot>, CommandError> {
    if !core.is_cluster() || (command.keys.is_empty() && !is_exec) {
        return Ok(None);
    }
    let Some(client) = core.clients.get(id) else { return Ok(None) };
    if client.kind.is_own() {
        return Ok(first_slot(command, args));
    }
    let mut wanted = Wanted::default();
    let mut writes = command.is_write();
    match (&client.multi, is_exec) {
        (Some(multi), true) => {
            for (command, args) in &multi.queued {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                writes |= command.is_write();
                wanted.add(command, &args)?;
            }
        }
        _ => wanted.add(command, args)?,
    }
    let Some(slot) = wanted.slot else { return Ok(None) };
    let access = Access {
        asking: asking || command.flags.has(Flags::ASKING),
        readonly_client: client.readonly,
        write: writes,
        sharded_pubsub: command.flags.has(Flags::PUBSUB),
        multiple_keys: wanted.count > 1,
        migrate: command.name == "migrate",
    };
    let routing = std::sync::Arc::clone(&core.routing);
    let (db, now_ms) = (client.db, core.now_ms);
    let presence = || {
        let keys = wanted.keys(core, id, command, args, is_exec);
        let is_here = |key: &&Vec<u8>| {
            core.store.contains(db, key, now_ms) || core.migrations.locks.is_suspect(key)
        };
        let here = keys.iter().filter(is_here).count();
        match here {
            0 => Presence::None,
            _ if here == keys.len() => Presence::All,
            _ => Presence::Some,
        }
    };
    match routing.route(slot, access, presence) {
        Route::Here => Ok(Some(slot)),
        other => {
            let secured = core.clients.get(id).is_some_and(Client::is_secured);
            Err(CommandError::text(other.error(slot, secured).unwrap_or_default()))
        }
    }
}

/// The slot and the number of a request's keys.
#[derive(Default)]
struct Wanted {
    slot: Option<Slot>,
    count: usize,
}

impl Wanted {
    fn add(&mut self, command: &Command, args: &[&[u8]]) -> Result<(), CommandError> {
        let mut crosses = false;
        keys::visit(command, args, |at, _| {
            let Some(key) = args.get(at) else { return };
            let slot = key_slot(key);
            crosses |= *self.slot.get_or_insert(slot) != slot;
            self.count += 1;
        });
        if crosses { Err(CROSSSLOT) } else { Ok(()) }
    }

    /// The keys themselves; only needed for a slot that is on its way.
    fn keys(
        &self,
        core: &Core,
        id: ClientId,
        command: &Command,
        args: &[&[u8]],
        is_exec: bool,
    ) -> Vec<Vec<u8>> {
        let mut all = Vec::with_capacity(self.count);
        let mut add = |command: &Command, args: &[&[u8]]| {
            keys::visit(command, args, |at, _| {
                all.extend(args.get(at).map(|key| key.to_vec()));
            });
        };
        match core.clients.get(id).and_then(|client| client.multi.as_ref()) {
            Some(multi) if is_exec => {
                for (command, args) in &multi.queued {
                    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                    add(command, &args);
                }
            }
            _ => add(command, args),
        }
        all
    }
}
