//! Setting and giving strings.
//!
//! An expiry reaches replicas as a point in time, conditions and GET do not reach them: the
//! primary has decided already.

use holdfast_store::StringValue;
use holdfast_store::number::IntText;

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx, Outcome};
use crate::notify::EventClass;

/// What an option says about the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Expiry {
    /// Nothing.
    #[default]
    Unsaid,
    /// It stays: KEEPTTL.
    Keep,
    /// It goes: PERSIST.
    Clear,
    /// At this time in milliseconds, of the argument at this place.
    At(ExpiryWord, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExpiryWord {
    unit_ms: i64,
    relative: bool,
}

impl ExpiryWord {
    const EX: Self = Self { unit_ms: 1000, relative: true };
    const PX: Self = Self { unit_ms: 1, relative: true };
    const EXAT: Self = Self { unit_ms: 1000, relative: false };
    const PXAT: Self = Self { unit_ms: 1, relative: false };

    fn parse(arg: &[u8]) -> Option<Self> {
        let words =
            [("EX", Self::EX), ("PX", Self::PX), ("EXAT", Self::EXAT), ("PXAT", Self::PXAT)];
        words.into_iter().find(|(word, _)| is_word(arg, word)).map(|(_, word)| word)
    }

    /// The point in time that a number means.
    fn at_ms(self, arg: &[u8], now_ms: i64, command: &str) -> Result<i64, CommandError> {
        let number = integer(arg)?;
        let invalid =
            || CommandError::text(format!("ERR invalid expire time in '{command}' command"));
        if number <= 0 {
            return Err(invalid());
        }
        let base_ms = if self.relative { now_ms } else { 0 };
        let at_ms = number.checked_mul(self.unit_ms).and_then(|ms| ms.checked_add(base_ms));
        at_ms.ok_or_else(invalid)
    }
}

#[derive(Debug, Default)]
struct SetOptions {
    only_new: bool,
    only_old: bool,
    give_old: bool,
    expiry: Expiry,
}

impl SetOptions {
    fn parse(args: &[&[u8]], first: usize) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut at = first;
        while let Some(arg) = args.get(at) {
            let unsaid = options.expiry == Expiry::Unsaid;
            if is_word(arg, "NX") && !options.only_old {
                options.only_new = true;
            } else if is_word(arg, "XX") && !options.only_new {
                options.only_old = true;
            } else if is_word(arg, "GET") {
                options.give_old = true;
            } else if is_word(arg, "KEEPTTL") && (unsaid || options.expiry == Expiry::Keep) {
                options.expiry = Expiry::Keep;
            } else if let Some(word) = ExpiryWord::parse(arg)
                && unsaid
                && at + 1 < args.len()
            {
                at += 1;
                options.expiry = Expiry::At(word, at);
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Sets a string and tells the replicas.
fn store_string(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], expiry_ms: Option<i64>) {
    ctx.keys().set_text(key, value, expiry_ms);
    ctx.touched(key);
    ctx.notify(EventClass::String, "set", key);
    match expiry_ms {
        Some(at_ms) => {
            ctx.effect(&[&b"SET"[..], key, value, b"PXAT", &IntText::new(at_ms)]);
            ctx.notify(EventClass::Generic, "expire", key);
        }
        None => ctx.effect(&[b"SET", key, value]),
    }
}

/// `SET key value [NX|XX] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
pub(super) fn set(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, value) = (args[1], args[2]);
    let options = SetOptions::parse(args, 3)?;
    let expiry_ms = match options.expiry {
        Expiry::At(word, at) => Some(word.at_ms(args[at], ctx.now_ms, "set")?),
        _ => None,
    };
    if options.give_old {
        let (mut keys, reply) = ctx.split();
        match keys.string(key)? {
            Some(old) => reply.bulk(&old.text()),
            None => reply.null(),
        }
    }
    if options.only_new || options.only_old {
        let exists = ctx.keys().contains(key);
        if exists == options.only_new {
            if !options.give_old {
                ctx.reply.null();
            }
            return DONE;
        }
    }
    if options.expiry == Expiry::Keep {
        ctx.keys().set_keeping_expiry(key, StringValue::new(value));
        ctx.touched(key);
        ctx.effect(&[&b"SET"[..], key, value, b"KEEPTTL"]);
        ctx.notify(EventClass::String, "set", key);
    } else {
        store_string(ctx, key, value, expiry_ms);
    }
    if !options.give_old {
        ctx.reply.ok();
    }
    DONE
}

/// `SETNX key value`
pub(super) fn setnx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let new = !ctx.keys().contains(args[1]);
    if new {
        store_string(ctx, args[1], args[2], None);
    }
    ctx.reply.integer(i64::from(new));
    DONE
}

/// `SETEX key seconds value`
pub(super) fn setex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let at_ms = ExpiryWord::EX.at_ms(args[2], ctx.now_ms, "setex")?;
    store_string(ctx, args[1], args[3], Some(at_ms));
    ctx.reply.ok();
    DONE
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let at_ms = ExpiryWord::PX.at_ms(args[2], ctx.now_ms, "psetex")?;
    store_string(ctx, args[1], args[3], Some(at_ms));
    ctx.reply.ok();
    DONE
}

