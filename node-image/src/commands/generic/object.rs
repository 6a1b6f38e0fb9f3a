//! How values are kept and used.

use holdfast_store::{StringValue, Tracking, Value};

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::spec::KeyUse;
use crate::commands::{Command, CommandError, Ctx, Flags, Group, KeySpec};

/// Subcommands of OBJECT.
pub(super) const SUBCOMMANDS: &[Command] = &[
    Command { handler: encoding, ..subcommand("encoding", "Tells in which form a value is kept.") },
    Command { handler: freq, ..subcommand("freq", "Tells how often a key is used, roughly.") },
    Command {
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        keys: &[],
        since: "6.2.0",
        handler: help,
        ..subcommand("help", "Lists the subcommands.")
    },
    Command {
        handler: idletime,
        ..subcommand("idletime", "Tells for how many seconds a key was not used.")
    },
    Command { handler: refcount, ..subcommand("refcount", "Counts the references of a value.") },
];

/// The key of all of them but HELP.
const KEY: &[KeySpec] = &[KeySpec::one(2, KeyUse::ReadMeta)];

const fn subcommand(name: &'static str, summary: &'static str) -> Command {
    Command {
        name,
        container: "object",
        arity: 3,
        flags: Flags::READONLY,
        keys: KEY,
        since: "2.2.3",
        summary,
        group: Group::Generic,
        ..Command::BLANK
    }
}

/// `OBJECT ENCODING key`
fn encoding(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    match ctx.core.store.get_quietly(ctx.db, args[2], ctx.now_ms) {
        Some(value) => ctx.reply.bulk(value.encoding().name().as_bytes()),
        None => ctx.reply.null(),
    }
    DONE
}

/// `OBJECT REFCOUNT key`: no value is shared between keys. A small number costs no memory of its
/// own, which clients know as a count without end.
fn refcount(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    const SMALL_NUMBER_MAX: i64 = 9_999;
    match ctx.core.store.get_quietly(ctx.db, args[2], ctx.now_ms) {
        Some(Value::String(StringValue::Int(0..=SMALL_NUMBER_MAX))) => {
            ctx.reply.integer(i64::from(i32::MAX));
        }
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    DONE
}

/// `OBJECT IDLETIME key`
fn idletime(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (db, key, now_ms) = (ctx.db, args[2], ctx.now_ms);
    let store = &mut ctx.core.store;
    if !store.contains(db, key, now_ms) {
        ctx.reply.null();
        return DONE;
    }
    if store.tracking() != Tracking::Recency {
        return Err(CommandError::new(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to \
             adjust.",
        ));
    }
    ctx.reply.integer(store.idle_s(db, key, now_ms).unwrap_or(0) as i64);
    DONE
}

/// `OBJECT FREQ key`
fn freq(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (db, key, now_ms) = (ctx.db, args[2], ctx.now_ms);
    let store = &mut ctx.core.store;
    if !store.contains(db, key, now_ms) {
        ctx.reply.null();
        return DONE;
    }
    if store.tracking() == Tracking::Recency {
        return Err(CommandError::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take \
             some time to adjust.",
        ));
    }
    ctx.reply.integer(i64::from(store.frequency(db, key, now_ms).unwrap_or(0)));
    DONE
}

/// `OBJECT HELP`
fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    const LINES: [&str; 11] = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    In which form the value of <key> is kept.",
        "FREQ <key>",
        "    How often <key> is used: a logarithmic counter that falls with time.",
        "HELP",
        "    These lines.",
        "IDLETIME <key>",
        "    For how many seconds <key> was not used.",
        "REFCOUNT <key>",
        "    How many references the value of <key> has.",
    ];
    ctx.reply.array(LINES.len());
    for line in LINES {
        ctx.reply.simple(line);
    }
    DONE
}
