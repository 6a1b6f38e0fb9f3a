//! Ranges of places, scores and names: given out, counted, stored, removed.

use holdfast_store::sorted_set::SortedSet;

use super::bounds::{By, Part, Range};
use super::look::{open, write};
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// Which words a command understands, and what it means without them.
#[derive(Debug, Clone, Copy)]
struct Dialect {
    by: By,
    backwards: bool,
    /// Whether BYSCORE, BYLEX and REV may be said.
    chooses: bool,
    /// Whether WITHSCORES may be said.
    gives_scores: bool,
}

impl Dialect {
    const fn fixed(by: By, backwards: bool) -> Self {
        Self { by, backwards, chooses: false, gives_scores: true }
    }
}

#[derive(Debug)]
struct Query<'a> {
    range: Range<'a>,
    backwards: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl<'a> Query<'a> {
    /// `min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
    fn parse(args: &[&'a [u8]], dialect: Dialect) -> Result<Self, CommandError> {
        let Dialect { mut by, mut backwards, chooses, gives_scores } = dialect;
        let (mut with_scores, mut limit) = (false, None);
        let mut options = args.iter().skip(2);
        while let Some(arg) = options.next() {
            if gives_scores && is_word(arg, "WITHSCORES") {
                with_scores = true;
            } else if is_word(arg, "LIMIT") {
                let offset = integer(options.next().ok_or(CommandError::SYNTAX)?);
                let count = options.next().ok_or(CommandError::SYNTAX)?;
                limit = Some((offset?, integer(count)?));
            } else if chooses && !backwards && is_word(arg, "REV") {
                backwards = true;
            } else if chooses && by == By::Place && is_word(arg, "BYLEX") {
                by = By::Name;
            } else if chooses && by == By::Place && is_word(arg, "BYSCORE") {
                by = By::Score;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        if by == By::Place && limit.is_some_and(|(_, count)| count != -1) {
            return Err(CommandError::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(CommandError::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = match args {
            [min, max, ..] if backwards && by != By::Place => (max, min),
            [min, max, ..] => (min, max),
            _ => return Err(CommandError::SYNTAX),
        };
        let limit = limit.filter(|_| by != By::Place);
        Ok(Self { range: Range::parse(by, min, max)?, backwards, with_scores, limit })
    }

    /// The part of a sorted set that is meant, LIMIT included.
    fn part(&self, set: &SortedSet) -> Part {
        let (start, len) = self.range.part(set, self.backwards);
        let Some((offset, count)) = self.limit else { return (start, len) };
        let offset = usize::try_from(offset).unwrap_or(len).min(len);
        let count = usize::try_from(count).unwrap_or(len).min(len - offset);
        // LIMIT counts from where the reply begins.
        (if self.backwards { start + len - offset - count } else { start + offset }, count)
    }
}

fn reply_with(ctx: &mut Ctx<'_>, args: &[&[u8]], dialect: Dialect) -> Ended {
    let query = Query::parse(args.get(2..).unwrap_or_default(), dialect)?;
    let (mut keys, reply) = ctx.split();
    let Some(set) = keys.sorted_set(args[1])? else {
        reply.array(0);
        return DONE;
    };
    let (start, count) = query.part(set);
    open(reply, count, query.with_scores);
    let mut members = set.range(start, count);
    for _ in 0..count {
        let next = if query.backwards { members.next_back() } else { members.next() };
        if let Some((member, score)) = next {
            write(reply, &member, score, query.with_scores);
        }
    }
    DONE
}

/// `ZRANGE key min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let dialect = Dialect { chooses: true, ..Dialect::fixed(By::Place, false) };
    reply_with(ctx, args, dialect)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Dialect::fixed(By::Place, true))
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Dialect::fixed(By::Score, false))
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Dialect::fixed(By::Score, true))
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Dialect::fixed(By::Name, false))
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Dialect::fixed(By::Name, true))
}

/// `ZRANGESTORE target source min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let dialect =
        Dialect { chooses: true, gives_scores: false, ..Dialect::fixed(By::Place, false) };
    let query = Query::parse(args.get(3..).unwrap_or_default(), dialect)?;
    let mut keys = ctx.keys();
    let limits = keys.limits();
    let mut result = SortedSet::new();
    if let Some(set) = keys.sorted_set(args[2])? {
        let (start, count) = query.part(set);
        for (member, score) in set.range(start, count) {
            result.set(&member, score, &limits);
        }
    }
    store(ctx, args[1], result);
    DONE
}

/// Puts a result in a key, whatever it held, and answers how many members it has. An empty result
/// leaves no key.
pub(in crate::commands) fn store(ctx: &mut Ctx<'_>, target: &[u8], result: SortedSet) {
    let len = result.len();
    let mut keys = ctx.keys();
    let existed = keys.remove(target);
    if len > 0 {
        keys.set(target, result, None);
    }
    if len > 0 || existed {
        ctx.changed(target);
        if len > 0 {
            ctx.notify(EventClass::SortedSet, ctx.command.name, target);
        }
        ctx.notify_if_gone(target);
    }
    ctx.reply.integer(len as i64);
}

fn count(ctx: &mut Ctx<'_>, args: &[&[u8]], by: By) -> Ended {
    let range = Range::parse(by, args[2], args[3])?;
    let part = ctx.keys().sorted_set(args[1])?.map(|set| range.part(set, false));
    ctx.reply.integer(part.map_or(0, |(_, count)| count as i64));
    DONE
}

/// `ZCOUNT key min max`
pub(super) fn zcount(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    count(ctx, args, By::Score)
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    count(ctx, args, By::Name)
}

fn remove(ctx: &mut Ctx<'_>, args: &[&[u8]], by: By) -> Ended {
    let range = Range::parse(by, args[2], args[3])?;
    let removed = ctx.keys().change_sorted_set(args[1], Missing::Skip, |set, _| {
        let (start, count) = range.part(set, false);
        set.remove_range(start, count);
        count
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.changed(args[1]);
        ctx.notify(EventClass::SortedSet, ctx.command.name, args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.integer(removed as i64);
    DONE
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    remove(ctx, args, By::Place)
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    remove(ctx, args, By::Score)
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    remove(ctx, args, By::Name)
}
