//! Operations between sets: what several have in common, any of them has, or only the first has.
//!
//! The sets are looked at in place; only the result is made anew. A key that is not there counts
//! as an empty set, a key of another type refuses the whole command.

use holdfast_store::set::Set;
use holdfast_store::{Limits, Value};

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{count_from_one, integer_or, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// The sets of some keys; what is not there is `None`.
fn look_up<'a>(ctx: &'a mut Ctx<'_>, keys: &[&[u8]]) -> Result<Vec<Option<&'a Set>>, CommandError> {
    // Asking for each first counts as a use, and removes what has expired.
    for key in keys {
        ctx.keys().set_of(key)?;
    }
    let ctx: &'a Ctx<'_> = ctx;
    let sets = keys.iter().map(|key| match ctx.core.store.peek(ctx.db, key, ctx.now_ms) {
        Some(Value::Set(set)) => Some(&**set),
        _ => None,
    });
    Ok(sets.collect())
}

/// Shows what all sets have in common, until `show` says that it is enough.
fn intersect(sets: &[Option<&Set>], mut show: impl FnMut(&[u8]) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else { return };
    // The smallest set is walked, and the next small ones refuse a member the soonest.
    sets.sort_by_key(|set| set.len());
    let Some((first, others)) = sets.split_first() else { return };
    for member in first.iter() {
        if others.iter().all(|other| other.contains(&member)) && !show(&member) {
            return;
        }
    }
}

fn combine(operation: Operation, sets: &[Option<&Set>], limits: &Limits) -> Set {
    let mut result = Set::new();
    match operation {
        Operation::Intersection => intersect(sets, |member| {
            result.insert(member, limits);
            true
        }),
        Operation::Union => {
            for member in sets.iter().flatten().flat_map(|set| set.iter()) {
                result.insert(&member, limits);
            }
        }
        Operation::Difference => {
            let Some((Some(first), others)) = sets.split_first() else { return result };
            let others: Vec<&Set> = others.iter().flatten().copied().collect();
            for member in first.iter() {
                if !others.iter().any(|other| other.contains(&member)) {
                    result.insert(&member, limits);
                }
            }
        }
    }
    result
}

fn reply_with(ctx: &mut Ctx<'_>, args: &[&[u8]], operation: Operation) -> Ended {
    let limits = ctx.keys().limits();
    let sets = look_up(ctx, args.get(1..).unwrap_or_default())?;
    let result = combine(operation, &sets, &limits);
    ctx.reply.set(result.len());
    result.iter().for_each(|member| ctx.reply.bulk(&member));
    DONE
}

fn store(ctx: &mut Ctx<'_>, args: &[&[u8]], operation: Operation) -> Ended {
    let target = args[1];
    let limits = ctx.keys().limits();
    let sets = look_up(ctx, args.get(2..).unwrap_or_default())?;
    let result = combine(operation, &sets, &limits);
    let len = result.len();
    let mut keys = ctx.keys();
    let existed = keys.remove(target);
    if len > 0 {
        keys.set(target, result, None);
    }
    if len > 0 || existed {
        ctx.changed(target);
        if len > 0 {
            ctx.notify(EventClass::Set, ctx.command.name, target);
        }
        ctx.notify_if_gone(target);
    }
    ctx.reply.integer(len as i64);
    DONE
}

/// `SINTER key...`
pub(super) fn sinter(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Operation::Intersection)
}

/// `SUNION key...`
pub(super) fn sunion(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Operation::Union)
}

/// `SDIFF key...`
pub(super) fn sdiff(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    reply_with(ctx, args, Operation::Difference)
}

/// `SINTERSTORE target key...`
pub(super) fn sinterstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    store(ctx, args, Operation::Intersection)
}

/// `SUNIONSTORE target key...`
pub(super) fn sunionstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    store(ctx, args, Operation::Union)
}

/// `SDIFFSTORE target key...`
pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    store(ctx, args, Operation::Difference)
}

/// The keys and the limit of SINTERCARD and ZINTERCARD: `numkeys key... [LIMIT n]`; a limit of 0
/// is none.
pub(in crate::commands) fn counted_keys<'a>(
    args: &'a [&'a [u8]],
) -> Result<(&'a [&'a [u8]], usize), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::SYNTAX)?;
    let number = count_from_one(number, "ERR numkeys should be greater than 0")?;
    let (keys, mut options) = rest
        .split_at_checked(number)
        .ok_or(CommandError::new("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    while let Some((word, rest)) = options.split_first() {
        let (number, rest) = rest.split_first().ok_or(CommandError::SYNTAX)?;
        if !is_word(word, "LIMIT") {
            return Err(CommandError::SYNTAX);
        }
        const NEGATIVE: &str = "ERR LIMIT can't be negative";
        limit = usize::try_from(integer_or(number, NEGATIVE)?)
            .map_err(|_| CommandError::new(NEGATIVE))?;
        options = rest;
    }
    Ok((keys, limit))
}

/// `SINTERCARD numkeys key... [LIMIT n]`
pub(super) fn sintercard(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (keys, limit) = counted_keys(args.get(1..).unwrap_or_default())?;
    let sets = look_up(ctx, keys)?;
    let mut count = 0;
    intersect(&sets, |_| {
        count += 1;
        limit == 0 || count < limit
    });
    ctx.reply.integer(count as i64);
    DONE
}
