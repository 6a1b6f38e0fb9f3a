//! Commands of the family "pubsub": subscribing, publishing, looking at channels.
//!
//! In RESP2 a client that has subscribed may only change its subscriptions, PING, QUIT and RESET,
//! since it could not tell a message from a reply; `execute` refuses the rest. Not known here:
//! how messages get to other nodes.

use holdfast_store::glob;

use super::client::write_help;
use super::keyspace::{DONE, Ended};
use super::spec::KeyUse;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome};
use crate::messages::ToBus;
use crate::pubsub::{Kind, write_change};

const COMMON: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);
const SUBSCRIBING: Flags = COMMON.and(Flags::NOSCRIPT);
const PUBLISHING: Flags = COMMON.and(Flags::FAST).and(Flags::MAY_REPLICATE);

/// The longest message that goes over the cluster bus: more than this may not wait for a peer.
const BUS_MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

const BLANK: Command = Command { group: Group::PubSub, flags: SUBSCRIBING, ..Command::BLANK };

const SUB: Command = Command { container: "pubsub", flags: COMMON, ..BLANK };

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "psubscribe",
        arity: -2,
        since: "2.0.0",
        summary: "Listens for messages on channels whose names match patterns.",
        complexity: "O(N), N the number of patterns",
        handler: psubscribe,
        ..BLANK
    },
    Command {
        name: "publish",
        arity: 3,
        flags: PUBLISHING,
        since: "2.0.0",
        summary: "Sends a message to everybody who listens to a channel.",
        complexity: "O(N+M), N the number of listeners, M the number of patterns",
        handler: publish,
        ..BLANK
    },
    Command {
        name: "pubsub",
        arity: -2,
        flags: Flags::NONE,
        since: "2.8.0",
        summary: "Looks at channels, patterns and who listens to them.",
        complexity: "By subcommand.",
        subcommands: SUBCOMMANDS,
        ..BLANK
    },
    Command {
        name: "punsubscribe",
        arity: -1,
        since: "2.0.0",
        summary: "Stops listening to channels by these patterns, or by any.",
        complexity: "O(N), N the number of patterns",
        handler: punsubscribe,
        ..BLANK
    },
    Command {
        name: "spublish",
        arity: 3,
        flags: PUBLISHING,
        keys: &[KeySpec::one(1, KeyUse::NotKey)],
        since: "7.0.0",
        summary: "Sends a message to everybody who listens to a channel of its shard.",
        complexity: "O(N), N the number of listeners",
        handler: spublish,
        ..BLANK
    },
    Command {
        name: "ssubscribe",
        arity: -2,
        keys: &[KeySpec::rest(1, 1, KeyUse::NotKey)],
        since: "7.0.0",
        summary: "Listens for messages on channels of this shard.",
        complexity: "O(N), N the number of channels",
        handler: ssubscribe,
        ..BLANK
    },
    Command {
        name: "subscribe",
        arity: -2,
        since: "2.0.0",
        summary: "Listens for messages on channels.",
        complexity: "O(N), N the number of channels",
        handler: subscribe,
        ..BLANK
    },
    Command {
        name: "sunsubscribe",
        arity: -1,
        keys: &[KeySpec::rest(1, 1, KeyUse::NotKey)],
        since: "7.0.0",
        summary: "Stops listening to these channels of the shard, or to all of them.",
        complexity: "O(N), N the number of channels",
        handler: sunsubscribe,
        ..BLANK
    },
    Command {
        name: "unsubscribe",
        arity: -1,
        since: "2.0.0",
        summary: "Stops listening to these channels, or to all.",
        complexity: "O(N), N the number of channels",
        handler: unsubscribe,
        ..BLANK
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "channels",
        arity: -2,
        since: "2.8.0",
        summary: "Lists channels that somebody listens to.",
        complexity: "O(N), N the number of channels",
        handler: channels,
        ..SUB
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "6.2.0",
        summary: "Says what the subcommands are for.",
        handler: help,
        ..SUB
    },
    Command {
        name: "numpat",
        arity: 2,
        since: "2.8.0",
        summary: "Tells the number of different patterns.",
        handler: numpat,
        ..SUB
    },
    Command {
        name: "numsub",
        arity: -2,
        since: "2.8.0",
        summary: "Tells how many clients listen to each of these channels.",
        complexity: "O(N), N the number of channels asked for",
        handler: numsub,
        ..SUB
    },
    Command {
        name: "shardchannels",
        arity: -2,
        since: "7.0.0",
        summary: "Lists channels of the shard that somebody listens to.",
        complexity: "O(N), N the number of channels",
        handler: shardchannels,
        ..SUB
    },
    Command {
        name: "shardnumsub",
        arity: -2,
        since: "7.0.0",
        summary: "Tells how many clients listen to each of these channels of the shard.",
        complexity: "O(N), N the number of channels asked for",
        handler: shardnumsub,
        ..SUB
    },
];

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    List channels that somebody listens to (default: all).",
    "NUMPAT",
    "    Tell the number of different patterns.",
    "NUMSUB [<channel> ...]",
    "    Tell how many clients listen to each channel, not counting patterns.",
    "SHARDCHANNELS [<pattern>]",
    "    List channels of the shard that somebody listens to (default: all).",
    "SHARDNUMSUB [<channel> ...]",
    "    Tell how many clients listen to each channel of the shard.",
    "HELP",
    "    Print this help.",
];

