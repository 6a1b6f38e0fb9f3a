//! Operations between sorted sets, and sets, whose members all have the score 1.
//!
//! Union and intersection weigh the scores of each input and put them together; a difference
//! keeps the scores of the first input. The inputs are looked at in place.

use std::collections::BTreeMap;

use holdfast_store::float;
use holdfast_store::set::Set;
use holdfast_store::sorted_set::SortedSet;
use holdfast_store::{Limits, Value};

use super::look::{open, write};
use super::range::store;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, integer_or, is_word};
use crate::commands::{CommandError, Ctx};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            // Both infinities come to nothing.
            Self::Sum => numeric(left + right),
            Self::Min => left.min(right),
            Self::Max => left.max(right),
        }
    }
}

fn numeric(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What comes behind the keys.
#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Which options a command knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Members,
    Stored,
    Count,
}

impl Options {
    fn parse(
        args: &[&[u8]],
        keys: usize,
        operation: Operation,
        answer: Answer,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let weighs = operation != Operation::Difference && answer != Answer::Count;
        let mut rest = args;
        while let Some((word, behind)) = rest.split_first() {
            rest = behind;
            if weighs && is_word(word, "WEIGHTS") {
                let (weights, behind) = rest.split_at_checked(keys).ok_or(CommandError::SYNTAX)?;
                let weights = weights.iter().map(|weight| float::to_f64(weight));
                options.weights = weights
                    .collect::<Option<_>>()
                    .ok_or(CommandError::new("ERR weight value is not a float"))?;
                rest = behind;
            } else if weighs && is_word(word, "AGGREGATE") {
                let (word, behind) = rest.split_first().ok_or(CommandError::SYNTAX)?;
                options.aggregate = match *word {
                    word if is_word(word, "SUM") => Aggregate::Sum,
                    word if is_word(word, "MIN") => Aggregate::Min,
                    word if is_word(word, "MAX") => Aggregate::Max,
                    _ => return Err(CommandError::SYNTAX),
                };
                rest = behind;
            } else if answer == Answer::Members && is_word(word, "WITHSCORES") {
                options.with_scores = true;
            } else if answer == Answer::Count && is_word(word, "LIMIT") {
                const NEGATIVE: &str = "ERR LIMIT can't be negative";
                let (number, behind) = rest.split_first().ok_or(CommandError::SYNTAX)?;
                options.limit = usize::try_from(integer_or(number, NEGATIVE)?)
                    .map_err(|_| CommandError::new(NEGATIVE))?;
                rest = behind;
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(options)
    }
}

/// An input, with its weight.
#[derive(Debug, Clone, Copy)]
enum Members<'a> {
    Sorted(&'a SortedSet),
    Plain(&'a Set),
    None,
}

impl Members<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Sorted(set) => set.len(),
            Self::Plain(set) => set.len(),
            Self::None => 0,
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Sorted(set) => set.score(member),
            Self::Plain(set) => set.contains(member).then_some(1.0),
            Self::None => None,
        }
    }

    /// Shows all members, until `show` says that it is enough.
    fn each(&self, mut show: impl FnMut(&[u8], f64) -> bool) {
        match self {
            Self::Sorted(set) => {
                set.iter().all(|(member, score)| show(&member, score));
            }
            Self::Plain(set) => {
                set.iter().all(|member| show(&member, 1.0));
            }
            Self::None => {}
        }
    }
}

/// The inputs under some keys.
fn look_up<'a>(ctx: &'a mut Ctx<'_>, keys: &[&[u8]]) -> Result<Vec<Members<'a>>, CommandError> {
    // Asking for each first counts as a use, and removes what has expired.
    for key in keys {
        match ctx.keys().value(key) {
            None | Some(Value::SortedSet(_) | Value::Set(_)) => {}
            Some(_) => return Err(CommandError::WRONG_TYPE),
        }
    }
    let ctx: &'a Ctx<'_> = ctx;
    let inputs = keys.iter().map(|key| match ctx.core.store.peek(ctx.db, key, ctx.now_ms) {
        Some(Value::SortedSet(set)) => Members::Sorted(set),
        Some(Value::Set(set)) => Members::Plain(set),
        _ => Members::None,
    });
    Ok(inputs.collect())
}

