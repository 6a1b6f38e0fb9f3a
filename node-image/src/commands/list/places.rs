//! Elements at places in the middle of lists, and searching for them.

use holdfast_store::list::{End, List};

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer, integer_or, is_word, range};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// The index that a place means, negative ones from the end.
fn index(place: i64, len: usize) -> Option<usize> {
    let index = if place < 0 { place.checked_add(len as i64)? } else { place };
    usize::try_from(index).ok()
}

/// `LINDEX key place`
pub(super) fn lindex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let Some(list) = keys.list(args[1])? else {
        reply.null();
        return DONE;
    };
    let place = integer(args[2])?;
    match index(place, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply.bulk(element),
        None => reply.null(),
    }
    DONE
}

/// `LSET key place element`
pub(super) fn lset(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().list(args[1])?.ok_or(CommandError::NO_SUCH_KEY)?.len();
    let place = integer(args[2])?;
    let index = index(place, len).ok_or(CommandError::INDEX_OUT_OF_RANGE)?;
    let set = ctx.keys().change_list(args[1], Missing::Skip, |list, _| list.set(index, args[3]))?;
    if set != Some(true) {
        return Err(CommandError::INDEX_OUT_OF_RANGE);
    }
    ctx.changed_by(EventClass::List, "lset", args[1]);
    ctx.reply.ok();
    DONE
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let behind = if is_word(args[2], "AFTER") {
        1
    } else if is_word(args[2], "BEFORE") {
        0
    } else {
        return Err(CommandError::SYNTAX);
    };
    let (mut keys, reply) = ctx.split();
    let Some(list) = keys.list(args[1])? else {
        reply.integer(0);
        return DONE;
    };
    let Some(place) = list.iter().position(|element| element == args[3]) else {
        reply.integer(-1);
        return DONE;
    };
    let len = ctx.keys().change_list(args[1], Missing::Skip, |list, limits| {
        list.insert(place + behind, args[4], limits);
        list.len()
    })?;
    ctx.changed_by(EventClass::List, "linsert", args[1]);
    ctx.reply.integer(len.unwrap_or(0) as i64);
    DONE
}

/// `LRANGE key start end`
pub(super) fn lrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let (mut keys, reply) = ctx.split();
    let Some(list) = keys.list(args[1])? else {
        reply.array(0);
        return DONE;
    };
    let (start, count) = range(start, end, list.len());
    reply.array(count);
    list.iter_from(start).take(count).for_each(|element| reply.bulk(element));
    DONE
}

/// `LTRIM key start end`
pub(super) fn ltrim(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let trimmed = ctx.keys().change_list(args[1], Missing::Skip, |list, _| {
        let len = list.len();
        let (start, count) = range(start, end, len);
        list.remove_from(End::Right, len - start - count);
        list.remove_from(End::Left, start);
        list.len() != len
    })?;
    if trimmed == Some(true) {
        ctx.changed(args[1]);
    }
    if trimmed.is_some() {
        ctx.notify(EventClass::List, "ltrim", args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.ok();
    DONE
}

/// `LREM key count element`: all with a count of 0, from the end with a negative one.
pub(super) fn lrem(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let count = integer(args[2])?;
    let from = if count < 0 { End::Right } else { End::Left };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed = ctx
        .keys()
        .change_list(args[1], Missing::Skip, |list, _| list.remove_equal(args[3], most, from))?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.changed_by(EventClass::List, "lrem", args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.integer(removed as i64);
    DONE
}

#[derive(Debug)]
struct Search {
    /// Matches to pass by, and from which end.
    skipped: usize,
    from: End,
    /// All with `Some(0)`.
    count: Option<usize>,
    /// Elements to look at, all with 0.
    depth: usize,
}

impl Search {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        const RANK: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from \
                            the second ... or use negative to start from the end of the list";
        let (pairs, rest) = args.as_chunks::<2>();
        let mut search = Self { skipped: 0, from: End::Left, count: None, depth: 0 };
        for [word, number] in pairs {
            if is_word(word, "RANK") {
                let rank = integer(number)?;
                if rank == 0 {
                    return Err(CommandError::new(RANK));
                }
                search.from = if rank < 0 { End::Right } else { End::Left };
                // The least number has no positive twin; Redis 7.0 takes it for the last match.
                search.skipped = rank.checked_neg().map_or(0, |_| rank.unsigned_abs() - 1) as usize;
            } else if is_word(word, "COUNT") {
                search.count = Some(positive(number, "ERR COUNT can't be negative")?);
            } else if is_word(word, "MAXLEN") {
                search.depth = positive(number, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        if rest.is_empty() { Ok(search) } else { Err(CommandError::SYNTAX) }
    }

    fn places(&self, list: &List, element: &[u8]) -> Vec<usize> {
        let depth = if self.depth == 0 { list.len() } else { self.depth };
        let most = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let found = |(_, kept): &(usize, &[u8])| *kept == element;
        let last = list.len().saturating_sub(1);
        match self.from {
            End::Left => {
                let all = list.iter().enumerate().take(depth).filter(found);
                all.skip(self.skipped).take(most).map(|(step, _)| step).collect()
            }
            End::Right => {
                let all = list.iter().rev().enumerate().take(depth).filter(found);
                all.skip(self.skipped).take(most).map(|(step, _)| last - step).collect()
            }
        }
    }
}

fn positive(arg: &[u8], text: &'static str) -> Result<usize, CommandError> {
    usize::try_from(integer_or(arg, text)?).map_err(|_| CommandError::new(text))
}

/// `LPOS key element [RANK n] [COUNT n] [MAXLEN n]`
pub(super) fn lpos(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let search = Search::parse(args.get(3..).unwrap_or_default())?;
    let (mut keys, reply) = ctx.split();
    let places = match keys.list(args[1])? {
        Some(list) => search.places(list, args[2]),
        None => Vec::new(),
    };
    if search.count.is_some() {
        reply.array(places.len());
        for place in places {
            reply.integer(place as i64);
        }
    } else {
        match places.first() {
            Some(place) => reply.integer(*place as i64),
            None => reply.null(),
        }
    }
    DONE
}
