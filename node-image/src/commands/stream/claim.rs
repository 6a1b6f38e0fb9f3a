//! XCLAIM and XAUTOCLAIM: pending entries get another consumer.
//!
//! Replicas and the file get XCLAIM of each entry with absolute times and counts. An entry that is
//! no longer in the stream stops being pending; the same XCLAIM tells it, since it finds no entry
//! there either.
//!
//! Not known here: how entries became pending.

use holdfast_store::stream::{Group, Log, Pending, Stream, StreamId};
use holdfast_wire::resp::ReplyBuf;

use super::access::{Claimed, no_group, write_entry, write_id};
use super::ids;
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer_or, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// XAUTOCLAIM looks at so many entries for each one that it may claim.
const LOOKS_PER_CLAIM: usize = 10;

/// Options of XCLAIM.
struct Options {
    idle_min_ms: i64,
    ids: Vec<StreamId>,
    delivered_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(args: &[&[u8]], now_ms: i64) -> Result<Self, CommandError> {
        let idle_min_ms =
            integer_or(args[4], "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let all = args.get(5..).unwrap_or_default();
        let ids: Vec<_> = all.iter().map_while(|arg| ids::strict(arg, 0).ok()).collect();
        let mut rest = all.get(ids.len()..).unwrap_or_default();
        let (mut delivered_ms, mut deliveries) = (None, -1);
        let (mut force, mut just_id, mut last_id) = (false, false, StreamId::MIN);
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                more if is_word(word, "FORCE") => {
                    force = true;
                    more
                }
                more if is_word(word, "JUSTID") => {
                    just_id = true;
                    more
                }
                [idle, more @ ..] if is_word(word, "IDLE") => {
                    let idle = integer_or(idle, "ERR Invalid IDLE option argument for XCLAIM")?;
                    delivered_ms = Some(now_ms.wrapping_sub(idle));
                    more
                }
                [time, more @ ..] if is_word(word, "TIME") => {
                    let time = integer_or(time, "ERR Invalid TIME option argument for XCLAIM")?;
                    delivered_ms = Some(time);
                    more
                }
                [number, more @ ..] if is_word(word, "RETRYCOUNT") => {
                    let error = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
                    deliveries = integer_or(number, error)?;
                    more
                }
                [id, more @ ..] if is_word(word, "LASTID") => {
                    last_id = ids::strict(id, 0)?;
                    more
                }
                _ => {
                    let word = String::from_utf8_lossy(word);
                    let error = format!("ERR Unrecognized XCLAIM option '{word}'");
                    return Err(CommandError::text(error));
                }
            };
        }
        // A time that has not come, or never was, is now: clients' clocks differ.
        let delivered_ms = delivered_ms.filter(|at| (0..=now_ms).contains(at)).unwrap_or(now_ms);
        let deliveries = u64::try_from(deliveries).ok();
        Ok(Self { idle_min_ms, ids, delivered_ms, deliveries, force, just_id, last_id })
    }
}

/// What became of a group.
#[derive(Default)]
struct Changes {
    is_new: bool,
    /// The group's position, when only that was told.
    position: Option<(StreamId, Option<u64>)>,
    claimed: Vec<Claimed>,
}

impl Changes {
    fn note(&mut self, id: StreamId, pending: &Pending, last_id: StreamId) {
        self.claimed.push(Claimed {
            id,
            consumer: pending.consumer.to_vec(),
            delivered_ms: pending.delivered_ms,
            deliveries: pending.deliveries,
            last_id,
        });
    }

    fn tell(&self, ctx: &mut Ctx<'_>, key: &[u8], group: &[u8]) {
        if self.is_new {
            ctx.notify(EventClass::Stream, "xgroup-createconsumer", key);
        }
        for claimed in &self.claimed {
            ctx.effect_claimed(key, group, claimed);
        }
        if let Some(position) = self.position {
            ctx.effect_position(key, group, position);
        }
        if self.position.is_some() || !self.claimed.is_empty() {
            ctx.touched(key);
        }
    }
}

fn has_group(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<(), CommandError> {
    let (key, name) = (args[1], args[2]);
    match ctx.keys().stream(key)?.and_then(|stream| stream.groups.get(name)) {
        Some(_) => Ok(()),
        None => Err(no_group(key, name, "")),
    }
}

/// `XCLAIM key group consumer min-idle id... [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID]
/// [LASTID id]`
pub(super) fn xclaim(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, consumer, now_ms) = (args[1], args[2], args[3], ctx.now_ms);
    has_group(ctx, args)?;
    let options = Options::parse(args, now_ms)?;
    let (mut keys, reply) = ctx.split();
    let changes = keys.change_stream(key, Missing::Skip, |stream, _| {
        let Stream { log, groups } = stream;
        groups.change(name, |group| {
            let mut changes = Changes::default();
            if options.last_id > group.last_id {
                group.last_id = options.last_id;
                changes.position = Some((group.last_id, group.entries_read));
            }
            let mark = reply.mark();
            let mut written = 0;
            for id in &options.ids {
                if claim(log, group, (*id, consumer, now_ms), &options, &mut changes) {
                    write_claimed(log, *id, options.just_id, reply);
                    written += 1;
                }
            }
            reply.array_at(mark, written);
            changes
        })
    })?;
    if let Some(mut changes) = changes.flatten() {
        if !changes.claimed.is_empty() {
            changes.position = None;
        }
        changes.tell(ctx, key, name);
    }
    DONE
}

