//! Single bits, counting, searching, combining.

use holdfast_store::bits::{self, BitOp};
use holdfast_store::number::parse_i64;
use holdfast_store::{StringValue, Value};

use super::offset;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};

/// `SETBIT key offset value`
pub(super) fn setbit(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    const NOT_A_BIT: CommandError = CommandError::new("ERR bit is not an integer or out of range");
    let key = args[1];
    let at = offset(ctx, parse_i64(args[2]))?;
    let on = match parse_i64(args[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(NOT_A_BIT),
    };
    let len_wanted = (at / 8 + 1) as usize;
    let len = ctx.keys().string(key)?.map_or(0, StringValue::len);
    let mut was = false;
    ctx.keys().change_bytes(key, |bytes| {
        if bytes.len() < len_wanted {
            bytes.resize(len_wanted, 0);
        }
        was = bits::set(bytes, at, on);
    })?;
    if len < len_wanted || was != on {
        ctx.changed(key);
    }
    ctx.reply.integer(i64::from(was));
    DONE
}

/// `GETBIT key offset`
pub(super) fn getbit(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let at = offset(ctx, parse_i64(args[2]))?;
    let on = ctx.keys().string(args[1])?.is_some_and(|string| bits::get(&string.text(), at));
    ctx.reply.integer(i64::from(on));
    DONE
}

/// What a range counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(arg: Option<&&[u8]>) -> Result<Self, CommandError> {
        match arg {
            None => Ok(Unit::Byte),
            Some(arg) if is_word(arg, "byte") => Ok(Unit::Byte),
            Some(arg) if is_word(arg, "bit") => Ok(Unit::Bit),
            Some(_) => Err(CommandError::SYNTAX),
        }
    }

    /// The first and the last bit of a range of a string, whose negative places count from its
    /// end; `None` when there is nothing in it.
    fn range(self, start: i64, end: i64, bytes: usize) -> Option<(u64, u64)> {
        let size = match self {
            Unit::Byte => bytes as i64,
            Unit::Bit => (bytes as i64).saturating_mul(8),
        };
        let from_start = |place: i64| if place < 0 { (size + place).max(0) } else { place };
        let (start, end) = (from_start(start), from_start(end).min(size - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(match self {
            Unit::Byte => (start * 8, end * 8 + 7),
            Unit::Bit => (start, end),
        })
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub(super) fn bitcount(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    // A missing key has no bits, whatever stands behind it.
    let Some(string) = keys.string(args[1])? else {
        reply.integer(0);
        return DONE;
    };
    let (start, end, unit) = match args.get(2..).unwrap_or_default() {
        [] => (0, -1, Unit::Byte),
        [start, end, rest @ ..] if rest.len() < 2 => {
            let (start, end) = (integer(start)?, integer(end)?);
            if start < 0 && end < 0 && start > end {
                reply.integer(0);
                return DONE;
            }
            (start, end, Unit::parse(rest.first())?)
        }
        _ => return Err(CommandError::SYNTAX),
    };
    let text = string.text();
    let range = unit.range(start, end, text.len());
    let count = range.map_or(0, |(first, last)| bits::count(&text, first, last));
    reply.integer(count as i64);
    DONE
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let wanted = match integer(args[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::new("ERR The bit argument must be 1 or 0.")),
    };
    let (mut keys, reply) = ctx.split();
    let Some(string) = keys.string(args[1])? else {
        // Without a key there are clear bits only, as many as one likes.
        reply.integer(if wanted { -1 } else { 0 });
        return DONE;
    };
    let rest = args.get(3..).unwrap_or_default();
    if rest.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let start = rest.first().map_or(Ok(0), |start| integer(start))?;
    let unit = Unit::parse(rest.get(2))?;
    let end = rest.get(1).map(|end| integer(end)).transpose()?;
    let text = string.text();
    let range = unit.range(start, end.unwrap_or(-1), text.len());
    let found = range.and_then(|(first, last)| bits::position(&text, wanted, first, last));
    let place = match (found, range) {
        (Some(place), _) => place as i64,
        // Who gives no end sees the string followed by clear bits.
        (None, Some((_, last))) if !wanted && end.is_none() => last as i64 + 1,
        (None, _) => -1,
    };
    reply.integer(place);
    DONE
}

/// `BITOP AND | OR | XOR | NOT target key [key ...]`
pub(super) fn bitop(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let op = match args[1] {
        word if is_word(word, "and") => Some(BitOp::And),
        word if is_word(word, "or") => Some(BitOp::Or),
        word if is_word(word, "xor") => Some(BitOp::Xor),
        word if is_word(word, "not") => None,
        _ => return Err(CommandError::SYNTAX),
    };
    let (target, sources) = (args[2], args.get(3..).unwrap_or_default());
    if op.is_none() && sources.len() != 1 {
        return Err(CommandError::new("ERR BITOP NOT must be called with a single source key."));
    }
    let mut result: Option<Vec<u8>> = None;
    for key in sources {
        let mut keys = ctx.keys();
        let text = keys.string(key)?.map(StringValue::text);
        let bytes = text.as_deref().unwrap_or_default();
        match (&mut result, op) {
            (Some(result), Some(op)) => bits::combine_into(op, result, bytes),
            (place, _) => *place = Some(bytes.to_vec()),
        }
    }
    let mut result = result.unwrap_or_default();
    if op.is_none() {
        bits::invert(&mut result);
    }
    let len = result.len();
    if len > 0 {
        ctx.keys().set(target, Value::String(StringValue::Raw(result)), None);
        ctx.changed(target);
    } else if ctx.keys().remove(target) {
        ctx.changed(target);
    }
    ctx.reply.integer(len as i64);
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_both_ends_and_stay_within_the_string() {
        assert_eq!(Unit::Byte.range(0, -1, 3), Some((0, 23)));
        assert_eq!(Unit::Byte.range(-2, 9, 3), Some((8, 23)));
        assert_eq!(Unit::Bit.range(-3, -2, 1), Some((5, 6)));
        assert_eq!(Unit::Byte.range(2, 1, 3), None);
        assert_eq!(Unit::Byte.range(0, -1, 0), None);
        assert_eq!(Unit::Bit.range(i64::MIN, i64::MAX, 2), Some((0, 15)));
    }
}