/// Shows the members that all inputs have, with their scores put together.
fn intersect(
    inputs: &[(Members<'_>, f64)],
    aggregate: Aggregate,
    mut show: impl FnMut(&[u8], f64) -> bool,
) {
    let Some(((first, weight), others)) = inputs.split_first() else { return };
    first.each(|member, score| {
        let mut sum = numeric(score * weight);
        for (other, weight) in others {
            let Some(score) = other.score(member) else { return true };
            sum = aggregate.of(sum, numeric(score * weight));
        }
        show(member, sum)
    });
}

fn combine(
    operation: Operation,
    mut inputs: Vec<(Members<'_>, f64)>,
    aggregate: Aggregate,
    limits: &Limits,
) -> SortedSet {
    let mut result = SortedSet::new();
    if operation == Operation::Difference {
        let Some(((first, _), others)) = inputs.split_first() else { return result };
        first.each(|member, score| {
            if !others.iter().any(|(other, _)| other.score(member).is_some()) {
                result.set(member, score, limits);
            }
            true
        });
        return result;
    }
    // The smallest is walked first: it bounds an intersection, and the order in which scores are
    // added shows in their last digits.
    inputs.sort_by_key(|(members, _)| members.len());
    if operation == Operation::Intersection {
        intersect(&inputs, aggregate, |member, score| {
            result.set(member, score, limits);
            true
        });
        return result;
    }
    let mut scores: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    for (members, weight) in &inputs {
        members.each(|member, score| {
            let score = numeric(score * weight);
            match scores.get_mut(member) {
                Some(sum) => *sum = aggregate.of(*sum, score),
                None => drop(scores.insert(member.to_vec(), score)),
            }
            true
        });
    }
    for (member, score) in &scores {
        result.set(member, *score, limits);
    }
    result
}

/// Arguments.
type Words<'a> = &'a [&'a [u8]];

/// Splits `numkeys key... options`.
fn counted<'a>(ctx: &Ctx<'_>, args: Words<'a>) -> Result<(Words<'a>, Words<'a>), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::SYNTAX)?;
    let number = integer(number)?;
    if number < 1 {
        return Err(CommandError::text(format!(
            "ERR at least 1 input key is needed for '{}' command",
            ctx.command.name
        )));
    }
    rest.split_at_checked(number as usize).ok_or(CommandError::SYNTAX)
}

fn run(ctx: &mut Ctx<'_>, args: &[&[u8]], operation: Operation, answer: Answer) -> Ended {
    let first = if answer == Answer::Stored { 2 } else { 1 };
    let (keys, rest) = counted(ctx, args.get(first..).unwrap_or_default())?;
    let mut limits = ctx.keys().limits();
    if answer == Answer::Members {
        // A block would not know -0 from 0.
        limits.zset_max_listpack_entries = 0;
    }
    let inputs = look_up(ctx, keys)?;
    let options = Options::parse(rest, keys.len(), operation, answer)?;
    let inputs: Vec<_> = inputs.into_iter().zip(options.weights.iter().copied()).collect();
    let result = combine(operation, inputs, options.aggregate, &limits);
    if answer == Answer::Stored {
        store(ctx, args[1], result);
        return DONE;
    }
    open(ctx.reply, result.len(), options.with_scores);
    for (member, score) in result.iter() {
        write(ctx.reply, &member, score, options.with_scores);
    }
    DONE
}

/// `ZUNION numkeys key... [WEIGHTS w...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zunion(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Union, Answer::Members)
}

/// `ZINTER numkeys key... [WEIGHTS w...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zinter(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Intersection, Answer::Members)
}

/// `ZDIFF numkeys key... [WITHSCORES]`
pub(super) fn zdiff(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Difference, Answer::Members)
}

/// `ZUNIONSTORE target numkeys key... [WEIGHTS w...] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zunionstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Union, Answer::Stored)
}

/// `ZINTERSTORE target numkeys key... [WEIGHTS w...] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zinterstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Intersection, Answer::Stored)
}

/// `ZDIFFSTORE target numkeys key...`
pub(super) fn zdiffstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Operation::Difference, Answer::Stored)
}

/// `ZINTERCARD numkeys key... [LIMIT n]`
pub(super) fn zintercard(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (keys, rest) = counted(ctx, args.get(1..).unwrap_or_default())?;
    let inputs = look_up(ctx, keys)?;
    let options = Options::parse(rest, keys.len(), Operation::Intersection, Answer::Count)?;
    let mut inputs: Vec<_> = inputs.into_iter().map(|members| (members, 1.0)).collect();
    inputs.sort_by_key(|(members, _)| members.len());
    let mut count = 0;
    intersect(&inputs, Aggregate::Sum, |_, _| {
        count += 1;
        options.limit == 0 || count < options.limit
    });
    ctx.reply.integer(count as i64);
    DONE
}
