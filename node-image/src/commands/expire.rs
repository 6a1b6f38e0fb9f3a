//! Commands about when keys expire.
//!
//! Replicas get a point in time, never a distance from now; and a DEL where that point has passed
//! already.

use holdfast_store::number::IntText;

use super::keyspace::{DONE, Ended};
use super::parse::{integer, is_word};
use super::spec::KeyUse;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec};
use crate::notify::EventClass;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "expire",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "1.0.0",
        summary: "Lets a key expire after some seconds.",
        group: Group::Generic,
        handler: expire,
        ..Command::BLANK
    },
    Command {
        name: "expireat",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "1.2.0",
        summary: "Lets a key expire at a time in seconds.",
        group: Group::Generic,
        handler: expireat,
        ..Command::BLANK
    },
    Command {
        name: "expiretime",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Tells when a key expires, in seconds.",
        group: Group::Generic,
        handler: expiretime,
        ..Command::BLANK
    },
    Command {
        name: "persist",
        arity: 2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.2.0",
        summary: "Takes the expiry off a key.",
        group: Group::Generic,
        handler: persist,
        ..Command::BLANK
    },
    Command {
        name: "pexpire",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.6.0",
        summary: "Lets a key expire after some milliseconds.",
        group: Group::Generic,
        handler: pexpire,
        ..Command::BLANK
    },
    Command {
        name: "pexpireat",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.6.0",
        summary: "Lets a key expire at a time in milliseconds.",
        group: Group::Generic,
        handler: pexpireat,
        ..Command::BLANK
    },
    Command {
        name: "pexpiretime",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Tells when a key expires, in milliseconds.",
        group: Group::Generic,
        handler: pexpiretime,
        ..Command::BLANK
    },
    Command {
        name: "pttl",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.6.0",
        summary: "Tells how many milliseconds a key has left.",
        group: Group::Generic,
        handler: pttl,
        ..Command::BLANK
    },
    Command {
        name: "ttl",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Tells how many seconds a key has left.",
        group: Group::Generic,
        handler: ttl,
        ..Command::BLANK
    },
];

/// Sets the expiry of a key that exists; deletes the key when the time has passed.
pub(super) fn set_or_delete(ctx: &mut Ctx<'_>, key: &[u8], at_ms: i64) {
    // A replica, or a file being read, leaves it to the DEL that follows in the stream.
    if at_ms <= ctx.now_ms && !ctx.is_replay() {
        ctx.keys().remove(key);
        ctx.touched(key);
        ctx.effect(&[b"DEL", key]);
        ctx.notify(EventClass::Generic, "del", key);
    } else {
        ctx.keys().set_expiry(key, Some(at_ms));
        ctx.touched(key);
        ctx.effect(&[b"PEXPIREAT", key, &IntText::new(at_ms)]);
        ctx.notify(EventClass::Generic, "expire", key);
    }
}

/// When the new time is taken.
#[derive(Debug, Clone, Copy, Default)]
struct Conditions {
    only_new: bool,
    only_old: bool,
    only_later: bool,
    only_earlier: bool,
}

impl Conditions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for arg in args {
            if is_word(arg, "NX") {
                conditions.only_new = true;
            } else if is_word(arg, "XX") {
                conditions.only_old = true;
            } else if is_word(arg, "GT") {
                conditions.only_later = true;
            } else if is_word(arg, "LT") {
                conditions.only_earlier = true;
            } else {
                let text = String::from_utf8_lossy(arg);
                return Err(CommandError::text(format!("ERR Unsupported option {text}")));
            }
        }
        let Self { only_new, only_old, only_later, only_earlier } = conditions;
        if only_new && (only_old || only_later || only_earlier) {
            return Err(CommandError::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if only_later && only_earlier {
            return Err(CommandError::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    /// Whether a key with this expiry gets the new one. No expiry is the latest of all.
    fn allow(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        !(self.only_new && old_ms.is_some()
            || self.only_old && old_ms.is_none()
            || self.only_later && old_ms.is_none_or(|old_ms| new_ms <= old_ms)
            || self.only_earlier && old_ms.is_some_and(|old_ms| new_ms >= old_ms))
    }
}

fn set(ctx: &mut Ctx<'_>, args: &[&[u8]], unit_ms: i64, base_ms: i64) -> Ended {
    let key = args[1];
    let conditions = Conditions::parse(args.get(3..).unwrap_or_default())?;
    let number = integer(args[2])?;
    let at_ms = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
    let at_ms = at_ms.ok_or_else(|| {
        CommandError::text(format!("ERR invalid expire time in '{}' command", ctx.command.name))
    })?;
    let old_ms = ctx.keys().expiry_ms(key);
    let allowed = old_ms.is_some_and(|old_ms| conditions.allow(old_ms, at_ms));
    if allowed {
        set_or_delete(ctx, key, at_ms);
    }
    ctx.reply.integer(i64::from(allowed));
    DONE
}

/// `EXPIRE key seconds [NX|XX|GT|LT]`
fn expire(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let now_ms = ctx.now_ms;
    set(ctx, args, 1000, now_ms)
}

/// `PEXPIRE key milliseconds [NX|XX|GT|LT]`
fn pexpire(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let now_ms = ctx.now_ms;
    set(ctx, args, 1, now_ms)
}

/// `EXPIREAT key seconds [NX|XX|GT|LT]`
fn expireat(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    set(ctx, args, 1000, 0)
}

/// `PEXPIREAT key milliseconds [NX|XX|GT|LT]`
fn pexpireat(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    set(ctx, args, 1, 0)
}

/// Writes -2 without a key, -1 without an expiry, or what the expiry comes to.
fn tell(ctx: &mut Ctx<'_>, key: &[u8], shown: impl Fn(i64) -> i64) -> Ended {
    let answer = match ctx.keys().expiry_ms(key) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => shown(at_ms),
    };
    ctx.reply.integer(answer);
    DONE
}

/// Seconds, to the nearest.
fn seconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_add(500) / 1000
}

/// `TTL key`
fn ttl(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let now_ms = ctx.now_ms;
    tell(ctx, args[1], |at_ms| seconds(at_ms.saturating_sub(now_ms).max(0)))
}

/// `PTTL key`
fn pttl(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let now_ms = ctx.now_ms;
    tell(ctx, args[1], |at_ms| at_ms.saturating_sub(now_ms).max(0))
}

/// `EXPIRETIME key`
fn expiretime(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    tell(ctx, args[1], seconds)
}

/// `PEXPIRETIME key`
fn pexpiretime(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    tell(ctx, args[1], |at_ms| at_ms)
}

/// `PERSIST key`
fn persist(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let expires = matches!(ctx.keys().expiry_ms(key), Some(Some(_)));
    if expires {
        ctx.keys().set_expiry(key, None);
        ctx.changed_by(EventClass::Generic, "persist", key);
    }
    ctx.reply.integer(i64::from(expires));
    DONE
}
