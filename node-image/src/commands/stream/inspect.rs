//! XINFO: what a stream, its groups and their consumers are like.
//!
//! Not known here: how they became so.

use holdfast_store::stream::{Consumer, Group, Log, Stream, StreamId};
use holdfast_wire::resp::ReplyBuf;

use super::access::{no_such_group, write_entry, write_id};
use crate::commands::client::write_help;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <group>",
    "    List the consumers of a group.",
    "GROUPS <key>",
    "    List the groups of a stream.",
    "STREAM <key> [FULL [COUNT <n>]]",
    "    Tell about a stream; FULL lists entries, groups and what is pending.",
    "HELP",
    "    Print this help.",
];

/// What FULL lists of each kind without COUNT.
const FULL_COUNT: usize = 10;

/// `XINFO HELP`
pub(super) fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    write_help(ctx, HELP)
}

/// How many entries a group has yet to read, where that can be told.
fn write_lag(reply: &mut ReplyBuf, log: &Log, group: &Group) {
    let read = match group.entries_read {
        _ if log.entries_added == 0 => Some(0),
        Some(read) if !log.has_tombstone_from(group.last_id) => Some(read),
        _ => log.added_up_to(group.last_id),
    };
    match read {
        Some(read) => reply.integer(log.entries_added.wrapping_sub(read) as i64),
        None => reply.null(),
    }
}

fn write_entries_read(reply: &mut ReplyBuf, group: &Group) {
    match group.entries_read {
        Some(read) => reply.integer(read as i64),
        None => reply.null(),
    }
}

/// `XINFO GROUPS key`
pub(super) fn groups(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let stream = keys.stream(args[2])?.ok_or(CommandError::NO_SUCH_KEY)?;
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(6);
        reply.bulk_str("name");
        reply.bulk(name);
        reply.bulk_str("consumers");
        reply.integer(group.consumers().len() as i64);
        reply.bulk_str("pending");
        reply.integer(group.pending().len() as i64);
        reply.bulk_str("last-delivered-id");
        write_id(reply, group.last_id);
        reply.bulk_str("entries-read");
        write_entries_read(reply, group);
        reply.bulk_str("lag");
        write_lag(reply, &stream.log, group);
    }
    DONE
}

/// `XINFO CONSUMERS key group`
pub(super) fn consumers(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, now_ms) = (args[2], args[3], ctx.now_ms);
    let (mut keys, reply) = ctx.split();
    let stream = keys.stream(key)?.ok_or(CommandError::NO_SUCH_KEY)?;
    let group = stream.groups.get(name).ok_or_else(|| no_such_group(key, name))?;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(3);
        reply.bulk_str("name");
        reply.bulk(name);
        reply.bulk_str("pending");
        reply.integer(consumer.pending() as i64);
        reply.bulk_str("idle");
        reply.integer(now_ms.saturating_sub(consumer.seen_ms).max(0));
    }
    DONE
}

/// How much of each kind FULL lists; none without FULL.
fn parse_full(args: &[&[u8]]) -> Result<Option<usize>, CommandError> {
    match args.get(3..).unwrap_or_default() {
        [] => Ok(None),
        [word] if is_word(word, "FULL") => Ok(Some(FULL_COUNT)),
        [word, count, number] if is_word(word, "FULL") && is_word(count, "COUNT") => {
            Ok(Some(match integer(number)? {
                ..0 => FULL_COUNT,
                0 => usize::MAX,
                number => number as usize,
            }))
        }
        _ => {
            let name = String::from_utf8_lossy(args[1]);
            Err(CommandError::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name:.128}'. Try XINFO \
                 HELP."
            )))
        }
    }
}

/// `XINFO STREAM key [FULL [COUNT n]]`
pub(super) fn stream(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let stream = keys.stream(args[2])?.ok_or(CommandError::NO_SUCH_KEY)?;
    let full = parse_full(args)?;
    reply.map(if full.is_some() { 9 } else { 10 });
    write_head(reply, &stream.log);
    match full {
        Some(count) => write_full(reply, stream, count),
        None => {
            reply.bulk_str("groups");
            reply.integer(stream.groups.len() as i64);
            let (all, log) = ((StreamId::MIN, StreamId::MAX), &stream.log);
            for (word, entry) in [
                ("first-entry", log.iter(all.0, all.1).next()),
                ("last-entry", log.iter_back(all.0, all.1).next()),
            ] {
                reply.bulk_str(word);
                match entry {
                    Some(entry) => write_entry(reply, &entry),
                    None => reply.null(),
                }
            }
        }
    }
    DONE
}

fn write_head(reply: &mut ReplyBuf, log: &Log) {
    reply.bulk_str("length");
    reply.integer(log.len() as i64);
    reply.bulk_str("radix-tree-keys");
    reply.integer(log.nodes().len() as i64);
    reply.bulk_str("radix-tree-nodes");
    reply.integer(log.radix_nodes() as i64);
    reply.bulk_str("last-generated-id");
    write_id(reply, log.last_id);
    reply.bulk_str("max-deleted-entry-id");
    write_id(reply, log.max_deleted_id);
    reply.bulk_str("entries-added");
    reply.integer(log.entries_added as i64);
    reply.bulk_str("recorded-first-entry-id");
    write_id(reply, log.first_id());
}

fn write_full(reply: &mut ReplyBuf, stream: &Stream, count: usize) {
    reply.bulk_str("entries");
    let mark = reply.mark();
    let mut written = 0;
    for entry in stream.log.iter(StreamId::MIN, StreamId::MAX).take(count) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.array_at(mark, written);
    reply.bulk_str("groups");
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(7);
        reply.bulk_str("name");
        reply.bulk(name);
        reply.bulk_str("last-delivered-id");
        write_id(reply, group.last_id);
        reply.bulk_str("entries-read");
        write_entries_read(reply, group);
        reply.bulk_str("lag");
        write_lag(reply, &stream.log, group);
        reply.bulk_str("pel-count");
        reply.integer(group.pending().len() as i64);
        reply.bulk_str("pending");
        reply.array(count.min(group.pending().len()));
        for (id, pending) in group.pending().iter().take(count) {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(&pending.consumer);
            reply.integer(pending.delivered_ms);
            reply.integer(pending.deliveries as i64);
        }
        reply.bulk_str("consumers");
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            write_consumer(reply, group, (name, consumer), count);
        }
    }
}

fn write_consumer(
    reply: &mut ReplyBuf,
    group: &Group,
    (name, consumer): (&[u8], &Consumer),
    count: usize,
) {
    reply.map(4);
    reply.bulk_str("name");
    reply.bulk(name);
    reply.bulk_str("seen-time");
    reply.integer(consumer.seen_ms);
    reply.bulk_str("pel-count");
    reply.integer(consumer.pending() as i64);
    reply.bulk_str("pending");
    reply.array(count.min(consumer.pending()));
    for id in consumer.pending_from(StreamId::MIN).take(count) {
        let pending = group.pending().get(id);
        reply.array(3);
        write_id(reply, id);
        reply.integer(pending.map_or(0, |pending| pending.delivered_ms));
        reply.integer(pending.map_or(0, |pending| pending.deliveries as i64));
    }
}