/// Claims one entry; false when it is not to be had.
fn claim(
    log: &Log,
    group: &mut Group,
    (id, consumer, now_ms): (StreamId, &[u8], i64),
    options: &Options,
    changes: &mut Changes,
) -> bool {
    let pending = group.pending().get(id).cloned();
    if log.get(id).is_none() {
        if let Some(pending) = pending {
            changes.note(id, &pending, group.last_id);
            group.acknowledge(id);
        }
        return false;
    }
    let before = match pending {
        Some(pending) => {
            let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
            if options.idle_min_ms > 0 && idle_ms < options.idle_min_ms {
                return false;
            }
            pending.deliveries
        }
        None if options.force => 1,
        None => return false,
    };
    let again = before.wrapping_add(u64::from(!options.just_id));
    let deliveries = options.deliveries.unwrap_or(again);
    changes.is_new |= group.see(consumer, now_ms);
    group.assign(id, consumer, options.delivered_ms, deliveries);
    if let Some(pending) = group.pending().get(id) {
        changes.note(id, pending, group.last_id);
    }
    true
}

fn write_claimed(log: &Log, id: StreamId, just_id: bool, reply: &mut ReplyBuf) {
    match log.get(id) {
        Some(entry) if !just_id => write_entry(reply, &entry),
        _ => write_id(reply, id),
    }
}

/// Options of XAUTOCLAIM.
struct AutoOptions {
    idle_min_ms: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

impl AutoOptions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        const COUNT_MAX: i64 = i64::MAX / 16;
        let idle_min_ms =
            integer_or(args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
        let mut options =
            Self { idle_min_ms, start: ids::start(args[5])?, count: 100, just_id: false };
        let mut rest = args.get(6..).unwrap_or_default();
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                [number, more @ ..] if is_word(word, "COUNT") => {
                    const BAD: &str = "ERR COUNT must be > 0";
                    let number = integer_or(number, BAD)?;
                    if !(1..=COUNT_MAX).contains(&number) {
                        return Err(CommandError::new(BAD));
                    }
                    options.count = number as usize;
                    more
                }
                more if is_word(word, "JUSTID") => {
                    options.just_id = true;
                    more
                }
                _ => return Err(CommandError::SYNTAX),
            };
        }
        Ok(options)
    }
}

/// `XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID]`
pub(super) fn xautoclaim(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, consumer, now_ms) = (args[1], args[2], args[3], ctx.now_ms);
    let options = AutoOptions::parse(args)?;
    has_group(ctx, args)?;
    let (mut keys, reply) = ctx.split();
    let changes = keys.change_stream(key, Missing::Skip, |stream, _| {
        let Stream { log, groups } = stream;
        groups.change(name, |group| {
            let mut changes = Changes::default();
            claim_idle(log, group, (consumer, now_ms), &options, &mut changes, reply);
            changes
        })
    })?;
    if let Some(changes) = changes.flatten() {
        changes.tell(ctx, key, name);
    }
    DONE
}

/// Looks at pending entries in order and claims those that have been idle for long.
fn claim_idle(
    log: &Log,
    group: &mut Group,
    (consumer, now_ms): (&[u8], i64),
    options: &AutoOptions,
    changes: &mut Changes,
    reply: &mut ReplyBuf,
) {
    let looks = options.count.saturating_mul(LOOKS_PER_CLAIM);
    let mut left = options.count;
    let (mut claimed, mut gone, mut next) = (Vec::new(), Vec::new(), None);
    for (looked, (id, pending)) in group.pending().iter_from(options.start).enumerate() {
        if looked == looks || left == 0 {
            next = Some(id);
            break;
        }
        if log.get(id).is_none() {
            changes.note(id, pending, group.last_id);
            gone.push(id);
            left -= 1;
        } else {
            let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
            if options.idle_min_ms == 0 || idle_ms >= options.idle_min_ms {
                let deliveries = pending.deliveries.wrapping_add(u64::from(!options.just_id));
                let consumer = consumer.into();
                let pending = Pending { consumer, delivered_ms: now_ms, deliveries };
                changes.note(id, &pending, group.last_id);
                claimed.push((id, deliveries));
                left -= 1;
            }
        }
    }
    reply.array(3);
    write_id(reply, next.unwrap_or(StreamId::MIN));
    reply.array(claimed.len());
    for (id, deliveries) in claimed {
        changes.is_new |= group.see(consumer, now_ms);
        group.assign(id, consumer, now_ms, deliveries);
        write_claimed(log, id, options.just_id, reply);
    }
    reply.array(gone.len());
    for id in gone {
        group.acknowledge(id);
        write_id(reply, id);
    }
}
