//! CLUSTER on the client port.
//!
//! Three subcommands are about keys and are answered here; all others belong to the bus thread,
//! which answers by a promise, with the facts about the keyspace that its rules need. Outside a
//! cluster every one gives the error that Redis gives. Not known here: the rules of the cluster,
//! how its replies look ([`super::cluster_reply`]).

use holdfast_cluster::command::{ParseError, parse};
use holdfast_wire::slot::{Slot, key_slot};

use super::{Command, CommandError, Ctx, Execute, Flags, Group, Outcome};
use crate::bus::{Asker, ToBus, facts};
use crate::migration;

const READ: Flags = Flags::STALE;
const COUNT: Flags = Flags::STALE.and(Flags::ADMIN);
const ORDER: Flags = COUNT.and(Flags::NO_ASYNC_LOADING);
/// RESET may flush the keyspace, which no script may ask for.
const RESET: Flags = COUNT.and(Flags::NOSCRIPT);

const fn sub(
    name: &'static str,
    arity: i32,
    flags: Flags,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
    handler: Execute,
) -> Command {
    Command {
        name,
        container: "cluster",
        arity,
        flags,
        since,
        summary,
        complexity,
        handler,
        group: Group::Cluster,
        ..Command::BLANK
    }
}

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "cluster",
    arity: -2,
    since: "3.0.0",
    summary: "A container for commands about the cluster.",
    group: Group::Cluster,
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..Command::BLANK
}];

const ONE: &str = "O(1)";
const NODES: &str = "O(N) where N is the number of nodes in the cluster";
const SLOTS: &str = "O(N) where N is the number of slots named";

const SUBCOMMANDS: &[Command] = &[
    sub("addslots", -3, ORDER, "3.0.0", SLOTS, "Gives free slots to this node.", ask_bus),
    sub("addslotsrange", -4, ORDER, "7.0.0", SLOTS, "Gives free slots to this node.", ask_bus),
    sub("bumpepoch", 2, ORDER, "3.0.0", ONE, "Takes a new configuration epoch.", ask_bus),
    sub(
        "cancelslotmigrations",
        2,
        ORDER,
        "9.0.0",
        "O(N) where N is the number of migrations",
        "Stops slot migrations where they can be stopped in order.",
        migrate_slots,
    ),
    sub(
        "count-failure-reports",
        3,
        COUNT,
        "3.0.0",
        "O(N) where N is the number of reports",
        "Tells how many nodes report a node as failing.",
        ask_bus,
    ),
    sub(
        "countkeysinslot",
        3,
        READ,
        "3.0.0",
        ONE,
        "Tells how many keys a slot has here.",
        count_keys_in_slot,
    ),
    sub(
        "delslots",
        -3,
        ORDER,
        "3.0.0",
        SLOTS,
        "Makes slots ownerless in this node's view.",
        ask_bus,
    ),
    sub(
        "delslotsrange",
        -4,
        ORDER,
        "7.0.0",
        SLOTS,
        "Makes slots ownerless in this node's view.",
        ask_bus,
    ),
    sub(
        "failover",
        -2,
        ORDER,
        "3.0.0",
        ONE,
        "Makes this replica the primary of its shard.",
        ask_bus,
    ),
    sub("flushslots", 2, ORDER, "3.0.0", ONE, "Gives up all slots of an empty node.", ask_bus),
    sub("forget", 3, ORDER, "3.0.0", ONE, "Removes a node from this node's view.", ask_bus),
    sub(
        "getkeysinslot",
        4,
        READ,
        "3.0.0",
        "O(N) where N is the number of keys asked for",
        "Names keys of a slot.",
        get_keys_in_slot,
    ),
    sub(
        "getslotmigrations",
        2,
        READ,
        "9.0.0",
        "O(N) where N is the number of migrations",
        "Lists slot migrations that run or have run.",
        migrate_slots,
    ),
    sub("help", 2, Flags::LOADING.and(Flags::STALE), "5.0.0", ONE, "Lists the subcommands.", help),
    sub("info", 2, READ, "3.0.0", ONE, "Describes the cluster as this node sees it.", ask_bus),
    sub(
        "keyslot",
        3,
        READ,
        "3.0.0",
        "O(N) where N is the number of bytes of the key",
        "Tells the slot of a key.",
        key_slot_of,
    ),
    sub("links", 2, READ, "7.0.0", NODES, "Lists the connections of the cluster bus.", ask_bus),
    sub("meet", -4, ORDER, "3.0.0", ONE, "Makes another node's acquaintance.", ask_bus),
    sub(
        "migrateslots",
        -6,
        ORDER,
        "9.0.0",
        SLOTS,
        "Moves slots with their keys to other nodes.",
        migrate_slots,
    ),
    sub("myid", 2, READ, "3.0.0", ONE, "Tells this node's id.", ask_bus),
    sub("myshardid", 2, READ, "7.2.0", ONE, "Tells the id of this node's shard.", ask_bus),
    sub("nodes", 2, READ, "3.0.0", NODES, "Lists the nodes as nodes.conf does.", ask_bus),
    sub("replicas", 3, COUNT, "5.0.0", NODES, "Lists the replicas of a primary.", ask_bus),
    sub("replicate", 3, ORDER, "3.0.0", ONE, "Makes this node the replica of a primary.", ask_bus),
    sub(
        "reset",
        -2,
        RESET,
        "3.0.0",
        "O(N) where N is the number of nodes; a replica is emptied",
        "Makes this node forget its cluster.",
        ask_bus,
    ),
    sub("saveconfig", 2, ORDER, "3.0.0", ONE, "Writes nodes.conf.", ask_bus),
    sub(
        "set-config-epoch",
        3,
        ORDER,
        "3.0.0",
        ONE,
        "Sets the configuration epoch of a new node.",
        ask_bus,
    ),
    sub(
        "setslot",
        -4,
        ORDER,
        "3.0.0",
        ONE,
        "Changes the owner or the migration of a slot.",
        ask_bus,
    ),
    sub("shards", 2, READ, "7.0.0", NODES, "Lists the shards with their slots and nodes.", ask_bus),
    sub("slaves", 3, COUNT, "3.0.0", NODES, "Lists the replicas of a primary.", ask_bus),
    sub("slots", 2, READ, "3.0.0", NODES, "Lists ranges of slots with their nodes.", ask_bus),
];

