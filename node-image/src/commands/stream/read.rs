//! XREAD and XREADGROUP: what is new in several streams, or a consumer's own history.
//!
//! A command that waits is run again as a request in which `$` has become the id that it meant.
//! What a group gives to a consumer reaches replicas as XCLAIM of each entry, and as the group's
//! new position; history changes only when and how often an entry was given, which replicas are
//! not told.
//!
//! Not known here: queues of waiting clients and time.

use holdfast_store::stream::{Group, Log, Stream, StreamId};
use holdfast_wire::resp::ReplyBuf;

use super::access::{Claimed, no_group, write_entry, write_id};
use super::ids;
use super::range::entry_count;
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer_or, is_word};
use crate::commands::{Block, CommandError, Ctx, Outcome, TimeoutReply};
use crate::notify::EventClass;

/// A client that waited and gave no COUNT gets no more at once.
const WOKEN_COUNT: usize = 1000;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Behind this id.
    Id(StreamId),
    /// `>`: what no consumer of the group was given.
    New,
}

struct Wish<'a> {
    group: Option<(&'a [u8], &'a [u8])>,
    count: Option<usize>,
    waits: bool,
    deadline_ms: Option<i64>,
    no_ack: bool,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

fn deadline_ms(arg: &[u8], now_ms: i64) -> Result<Option<i64>, CommandError> {
    let timeout = integer_or(arg, "ERR timeout is not an integer or out of range")?;
    match timeout {
        0 => Ok(None),
        ..0 => Err(CommandError::new("ERR timeout is negative")),
        _ => {
            let deadline = now_ms.checked_add(timeout);
            deadline.map(Some).ok_or(CommandError::new("ERR timeout is out of range"))
        }
    }
}