/// `GET key`
pub(super) fn get(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    match keys.text(args[1])? {
        Some(text) => reply.bulk(&text),
        None => reply.null(),
    }
    DONE
}

/// `GETSET key value`
pub(super) fn getset(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    get(ctx, args)?;
    store_string(ctx, args[1], args[2], None);
    DONE
}

/// `GETDEL key`
pub(super) fn getdel(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    get(ctx, args)?;
    if ctx.keys().remove(key) {
        ctx.touched(key);
        ctx.effect(&[b"DEL", key]);
        ctx.notify(EventClass::Generic, "del", key);
    }
    DONE
}

/// `GETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
pub(super) fn getex(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let expiry = match (args.get(2), args.len()) {
        (None, _) => Expiry::Unsaid,
        (Some(arg), 3) if is_word(arg, "PERSIST") => Expiry::Clear,
        (Some(arg), 4) => Expiry::At(ExpiryWord::parse(arg).ok_or(CommandError::SYNTAX)?, 3),
        _ => return Err(CommandError::SYNTAX),
    };
    let (mut keys, reply) = ctx.split();
    let Some(string) = keys.string(key)? else {
        reply.null();
        return DONE;
    };
    let mark = reply.mark();
    reply.bulk(&string.text());
    match expiry {
        Expiry::At(word, at) => {
            let at_ms = match word.at_ms(args[at], ctx.now_ms, "getex") {
                Ok(at_ms) => at_ms,
                Err(error) => {
                    ctx.reply.truncate(mark);
                    return Err(error);
                }
            };
            super::super::expire::set_or_delete(ctx, key, at_ms);
        }
        Expiry::Clear if matches!(ctx.keys().expiry_ms(key), Some(Some(_))) => {
            ctx.keys().set_expiry(key, None);
            ctx.touched(key);
            ctx.effect(&[b"PERSIST", key]);
            ctx.notify(EventClass::Generic, "persist", key);
        }
        _ => {}
    }
    DONE
}

/// `MGET key...`: what is no string is answered like what is not there.
pub(super) fn mget(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    reply.array(args.len() - 1);
    for key in args.iter().skip(1) {
        match keys.string(key) {
            Ok(Some(string)) => reply.bulk(&string.text()),
            Ok(None) | Err(_) => reply.null(),
        }
    }
    DONE
}

/// The pairs behind the name, of which there must be whole ones.
fn pairs<'a>(
    ctx: &Ctx<'_>,
    args: &'a [&'a [u8]],
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a>, CommandError> {
    let (pairs, rest) = args.get(1..).unwrap_or_default().as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)))
    } else {
        Err(CommandError::wrong_arity(ctx.command.name))
    }
}

fn set_pairs<'a>(ctx: &mut Ctx<'_>, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    for (key, value) in pairs {
        ctx.keys().set(key, StringValue::new(value), None);
        ctx.touched(key);
        ctx.notify(EventClass::String, "set", key);
    }
}

/// `MSET key value [key value...]`
pub(super) fn mset(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let pairs = pairs(ctx, args)?;
    set_pairs(ctx, pairs);
    ctx.effect_verbatim();
    ctx.reply.ok();
    DONE
}

/// `MSETNX key value [key value...]`: all of them, or none.
pub(super) fn msetnx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    for (key, _) in pairs(ctx, args)? {
        if ctx.keys().contains(key) {
            ctx.reply.integer(0);
            return Ok(Outcome::Done);
        }
    }
    let pairs = pairs(ctx, args)?;
    set_pairs(ctx, pairs);
    ctx.effect_verbatim();
    ctx.reply.integer(1);
    DONE
}

/// `STRLEN key`
pub(super) fn strlen(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().string(args[1])?.map_or(0, StringValue::len);
    ctx.reply.integer(len as i64);
    DONE
}
