//! Setting, giving and deleting fields.

use holdfast_store::float::{self, FloatError};
use holdfast_store::hash::Hash;
use holdfast_store::number::{IntText, parse_i64};

use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::integer;
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// Sets the pairs behind the key: how many fields are new.
fn set_pairs(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<i64, CommandError> {
    let (pairs, rest) = args.get(2..).unwrap_or_default().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::wrong_arity(ctx.command.name));
    }
    let new = ctx.keys().change_hash(args[1], Missing::Create, |hash, limits| {
        pairs.iter().filter(|[field, value]| hash.set(field, value, limits)).count()
    })?;
    ctx.changed_by(EventClass::Hash, "hset", args[1]);
    Ok(new.unwrap_or(0) as i64)
}

/// `HSET key field value [field value...]`
pub(super) fn hset(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let new = set_pairs(ctx, args)?;
    ctx.reply.integer(new);
    DONE
}

/// `HMSET key field value [field value...]`
pub(super) fn hmset(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    DONE
}

/// `HSETNX key field value`
pub(super) fn hsetnx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let exists = ctx.keys().hash(args[1])?.is_some_and(|hash| hash.get(args[2]).is_some());
    if !exists {
        ctx.keys().change_hash(args[1], Missing::Create, |hash, limits| {
            hash.set(args[2], args[3], limits)
        })?;
        ctx.changed_by(EventClass::Hash, "hset", args[1]);
    }
    ctx.reply.integer(i64::from(!exists));
    DONE
}

/// `HGET key field`
pub(super) fn hget(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    match keys.hash(args[1])?.and_then(|hash| hash.get(args[2])) {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
    DONE
}

/// `HMGET key field...`
pub(super) fn hmget(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let hash = keys.hash(args[1])?;
    reply.array(args.len() - 2);
    for field in args.iter().skip(2) {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => reply.bulk(value),
            None => reply.null(),
        }
    }
    DONE
}

/// `HDEL key field...`
pub(super) fn hdel(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let removed = ctx.keys().change_hash(args[1], Missing::Skip, |hash, _| {
        args.iter().skip(2).filter(|field| hash.remove(field)).count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.changed_by(EventClass::Hash, "hdel", args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.integer(removed as i64);
    DONE
}

/// `HEXISTS key field`
pub(super) fn hexists(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let exists = ctx.keys().hash(args[1])?.is_some_and(|hash| hash.get(args[2]).is_some());
    ctx.reply.integer(i64::from(exists));
    DONE
}

/// `HLEN key`
pub(super) fn hlen(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().hash(args[1])?.map_or(0, Hash::len);
    ctx.reply.integer(len as i64);
    DONE
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let mut keys = ctx.keys();
    let value = keys.hash(args[1])?.and_then(|hash| hash.get(args[2]));
    let len = value.map_or(0, <[u8]>::len);
    ctx.reply.integer(len as i64);
    DONE
}

/// `HGETALL key`
pub(super) fn hgetall(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let hash = keys.hash(args[1])?;
    reply.map(hash.map_or(0, Hash::len));
    for (field, value) in hash.into_iter().flat_map(Hash::iter) {
        reply.bulk(field);
        reply.bulk(value);
    }
    DONE
}

/// `HKEYS key`
pub(super) fn hkeys(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let hash = keys.hash(args[1])?;
    reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(field, _)| reply.bulk(field));
    DONE
}

/// `HVALS key`
pub(super) fn hvals(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let hash = keys.hash(args[1])?;
    reply.array(hash.map_or(0, Hash::len));
    hash.into_iter().flat_map(Hash::iter).for_each(|(_, value)| reply.bulk(value));
    DONE
}

/// `HINCRBY key field amount`
pub(super) fn hincrby(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, field) = (args[1], args[2]);
    let amount = integer(args[3])?;
    let number = match ctx.keys().hash(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => {
            parse_i64(text).ok_or(CommandError::new("ERR hash value is not an integer"))?
        }
        None => 0,
    };
    let sum = number
        .checked_add(amount)
        .ok_or(CommandError::new("ERR increment or decrement would overflow"))?;
    ctx.keys().change_hash(key, Missing::Create, |hash, limits| {
        hash.set(field, &IntText::new(sum), limits)
    })?;
    ctx.changed_by(EventClass::Hash, "hincrby", key);
    ctx.reply.integer(sum);
    DONE
}

/// `HINCRBYFLOAT key field amount`; replicas get the digits of the sum.
pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    const NOT_FINITE: CommandError =
        CommandError::new("ERR increment would produce NaN or Infinity");
    let (key, field) = (args[1], args[2]);
    match float::add(b"0", args[3]) {
        Err(FloatError::NotANumber) => return Err(CommandError::NOT_A_FLOAT),
        Err(FloatError::NotFinite) => {
            return Err(CommandError::new("ERR value is NaN or Infinity"));
        }
        Ok(_) => {}
    }
    let sum = match ctx.keys().hash(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => float::add(text, args[3]),
        None => float::add(b"0", args[3]),
    }
    .map_err(|error| match error {
        FloatError::NotANumber => CommandError::new("ERR hash value is not a float"),
        FloatError::NotFinite => NOT_FINITE,
    })?;
    ctx.keys().change_hash(key, Missing::Create, |hash, limits| hash.set(field, &sum, limits))?;
    ctx.touched(key);
    ctx.effect(&[&b"HSET"[..], key, field, &sum]);
    ctx.notify(EventClass::Hash, "hincrbyfloat", key);
    ctx.reply.bulk(&sum);
    DONE
}