impl<'a> Wish<'a> {
    fn parse(ctx: &Ctx<'_>, args: &'a [&'a [u8]], in_group: bool) -> Result<Self, CommandError> {
        const ONLY: &str = "option is only supported by XREADGROUP. You called XREAD instead.";
        let mut wish = Wish {
            group: None,
            count: None,
            waits: false,
            deadline_ms: None,
            no_ack: false,
            keys: &[],
            ids: &[],
        };
        let mut rest = args.get(1..).unwrap_or_default();
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                [timeout, more @ ..] if is_word(word, "BLOCK") => {
                    if ctx.core.scripts.running.is_some() {
                        let name = ctx.command.name;
                        return Err(CommandError::text(format!(
                            "ERR {name} command is not allowed with BLOCK option from scripts"
                        )));
                    }
                    wish.waits = true;
                    wish.deadline_ms = deadline_ms(timeout, ctx.now_ms)?;
                    more
                }
                [count, more @ ..] if is_word(word, "COUNT") => {
                    wish.count = Some(entry_count(count)?).filter(|count| *count > 0);
                    more
                }
                [_, ..] if is_word(word, "STREAMS") => {
                    if !more.len().is_multiple_of(2) {
                        return Err(UNBALANCED);
                    }
                    (wish.keys, wish.ids) = more.split_at(more.len() / 2);
                    &[]
                }
                [group, consumer, more @ ..] if is_word(word, "GROUP") => {
                    if !in_group {
                        return Err(CommandError::text(format!("ERR The GROUP {ONLY}")));
                    }
                    wish.group = Some((group, consumer));
                    more
                }
                more if is_word(word, "NOACK") => {
                    if !in_group {
                        return Err(CommandError::text(format!("ERR The NOACK {ONLY}")));
                    }
                    wish.no_ack = true;
                    more
                }
                _ => return Err(CommandError::SYNTAX),
            };
        }
        if wish.keys.is_empty() {
            return Err(CommandError::SYNTAX);
        }
        if in_group && wish.group.is_none() {
            return Err(CommandError::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(wish)
    }

    /// The places to read from; each group has to be there.
    fn places(&self, ctx: &mut Ctx<'_>) -> Result<Vec<After>, CommandError> {
        let woken = ctx.woken;
        let mut places = Vec::with_capacity(self.keys.len());
        for (key, id) in self.keys.iter().zip(self.ids) {
            let mut keys = ctx.keys();
            let stream = match (keys.stream(key), self.group) {
                (Err(_) | Ok(None), Some(_)) if woken => return Err(GONE),
                // A key that turned into something else is one more to wait for.
                (Err(_), None) if woken => None,
                (stream, _) => stream?,
            };
            if let Some((group, _)) = self.group
                && stream.is_none_or(|stream| stream.groups.get(group).is_none())
            {
                let where_from = " in XREADGROUP with GROUP option";
                return Err(if woken { GROUP_GONE } else { no_group(key, group, where_from) });
            }
            places.push(match *id {
                b"$" if self.group.is_some() => return Err(NO_DOLLAR),
                b"$" => After::Id(stream.map_or(StreamId::MIN, |stream| stream.log.last_id)),
                b">" if self.group.is_none() => return Err(NO_NEW),
                b">" => After::New,
                id => match ids::strict(id, 0)? {
                    StreamId::MAX if self.group.is_some() => After::New,
                    id => After::Id(id),
                },
            });
        }
        Ok(places)
    }

    /// Waits for the streams, from the places on.
    fn wait(&self, ctx: &Ctx<'_>, places: &[After]) -> Outcome {
        let keys = self.keys.iter().map(|key| key.to_vec()).collect();
        let deadline_ms = self.deadline_ms;
        let block = Block { keys, deadline_ms, timeout_reply: TimeoutReply::NullArray };
        let mut words: Vec<Vec<u8>> = ctx.args.iter().map(|arg| arg.to_vec()).collect();
        for (word, place) in words.iter_mut().rev().zip(places.iter().rev()) {
            if let After::Id(id) = place {
                *word = id.to_string().into_bytes();
            }
        }
        Outcome::BlockAs(block, words)
    }
}

// Redis names XREAD and $ whichever of both commands it is.
const UNBALANCED: CommandError = CommandError::new(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);
const NO_DOLLAR: CommandError = CommandError::new(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would \
     just return an empty result set.",
);
const NO_NEW: CommandError = CommandError::new(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
     <consumer> option.",
);
const GONE: CommandError = CommandError::new("UNBLOCKED the stream key no longer exists");
const GROUP_GONE: CommandError =
    CommandError::new("NOGROUP the consumer group this client was blocked on no longer exists");

/// `XREAD [COUNT n] [BLOCK ms] STREAMS key... id...`
pub(super) fn xread(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    read(ctx, args, false)
}

/// `XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS key... id...`
pub(super) fn xreadgroup(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    read(ctx, args, true)
}

fn read(ctx: &mut Ctx<'_>, args: &[&[u8]], in_group: bool) -> Ended {
    let wish = Wish::parse(ctx, args, in_group)?;
    let places = wish.places(ctx)?;
    let default = if ctx.woken { WOKEN_COUNT } else { usize::MAX };
    let count = wish.count.unwrap_or(default);
    let mark = ctx.reply.mark();
    let mut served = 0;
    for (key, place) in wish.keys.iter().zip(&places) {
        let gave = match (wish.group, *place) {
            (Some(group), place) => serve_group(ctx, key, group, place, count, wish.no_ack)?,
            (None, After::Id(id)) => serve(ctx, key, id, count),
            (None, After::New) => false,
        };
        served += usize::from(gave);
    }
    if served > 0 {
        if ctx.reply.is_resp3() {
            ctx.reply.map_at(mark, served);
        } else {
            ctx.reply.array_at(mark, served);
        }
        return DONE;
    }
    if wish.waits {
        return Ok(wish.wait(ctx, &places));
    }
    ctx.reply.null_array();
    DONE
}

/// Opens the reply of one stream: a pair in RESP2, an entry of the map in RESP3.
fn write_key(reply: &mut ReplyBuf, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

/// Writes what is new in a stream; false when nothing is.
fn serve(ctx: &mut Ctx<'_>, key: &[u8], after: StreamId, count: usize) -> bool {
    let (mut keys, reply) = ctx.split();
    let Ok(Some(stream)) = keys.stream(key) else { return false };
    let Some(start) = after.next().filter(|_| stream.log.last_entry_id() > after) else {
        return false;
    };
    write_key(reply, key);
    let mark = reply.mark();
    let mut written = 0;
    for entry in stream.log.iter(start, StreamId::MAX).take(count) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.array_at(mark, written);
    true
}

/// Gives a consumer what is new for its group, or lists its history; false when there is nothing.
fn serve_group(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    (name, consumer): (&[u8], &[u8]),
    place: After,
    count: usize,
    no_ack: bool,
) -> Result<bool, CommandError> {
    let has_new = ctx.keys().stream(key)?.is_some_and(|stream| {
        let last_id = stream.groups.get(name).map_or(StreamId::MAX, |group| group.last_id);
        !stream.log.is_empty() && stream.log.last_entry_id() > last_id
    });
    if place == After::New && !has_new {
        return Ok(false);
    }
    let now_ms = ctx.now_ms;
    let (mut keys, reply) = ctx.split();
    let given = keys.change_stream(key, Missing::Skip, |stream, _| {
        let Stream { log, groups } = stream;
        groups.change(name, |group| {
            let is_new = group.see(consumer, now_ms);
            let mut given = Given { is_new, claimed: Vec::new(), position: None };
            write_key(reply, key);
            match place {
                After::New => given.take(log, group, consumer, (now_ms, count, no_ack), reply),
                After::Id(id) => write_history(log, group, consumer, (id, now_ms, count), reply),
            }
            given
        })
    })?;
    let Some(given) = given.flatten() else { return Ok(false) };
    given.tell(ctx, key, name, consumer);
    Ok(true)
}

/// What XREADGROUP did to a group.
struct Given {
    is_new: bool,
    claimed: Vec<Claimed>,
    position: Option<(StreamId, Option<u64>)>,
}

impl Given {
    /// Gives new entries to a consumer and writes them.
    fn take(
        &mut self,
        log: &Log,
        group: &mut Group,
        consumer: &[u8],
        (now_ms, count, no_ack): (i64, usize, bool),
        reply: &mut ReplyBuf,
    ) {
        let Some(start) = group.last_id.next() else { return };
        let mark = reply.mark();
        let mut written = 0;
        for entry in log.iter(start, StreamId::MAX).take(count) {
            let id = entry.id;
            group.entries_read = match group.entries_read {
                Some(read) if !log.has_tombstone_from(id) => Some(read.wrapping_add(1)),
                _ if log.entries_added > 0 => log.added_up_to(id),
                read => read,
            };
            group.last_id = id;
            write_entry(reply, &entry);
            written += 1;
            if !no_ack {
                group.assign(id, consumer, now_ms, 1);
                self.claimed.push(Claimed {
                    id,
                    consumer: consumer.to_vec(),
                    delivered_ms: now_ms,
                    deliveries: 1,
                    last_id: id,
                });
            }
        }
        self.position = Some((group.last_id, group.entries_read));
        reply.array_at(mark, written);
    }

    /// Tells replicas, and who listens.
    fn tell(&self, ctx: &mut Ctx<'_>, key: &[u8], group: &[u8], consumer: &[u8]) {
        if self.is_new {
            if self.claimed.is_empty() {
                // Elsewhere XCLAIM brings the consumer along.
                ctx.effect_consumer(key, group, consumer);
            }
            ctx.notify(EventClass::Stream, "xgroup-createconsumer", key);
        }
        for claimed in &self.claimed {
            ctx.effect_claimed(key, group, claimed);
        }
        if let Some(position) = self.position {
            ctx.effect_position(key, group, position);
        }
        if self.is_new || self.position.is_some() {
            ctx.touched(key);
        }
    }
}

/// Writes what a consumer was given behind an id and has not acknowledged.
fn write_history(
    log: &Log,
    group: &mut Group,
    consumer: &[u8],
    (after, now_ms, count): (StreamId, i64, usize),
    reply: &mut ReplyBuf,
) {
    let start = after.next().unwrap_or(StreamId::MAX);
    let pending = group.consumer(consumer).map(|owner| owner.pending_from(start).take(count));
    let ids: Vec<StreamId> = pending.into_iter().flatten().collect();
    reply.array(ids.len());
    for id in ids {
        match log.get(id) {
            Some(entry) => {
                write_entry(reply, &entry);
                group.deliver_again(id, now_ms);
            }
            None => {
                reply.array(2);
                write_id(reply, id);
                reply.null_array();
            }
        }
    }
}
