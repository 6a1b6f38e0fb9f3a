//! Members chosen by chance, to look at or to take. Replicas are told which ones were taken.

use holdfast_store::random::Random;
use holdfast_store::set::Set;

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::count;
use crate::commands::sample::{distinct, wished};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// Members in one SREM that replicas get.
const SREM_MEMBERS_MAX: usize = 1024;

/// `SPOP key [count]`
pub(super) fn spop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let wanted = match args {
        [_, _] => None,
        [_, _, arg] => Some(count(arg)?),
        _ => return Err(CommandError::SYNTAX),
    };
    let len = ctx.keys().set_of(key)?.map_or(0, Set::len);
    if let Some(wanted) = wanted
        && wanted >= len
        && len > 0
    {
        return take_all(ctx, key);
    }
    let mut random = Random::new(ctx.core.store.random().next_u64());
    let taken = ctx.keys().change_set(key, Missing::Skip, |set, _| {
        take(set, wanted.unwrap_or(1).min(len), &mut random)
    })?;
    let taken = taken.unwrap_or_default();
    if !taken.is_empty() {
        ctx.touched(key);
        ctx.notify(EventClass::Set, "spop", key);
        ctx.notify_if_gone(key);
    }
    for members in taken.chunks(SREM_MEMBERS_MAX) {
        let mut effect = vec![&b"SREM"[..], key];
        effect.extend(members.iter().map(Vec::as_slice));
        ctx.effect(&effect);
    }
    match (wanted, taken.first()) {
        (Some(_), _) => {
            ctx.reply.set(taken.len());
            taken.iter().for_each(|member| ctx.reply.bulk(member));
        }
        (None, Some(member)) => ctx.reply.bulk(member),
        (None, None) => ctx.reply.null(),
    }
    DONE
}

fn take(set: &mut Set, wanted: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let mut taken = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let Some(member) = set.random(|| random.next_u64()).map(|member| member.to_vec()) else {
            break;
        };
        set.remove(&member);
        taken.push(member);
    }
    taken
}

/// Gives out the whole set; replicas delete the key.
fn take_all(ctx: &mut Ctx<'_>, key: &[u8]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.set_of(key)?;
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| reply.bulk(&member));
    keys.remove(key);
    ctx.touched(key);
    ctx.effect(&[b"DEL", key]);
    ctx.notify(EventClass::Set, "spop", key);
    ctx.notify_if_gone(key);
    DONE
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let wish = match args {
        [_, _] => None,
        [_, _, arg] => Some(wished(arg)?),
        _ => return Err(CommandError::SYNTAX),
    };
    let mut random = Random::new(ctx.core.store.random().next_u64());
    let (mut keys, reply) = ctx.split();
    let set = keys.set_of(args[1])?;
    let draw = |set: &Set, random: &mut Random| {
        set.random(|| random.next_u64()).map(|member| member.to_vec())
    };
    match (wish, set) {
        (None, None) => reply.null(),
        (None, Some(set)) => match draw(set, &mut random) {
            Some(member) => reply.bulk(&member),
            None => reply.null(),
        },
        (Some(_), None) => reply.array(0),
        (Some((wanted, true)), Some(set)) => {
            reply.array(wanted);
            for _ in 0..wanted {
                reply.bulk(&draw(set, &mut random).unwrap_or_default());
            }
        }
        (Some((wanted, false)), Some(set)) => {
            let all = set.iter().map(|member| member.to_vec());
            let chosen = distinct(set.len(), wanted, &mut random, all, |r| draw(set, r));
            reply.array(chosen.len());
            chosen.iter().for_each(|member| reply.bulk(member));
        }
    }
    DONE
}
