//! DUMP and RESTORE: a value as bytes, and back.

use holdfast_store::number::{IntText, parse_i64};
use holdfast_store::rdb::{Problem, RdbError, dump_payload, restore_payload};

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// `DUMP key`
pub(super) fn dump(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let limits = keys.limits();
    match keys.value(args[1]) {
        Some(value) => reply.bulk(&dump_payload(value, &limits)),
        None => reply.null(),
    }
    DONE
}

/// What RESTORE says about a payload that cannot be read.
fn refusal(error: RdbError) -> CommandError {
    match error.problem {
        Problem::Version(_) | Problem::Checksum => {
            CommandError::new("ERR DUMP payload version or checksum are wrong")
        }
        problem @ Problem::Type { .. } => CommandError::text(format!("ERR {problem}")),
        _ => CommandError::new("ERR Bad data format"),
    }
}

#[derive(Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let exclusive = options.idle_s.is_none() && options.frequency.is_none();
            if is_word(arg, "REPLACE") {
                options.replace = true;
            } else if is_word(arg, "ABSTTL") {
                options.absolute = true;
            } else if is_word(arg, "IDLETIME") && exclusive {
                let number = integer(args.next().ok_or(CommandError::SYNTAX)?)?;
                let invalid = CommandError::new("ERR Invalid IDLETIME value, must be >= 0");
                options.idle_s = Some(u64::try_from(number).map_err(|_| invalid)?);
            } else if is_word(arg, "FREQ") && exclusive {
                let number = integer(args.next().ok_or(CommandError::SYNTAX)?)?;
                let invalid = CommandError::new("ERR Invalid FREQ value, must be >= 0 and <= 255");
                options.frequency = Some(u8::try_from(number).map_err(|_| invalid)?);
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        Ok(options)
    }
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`
pub(super) fn restore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, payload) = (args[1], args[3]);
    let options = Options::parse(args.get(4..).unwrap_or_default())?;
    if !options.replace && ctx.keys().contains(key) {
        return Err(CommandError::new("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = parse_i64(args[2]).ok_or(CommandError::NOT_AN_INTEGER)?;
    if ttl_ms < 0 {
        return Err(CommandError::new("ERR Invalid TTL value, must be >= 0"));
    }
    let value = restore_payload(payload, &ctx.core.store.limits()).map_err(refusal)?;
    let at_ms = match ttl_ms {
        0 => None,
        _ if options.absolute => Some(ttl_ms),
        _ => Some(ttl_ms.saturating_add(ctx.now_ms)),
    };
    let existed = ctx.keys().remove(key);
    if at_ms.is_some_and(|at_ms| at_ms <= ctx.now_ms) && !ctx.is_replay() {
        if existed {
            ctx.touched(key);
            ctx.effect(&[b"DEL", key]);
            ctx.notify(EventClass::Generic, "del", key);
        }
        ctx.reply.ok();
        return DONE;
    }
    ctx.keys().set(key, value, at_ms);
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    if let Some(idle_s) = options.idle_s {
        ctx.core.store.set_idle_s(db, key, idle_s, now_ms);
    }
    if let Some(frequency) = options.frequency {
        ctx.core.store.set_frequency(db, key, frequency, now_ms);
    }
    ctx.touched(key);
    let at = IntText::new(at_ms.unwrap_or(0));
    let mut words = [&[b"RESTORE", key, &at, payload], args.get(4..).unwrap_or_default()].concat();
    if at_ms.is_some() && !options.absolute {
        words.push(b"ABSTTL");
    }
    ctx.effect(&words);
    ctx.notify(EventClass::Generic, "restore", key);
    ctx.reply.ok();
    DONE
}
