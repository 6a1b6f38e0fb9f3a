//! Taking members from either end of a sorted set.
//!
//! What was taken by a command that names several keys reaches replicas as ZPOPMIN or ZPOPMAX of
//! the one key that had something.

use holdfast_store::number::IntText;

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{count, is_word, pop_many};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// An end of a sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum End {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl End {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            word if is_word(word, "MIN") => Ok(Self::Min),
            word if is_word(word, "MAX") => Ok(Self::Max),
            _ => Err(CommandError::SYNTAX),
        }
    }

    /// The command that takes from it.
    pub(in crate::commands) fn pop_name(self) -> &'static [u8] {
        match self {
            Self::Min => b"ZPOPMIN",
            Self::Max => b"ZPOPMAX",
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Min => "zpopmin",
            Self::Max => "zpopmax",
        }
    }
}

/// Members with their scores.
type Taken = Vec<(Vec<u8>, f64)>;

/// Takes at most `wanted` members from an end; `None` without a key. Says what happened to those
/// who listen, not to replicas.
pub(in crate::commands) fn take(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    wanted: usize,
) -> Result<Option<Taken>, CommandError> {
    let taken = ctx.keys().change_sorted_set(key, Missing::Skip, |set, _| {
        let count = wanted.min(set.len());
        let start = if end == End::Min { 0 } else { set.len() - count };
        let mut taken: Taken =
            set.range(start, count).map(|(member, score)| (member.to_vec(), score)).collect();
        if end == End::Max {
            taken.reverse();
        }
        set.remove_range(start, count);
        taken
    })?;
    if taken.is_some() {
        ctx.touched(key);
        ctx.notify(EventClass::SortedSet, end.event(), key);
        ctx.notify_if_gone(key);
    }
    Ok(taken)
}

fn pop(ctx: &mut Ctx<'_>, args: &[&[u8]], end: End) -> Ended {
    let key = args[1];
    let wanted = match args {
        [_, _] => None,
        [_, _, arg] => Some(count(arg)?),
        _ => return Err(CommandError::SYNTAX),
    };
    if wanted == Some(0) {
        ctx.keys().sorted_set(key)?;
        ctx.reply.array(0);
        return DONE;
    }
    let Some(taken) = take(ctx, key, end, wanted.unwrap_or(1))? else {
        ctx.reply.array(0);
        return DONE;
    };
    ctx.effect_verbatim();
    // One pair is flat, even in RESP3, unless a count was given.
    let nested = ctx.reply.is_resp3() && wanted.is_some();
    ctx.reply.array(if nested { taken.len() } else { taken.len() * 2 });
    for (member, score) in &taken {
        if nested {
            ctx.reply.array(2);
        }
        ctx.reply.bulk(member);
        ctx.reply.double(*score);
    }
    DONE
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Min)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    pop(ctx, args, End::Max)
}

/// What ZMPOP and BZMPOP ask for.
pub(in crate::commands) struct PopMany<'a> {
    pub(in crate::commands) keys: &'a [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a> PopMany<'a> {
    /// `numkeys key... MIN|MAX [COUNT n]`
    pub(in crate::commands) fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let (keys, end, count) = pop_many(args, End::parse)?;
        Ok(Self { keys, end, count })
    }

    /// Takes from the first key that has a sorted set and writes the reply; false without any.
    pub(in crate::commands) fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, CommandError> {
        for key in self.keys {
            let taken = match take(ctx, key, self.end, self.count) {
                // BZMPOP goes on waiting for a key that turned into something else.
                Err(_) if ctx.woken => continue,
                result => result?,
            };
            let Some(taken) = taken else { continue };
            ctx.effect(&[self.end.pop_name(), key, &IntText::new(taken.len() as i64)]);
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            ctx.reply.array(taken.len());
            for (member, score) in &taken {
                ctx.reply.array(2);
                ctx.reply.bulk(member);
                ctx.reply.double(*score);
            }
            return Ok(true);
        }
        Ok(false)
    }
}

/// `ZMPOP numkeys key... MIN|MAX [COUNT n]`
pub(super) fn zmpop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let wish = PopMany::parse(args.get(1..).unwrap_or_default())?;
    if !wish.run(ctx)? {
        ctx.reply.null_array();
    }
    DONE
}
