//! BITFIELD: several integers of a string, read and changed in one command.

use holdfast_store::StringValue;
use holdfast_store::bits::{FieldType, Overflow};
use holdfast_store::number::parse_i64;

use super::{BAD_OFFSET, offset};
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};

/// One subcommand.
struct Step {
    kind: FieldType,
    at: u64,
    what: What,
}

enum What {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Step {
    fn writes(&self) -> bool {
        !matches!(self.what, What::Get)
    }

    /// The bytes that the string must have.
    fn len_wanted(&self) -> usize {
        ((self.at + self.kind.bits() - 1) / 8 + 1) as usize
    }
}

fn parse(ctx: &Ctx<'_>, args: &[&[u8]]) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = args.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return Ok(steps),
            [word, how, rest @ ..] if is_word(word, "overflow") => {
                overflow = parse_overflow(how)?;
                rest
            }
            [word, kind, at, rest @ ..] if is_word(word, "get") => {
                let (kind, at) = parse_place(ctx, kind, at)?;
                steps.push(Step { kind, at, what: What::Get });
                rest
            }
            [word, kind, at, value, rest @ ..] if is_word(word, "set") => {
                let (kind, at) = parse_place(ctx, kind, at)?;
                steps.push(Step { kind, at, what: What::Set(integer(value)?, overflow) });
                rest
            }
            [word, kind, at, by, rest @ ..] if is_word(word, "incrby") => {
                let (kind, at) = parse_place(ctx, kind, at)?;
                steps.push(Step { kind, at, what: What::Add(integer(by)?, overflow) });
                rest
            }
            _ => return Err(CommandError::SYNTAX),
        };
    }
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    match word {
        _ if is_word(word, "wrap") => Ok(Overflow::Wrap),
        _ if is_word(word, "sat") => Ok(Overflow::Saturate),
        _ if is_word(word, "fail") => Ok(Overflow::Fail),
        _ => Err(CommandError::new("ERR Invalid OVERFLOW type specified")),
    }
}

/// A type and an offset; `#7` is the seventh field of this width behind the first.
fn parse_place(ctx: &Ctx<'_>, kind: &[u8], at: &[u8]) -> Result<(FieldType, u64), CommandError> {
    let kind = FieldType::parse(kind).ok_or(CommandError::new(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
         but i64 is.",
    ))?;
    let number = match at.strip_prefix(b"#") {
        Some(digits) => {
            let fields = parse_i64(digits).ok_or(BAD_OFFSET)?;
            fields.checked_mul(kind.bits() as i64)
        }
        None => parse_i64(at),
    };
    Ok((kind, offset(ctx, number)?))
}

/// `BITFIELD key [GET type offset | [OVERFLOW how] SET type offset value | ...]`
pub(super) fn bitfield(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let steps = parse(ctx, args)?;
    let wanted = steps.iter().filter(|step| step.writes()).map(Step::len_wanted).max();
    match wanted {
        Some(len_wanted) => change(ctx, args[1], &steps, len_wanted),
        None => read(ctx, args[1], &steps),
    }
}

/// `BITFIELD_RO key [GET type offset ...]`
pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let steps = parse(ctx, args)?;
    if steps.iter().any(Step::writes) {
        return Err(CommandError::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args[1], &steps)
}

fn read(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let text = keys.string(key)?.map(StringValue::text);
    let bytes = text.as_deref().unwrap_or_default();
    reply.array(steps.len());
    for step in steps {
        reply.integer(step.kind.read(bytes, step.at));
    }
    DONE
}

fn change(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step], len_wanted: usize) -> Ended {
    let len = ctx.keys().string(key)?.map_or(0, StringValue::len);
    let mut answers = Vec::with_capacity(steps.len());
    let mut changed = len < len_wanted;
    ctx.keys().change_bytes(key, |bytes| {
        if bytes.len() < len_wanted {
            bytes.resize(len_wanted, 0);
        }
        for Step { kind, at, what } in steps {
            let (written, gives_old) = match *what {
                What::Get => {
                    answers.push(Some(kind.read(bytes, *at)));
                    continue;
                }
                What::Set(value, overflow) => (kind.set(bytes, *at, value, overflow), true),
                What::Add(by, overflow) => (kind.add(bytes, *at, by, overflow), false),
            };
            changed |= written.is_some_and(|written| written.old != written.new);
            answers.push(written.map(|w| if gives_old { w.old } else { w.new }));
        }
    })?;
    if changed {
        ctx.changed(key);
    }
    ctx.reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => ctx.reply.integer(number),
            None => ctx.reply.null(),
        }
    }
    DONE
}