fn join(ctx: &mut Ctx<'_>, args: &[&[u8]], kind: Kind) -> Ended {
    for name in args.iter().skip(1) {
        ctx.core.subscribe(ctx.client, kind, name);
        tell(ctx, kind.joined(), kind, Some(name));
    }
    DONE
}

fn leave(ctx: &mut Ctx<'_>, args: &[&[u8]], kind: Kind) -> Ended {
    let names: Vec<Vec<u8>> = match args.get(1..) {
        Some(names) if !names.is_empty() => names.iter().map(|name| name.to_vec()).collect(),
        _ => match ctx.core.clients.get(ctx.client) {
            Some(client) => client.subscriptions.of(kind).iter().cloned().collect(),
            None => Vec::new(),
        },
    };
    for name in &names {
        ctx.core.unsubscribe(ctx.client, kind, name);
        tell(ctx, kind.left(), kind, Some(name));
    }
    if names.is_empty() {
        tell(ctx, kind.left(), kind, None);
    }
    DONE
}

fn tell(ctx: &mut Ctx<'_>, what: &str, kind: Kind, name: Option<&[u8]>) {
    let count = ctx.core.clients.get(ctx.client).map_or(0, |c| c.subscriptions.count(kind));
    write_change(ctx.reply, what, name, count);
}

/// `SUBSCRIBE channel...`
fn subscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    join(ctx, args, Kind::Channel)
}

/// `PSUBSCRIBE pattern...`
fn psubscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    join(ctx, args, Kind::Pattern)
}

/// `SSUBSCRIBE channel...`
fn ssubscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    join(ctx, args, Kind::Shard)
}

/// `UNSUBSCRIBE [channel...]`
fn unsubscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    leave(ctx, args, Kind::Channel)
}

/// `PUNSUBSCRIBE [pattern...]`
fn punsubscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    leave(ctx, args, Kind::Pattern)
}

/// `SUNSUBSCRIBE [channel...]`
fn sunsubscribe(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    leave(ctx, args, Kind::Shard)
}

/// Takes the message to other nodes: over the bus in a cluster, else down the replication stream.
fn carry(ctx: &mut Ctx<'_>, args: &[&[u8]], sharded: bool) -> Result<(), CommandError> {
    let [_, channel, message] = args else { return Err(CommandError::SYNTAX) };
    if !ctx.core.is_cluster() {
        ctx.core.record_message(ctx.origin, ctx.db, args);
        return Ok(());
    }
    if ctx.origin != super::Origin::Client {
        return Ok(());
    }
    if channel.len().saturating_add(message.len()) > BUS_MESSAGE_BYTES_MAX {
        return Err(CommandError::new("ERR the message is too long for the cluster bus"));
    }
    let (channel, message) = (channel.to_vec(), message.to_vec());
    ctx.core.to_bus.send(ToBus::Publish { channel, message, sharded });
    Ok(())
}

/// `PUBLISH channel message`: the number of listeners of this node.
fn publish(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    carry(ctx, args, false)?;
    let count = ctx.core.deliver(args[1], args[2]);
    ctx.reply.integer(count as i64);
    DONE
}

/// `SPUBLISH channel message`: the number of listeners of this node.
fn spublish(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    carry(ctx, args, true)?;
    let count = ctx.core.deliver_in_shard(args[1], args[2]);
    ctx.reply.integer(count as i64);
    DONE
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    write_help(ctx, HELP)
}

/// Writes the names that match the pattern, if there is one.
fn list<'a>(
    reply: &mut holdfast_wire::resp::ReplyBuf,
    args: &[&[u8]],
    names: impl Iterator<Item = &'a [u8]>,
) -> Ended {
    let pattern = match args {
        [_, _] => None,
        [_, _, pattern] => Some(pattern),
        _ => return Err(too_many(args)),
    };
    let (mark, mut count) = (reply.mark(), 0);
    for name in names.filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name))) {
        reply.bulk(name);
        count += 1;
    }
    reply.array_at(mark, count);
    DONE
}

/// What Redis says about a subcommand with words that it does not expect.
fn too_many(args: &[&[u8]]) -> CommandError {
    let name = String::from_utf8_lossy(args.get(1).copied().unwrap_or_default()).into_owned();
    CommandError::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name:.128}'. Try PUBSUB HELP."
    ))
}

/// `PUBSUB CHANNELS [pattern]`
fn channels(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    list(ctx.reply, args, ctx.core.pubsub.channels())
}

/// `PUBSUB SHARDCHANNELS [pattern]`
fn shardchannels(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    list(ctx.reply, args, ctx.core.pubsub.shard_channels())
}

/// `PUBSUB NUMPAT`
fn numpat(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    ctx.reply.integer(ctx.core.pubsub.pattern_count() as i64);
    DONE
}

/// `PUBSUB NUMSUB [channel...]`
fn numsub(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    ctx.reply.array(args.len().saturating_sub(2) * 2);
    for name in args.iter().skip(2) {
        ctx.reply.bulk(name);
        ctx.reply.integer(ctx.core.pubsub.listener_count(name) as i64);
    }
    DONE
}

/// `PUBSUB SHARDNUMSUB [channel...]`
fn shardnumsub(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    ctx.reply.array(args.len().saturating_sub(2) * 2);
    for name in args.iter().skip(2) {
        let slot = ctx.core.channel_slot(name);
        ctx.reply.bulk(name);
        ctx.reply.integer(ctx.core.pubsub.shard_listener_count(slot, name) as i64);
    }
    DONE
}
