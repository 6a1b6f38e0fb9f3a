//! XPENDING: what consumers were given and have not acknowledged.
//!
//! Not known here: how that changes.

use holdfast_store::stream::{Group, Pending, StreamId};
use holdfast_wire::resp::ReplyBuf;

use super::access::{no_group, write_id};
use super::ids;
use super::range::entry_count;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};

/// Which entries are listed.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Self, CommandError> {
        let (idle_ms, args) = match args {
            [word, idle, rest @ ..] if is_word(word, "IDLE") => (integer(idle)?, rest),
            _ => (0, args),
        };
        let (start, end, count, consumer) = match *args {
            [start, end, count] => (start, end, count, None),
            [start, end, count, consumer] => (start, end, count, Some(consumer)),
            [start, end, count, consumer, ..] if idle_ms == 0 => {
                (start, end, count, Some(consumer))
            }
            _ => return Err(CommandError::SYNTAX),
        };
        let count = entry_count(count)?;
        let (start, end) = (ids::start(start)?, ids::end(end)?);
        Ok(Self { idle_ms, start, end, count, consumer })
    }

    fn list(&self, group: &Group, now_ms: i64, reply: &mut ReplyBuf) {
        let mark = reply.mark();
        let mut written = 0;
        let mut write = |id: StreamId, pending: &Pending| {
            if written == self.count {
                return false;
            }
            let idle_ms = now_ms.saturating_sub(pending.delivered_ms);
            if self.idle_ms == 0 || idle_ms >= self.idle_ms {
                reply.array(4);
                write_id(reply, id);
                reply.bulk(&pending.consumer);
                reply.integer(idle_ms.max(0));
                reply.integer(pending.deliveries as i64);
                written += 1;
            }
            true
        };
        match self.consumer {
            None => {
                let all = group.pending().iter_from(self.start);
                let _ = all.take_while(|(id, _)| *id <= self.end).all(|(id, p)| write(id, p));
            }
            Some(name) => {
                let of = group.consumer(name).map(|consumer| consumer.pending_from(self.start));
                let ids = of.into_iter().flatten().take_while(|id| *id <= self.end);
                let _ = ids
                    .filter_map(|id| Some((id, group.pending().get(id)?)))
                    .all(|(id, pending)| write(id, pending));
            }
        }
        reply.array_at(mark, written);
    }
}

fn summarise(group: &Group, reply: &mut ReplyBuf) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let mut ids = pending.iter().map(|(id, _)| id);
    let Some(first) = ids.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, ids.next_back().unwrap_or(first));
    let mark = reply.mark();
    let mut written = 0;
    for (name, consumer) in group.consumers().filter(|(_, consumer)| consumer.pending() > 0) {
        reply.array(2);
        reply.bulk(name);
        reply.bulk_integer(consumer.pending() as i64);
        written += 1;
    }
    reply.array_at(mark, written);
}

/// `XPENDING key group [[IDLE ms] start end count [consumer]]`
pub(super) fn xpending(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, now_ms) = (args[1], args[2], ctx.now_ms);
    if args.len() != 3 && !(6..=9).contains(&args.len()) {
        return Err(CommandError::SYNTAX);
    }
    let filter = match args.get(3..).unwrap_or_default() {
        [] => None,
        rest => Some(Filter::parse(rest)?),
    };
    let (mut keys, reply) = ctx.split();
    let group = keys.stream(key)?.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_group(key, name, ""))?;
    match filter {
        None => summarise(group, reply),
        Some(filter) => filter.list(group, now_ms, reply),
    }
    DONE
}
