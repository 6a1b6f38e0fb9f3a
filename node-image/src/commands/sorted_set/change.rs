//! Setting scores and removing members.

use holdfast_store::float;
use holdfast_store::sorted_set::SortedSet;

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

const NOT_A_NUMBER: CommandError = CommandError::new("ERR resulting score is not a number (NaN)");

/// When ZADD and GEOADD leave a member alone, and what they answer.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::commands) struct Conditions {
    /// `NX`: only members that are new.
    pub(in crate::commands) only_new: bool,
    /// `XX`: only members that are there.
    pub(in crate::commands) only_old: bool,
    /// `GT`: only to a higher score.
    only_up: bool,
    /// `LT`: only to a lower score.
    only_down: bool,
    /// `CH`: the answer counts what has changed, not what is new.
    pub(in crate::commands) count_changed: bool,
    /// `INCR`: the score is added to the old one.
    add: bool,
}

impl Conditions {
    /// Reads the words behind the key; the first that is none of them begins the pairs.
    fn parse(args: &[&[u8]]) -> (Self, usize) {
        let mut conditions = Self::default();
        for (at, arg) in args.iter().enumerate() {
            let which = match arg.to_ascii_uppercase().as_slice() {
                b"NX" => &mut conditions.only_new,
                b"XX" => &mut conditions.only_old,
                b"GT" => &mut conditions.only_up,
                b"LT" => &mut conditions.only_down,
                b"CH" => &mut conditions.count_changed,
                b"INCR" => &mut conditions.add,
                _ => return (conditions, at),
            };
            *which = true;
        }
        (conditions, args.len())
    }

    fn check(&self, pairs: usize) -> Result<(), CommandError> {
        if self.only_new && self.only_old {
            return Err(CommandError::new(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let directed = self.only_up || self.only_down;
        if (self.only_new && directed) || (self.only_up && self.only_down) {
            return Err(CommandError::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.add && pairs > 1 {
            return Err(CommandError::new(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score that a member gets; `None` when it is left alone.
    fn outcome(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else {
            return Ok((!self.only_old).then_some(given));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.add { old + given } else { given };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        let refused = (self.only_up && score <= old) || (self.only_down && score >= old);
        Ok((!refused).then_some(score))
    }
}

/// What became of the pairs.
#[derive(Debug, Default)]
pub(in crate::commands) struct Tally {
    new: usize,
    moved: usize,
    /// The score of the last member, unless it was left alone.
    last: Option<f64>,
}

impl Tally {
    /// What ZADD answers without INCR.
    pub(in crate::commands) fn count(&self, conditions: Conditions) -> i64 {
        (self.new + if conditions.count_changed { self.moved } else { 0 }) as i64
    }

    pub(in crate::commands) fn has_changed(&self) -> bool {
        self.new + self.moved > 0
    }
}

/// Sets the scores of members.
pub(in crate::commands) fn set_scores(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    conditions: Conditions,
    pairs: &[(f64, &[u8])],
) -> Result<Tally, CommandError> {
    let missing = if conditions.only_old { Missing::Skip } else { Missing::Create };
    let tally = ctx.keys().change_sorted_set(key, missing, |set, limits| {
        let mut tally = Tally::default();
        for (given, member) in pairs {
            let old = set.score(member);
            tally.last = conditions.outcome(old, *given)?;
            let Some(score) = tally.last else { continue };
            match old {
                None => tally.new += 1,
                Some(old) if old != score => tally.moved += 1,
                Some(_) => continue,
            }
            set.set(member, score, limits);
        }
        Ok(tally)
    })?;
    tally.unwrap_or_else(|| Ok(Tally::default()))
}

fn add(ctx: &mut Ctx<'_>, args: &[&[u8]], conditions: Conditions, first: usize) -> Ended {
    let (pairs, rest) = args.get(first..).unwrap_or_default().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(CommandError::SYNTAX);
    }
    conditions.check(pairs.len())?;
    let pairs: Result<Vec<(f64, &[u8])>, CommandError> = pairs
        .iter()
        .map(|[score, member]| {
            Ok((float::to_f64(score).ok_or(CommandError::NOT_A_FLOAT)?, *member))
        })
        .collect();
    let tally = set_scores(ctx, args[1], conditions, &pairs?)?;
    if tally.has_changed() {
        ctx.changed(args[1]);
        let event = if conditions.add { "zincr" } else { "zadd" };
        ctx.notify(EventClass::SortedSet, event, args[1]);
    }
    match tally.last {
        Some(score) if conditions.add => ctx.reply.double(score),
        None if conditions.add => ctx.reply.null(),
        _ => ctx.reply.integer(tally.count(conditions)),
    }
    DONE
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member...`
pub(super) fn zadd(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (conditions, pairs) = Conditions::parse(args.get(2..).unwrap_or_default());
    add(ctx, args, conditions, pairs + 2)
}

/// `ZINCRBY key amount member`
pub(super) fn zincrby(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    add(ctx, args, Conditions { add: true, ..Conditions::default() }, 2)
}

/// `ZREM key member...`
pub(super) fn zrem(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let remove = |set: &mut SortedSet| {
        args.iter().skip(2).filter(|member| set.remove(member).is_some()).count()
    };
    let removed = ctx.keys().change_sorted_set(args[1], Missing::Skip, |set, _| remove(set))?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.changed(args[1]);
        ctx.notify(EventClass::SortedSet, "zrem", args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.integer(removed as i64);
    DONE
}
