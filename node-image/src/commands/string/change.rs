//! Changing strings in place: parts of them, and numbers.

use holdfast_store::StringValue;
use holdfast_store::float::{self, FloatError};

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, range};
use crate::commands::{CommandError, Ctx};
use crate::config::Name;
use crate::notify::EventClass;

/// Refuses a string that would be longer than a request may be.
fn check_len(ctx: &Ctx<'_>, len: usize) -> Result<(), CommandError> {
    if len > ctx.core.config.size(Name::ProtoMaxBulkLen) && !ctx.is_replay() {
        return Err(CommandError::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    Ok(())
}

/// `APPEND key value`
pub(super) fn append(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, more) = (args[1], args[2]);
    let len = match ctx.keys().string(key)? {
        Some(string) => string.len(),
        None => {
            ctx.keys().set(key, StringValue::new(more), None);
            ctx.changed_by(EventClass::String, "append", key);
            ctx.reply.integer(more.len() as i64);
            return DONE;
        }
    };
    check_len(ctx, len.saturating_add(more.len()))?;
    let len = ctx.keys().change_bytes(key, |bytes| bytes.extend_from_slice(more))?;
    ctx.changed_by(EventClass::String, "append", key);
    ctx.reply.integer(len as i64);
    DONE
}

/// `SETRANGE key offset value`
pub(super) fn setrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, value) = (args[1], args[3]);
    let offset = usize::try_from(integer(args[2])?)
        .map_err(|_| CommandError::new("ERR offset is out of range"))?;
    let len = ctx.keys().string(key)?.map_or(0, StringValue::len);
    if value.is_empty() {
        ctx.reply.integer(len as i64);
        return DONE;
    }
    let end = offset.saturating_add(value.len());
    check_len(ctx, end)?;
    let len = ctx.keys().change_bytes(key, |bytes| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if let Some(part) = bytes.get_mut(offset..end) {
            part.copy_from_slice(value);
        }
    })?;
    ctx.changed_by(EventClass::String, "setrange", key);
    ctx.reply.integer(len as i64);
    DONE
}

/// `GETRANGE key start end`, and its older name `SUBSTR`
pub(super) fn getrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let (mut keys, reply) = ctx.split();
    let Some(string) = keys.string(args[1])? else {
        reply.bulk(b"");
        return DONE;
    };
    let text = string.text();
    // Two places before the start, in the wrong order, mean nothing rather than the first byte.
    let backwards = start < 0 && end < 0 && start > end;
    let end = if end < 0 && !text.is_empty() { (end + text.len() as i64).max(0) } else { end };
    let (start, len) = if backwards { (0, 0) } else { range(start, end, text.len()) };
    reply.bulk(text.get(start..start + len).unwrap_or_default());
    DONE
}

fn add(ctx: &mut Ctx<'_>, key: &[u8], amount: i64) -> Ended {
    let number = match ctx.keys().string(key)? {
        Some(string) => string.as_i64().ok_or(CommandError::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = number
        .checked_add(amount)
        .ok_or(CommandError::new("ERR increment or decrement would overflow"))?;
    ctx.keys().set_keeping_expiry(key, StringValue::Int(sum));
    ctx.changed_by(EventClass::String, "incrby", key);
    ctx.reply.integer(sum);
    DONE
}

/// `INCR key`
pub(super) fn incr(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    add(ctx, args[1], 1)
}

/// `DECR key`
pub(super) fn decr(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    add(ctx, args[1], -1)
}

/// `INCRBY key amount`
pub(super) fn incrby(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let amount = integer(args[2])?;
    add(ctx, args[1], amount)
}

/// `DECRBY key amount`
pub(super) fn decrby(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let amount = integer(args[2])?;
    let negated = amount.checked_neg().ok_or(CommandError::new("ERR decrement would overflow"))?;
    add(ctx, args[1], negated)
}

/// `INCRBYFLOAT key amount`; replicas get the digits of the sum.
pub(super) fn incrbyfloat(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let sum = match ctx.keys().string(key)? {
        Some(string) => float::add(&string.text(), args[2]),
        None => float::add(b"0", args[2]),
    }
    .map_err(|error| match error {
        FloatError::NotANumber => CommandError::NOT_A_FLOAT,
        FloatError::NotFinite => CommandError::new("ERR increment would produce NaN or Infinity"),
    })?;
    ctx.keys().set_keeping_expiry(key, StringValue::verbatim(&sum));
    ctx.touched(key);
    ctx.effect(&[&b"SET"[..], key, &sum, b"KEEPTTL"]);
    ctx.notify(EventClass::String, "incrbyfloat", key);
    ctx.reply.bulk(&sum);
    DONE
}