fn must_be_cluster(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    if ctx.core.is_cluster() {
        return Ok(());
    }
    Err(CommandError::new("ERR This instance has cluster support disabled"))
}

/// Everything that the cluster value decides.
fn ask_bus(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let command = parse(args.get(1..).unwrap_or_default()).map_err(|error| match error {
        ParseError::Arity(name) => CommandError::wrong_arity(&format!("cluster|{name}")),
        error => CommandError::text(error.to_string()),
    })?;
    let mut facts = facts(ctx.core, command.slots_to_count());
    facts.secured = ctx.is_secured();
    let token = ctx.promise();
    let asker = Asker::Client(token);
    ctx.core.to_bus.send(ToBus::Command { asker, command, facts });
    Ok(Outcome::Promised(token))
}

/// MIGRATESLOTS, GETSLOTMIGRATIONS, CANCELSLOTMIGRATIONS.
fn migrate_slots(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let order = migration::Order::parse(args.get(1..).unwrap_or_default());
    let order = order.ok_or(CommandError::SYNTAX)?.map_err(CommandError::text)?;
    let token = ctx.promise();
    ctx.core.to_bus.send(ToBus::Migration(Asker::Client(token), order));
    Ok(Outcome::Promised(token))
}

fn key_slot_of(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let key = args.get(2).copied().unwrap_or_default();
    ctx.reply.integer(i64::from(key_slot(key).0));
    Ok(Outcome::Done)
}

fn number(arg: Option<&&[u8]>) -> Result<i64, CommandError> {
    let text = arg.and_then(|arg| std::str::from_utf8(arg).ok());
    text.and_then(|text| text.parse().ok()).ok_or(CommandError::NOT_AN_INTEGER)
}

fn slot(number: i64) -> Option<Slot> {
    u64::try_from(number).ok().and_then(Slot::new)
}

fn count_keys_in_slot(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let slot = slot(number(args.get(2))?).ok_or(CommandError::new("ERR Invalid slot"))?;
    ctx.reply.integer(ctx.core.store.slot_len(slot) as i64);
    Ok(Outcome::Done)
}

fn get_keys_in_slot(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let (slot, count) = (slot(number(args.get(2))?), usize::try_from(number(args.get(3))?));
    let (Some(slot), Ok(count)) = (slot, count) else {
        return Err(CommandError::new("ERR Invalid slot or number of keys"));
    };
    let keys = ctx.core.store.keys_in_slot(slot, count.min(ctx.core.store.slot_len(slot)));
    ctx.reply.array(keys.len());
    for key in &keys {
        ctx.reply.bulk(key);
    }
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    must_be_cluster(ctx)?;
    let head = "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:";
    ctx.reply.array(1 + 2 * SUBCOMMANDS.len());
    ctx.reply.simple(head);
    for command in SUBCOMMANDS {
        ctx.reply.simple(&command.name.to_uppercase());
        ctx.reply.simple(&format!("    {}", command.summary));
    }
    Ok(Outcome::Done)
}
