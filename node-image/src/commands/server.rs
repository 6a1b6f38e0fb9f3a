//! The server as a whole: sizes, time, flushing, slow log, memory, the end.
//!
//! Not known here: how the node ends (see [`crate::shutdown`]), and INFO and CONFIG, which have
//! files of their own.

use holdfast_store::number::parse_i64;

use super::client::write_help;
use super::{Categories, Command, CommandError, Ctx, Flags, Group, KeySpec, KeyUse, Outcome};
use crate::clock::unix_us;
use crate::shutdown::Snapshot;

const SERVER: Command = Command { group: Group::Server, ..Command::BLANK };
const ADMIN: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dbsize",
        arity: 1,
        flags: Flags::READONLY.and(Flags::FAST),
        extra_categories: Categories::KEYSPACE,
        since: "1.0.0",
        summary: "Returns the number of keys in the database.",
        handler: dbsize,
        ..SERVER
    },
    Command {
        name: "flushall",
        arity: -1,
        flags: Flags::WRITE,
        extra_categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        since: "1.0.0",
        summary: "Removes all keys from all databases.",
        complexity: "O(N) where N is the total number of keys in all databases",
        handler: flushall,
        ..SERVER
    },
    Command {
        name: "flushdb",
        arity: -1,
        flags: Flags::WRITE,
        extra_categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        since: "1.0.0",
        summary: "Removes all keys from the current database.",
        complexity: "O(N) where N is the number of keys in the selected database",
        handler: flushdb,
        ..SERVER
    },
    Command {
        name: "monitor",
        arity: 1,
        flags: ADMIN.and(Flags::NOSCRIPT),
        since: "1.0.0",
        summary: "Shows every command that the server runs.",
        handler: monitor,
        ..SERVER
    },
    Command {
        name: "time",
        arity: 1,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        since: "2.6.0",
        summary: "Returns the server time.",
        handler: time,
        ..SERVER
    },
    Command {
        name: "shutdown",
        arity: -1,
        flags: ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY),
        since: "1.0.0",
        summary: "Synchronously saves the database(s) to disk and shuts down the server.",
        complexity: "O(N) when saving, where N is the total number of keys in all databases",
        handler: shutdown,
        ..SERVER
    },
    Command {
        name: "lolwut",
        arity: -1,
        flags: Flags::READONLY.and(Flags::FAST),
        since: "5.0.0",
        summary: "Displays computer art and the version.",
        handler: lolwut,
        ..SERVER
    },
    Command {
        name: "memory",
        arity: -2,
        since: "4.0.0",
        summary: "A container for memory diagnostics commands.",
        complexity: "Depends on subcommand.",
        subcommands: MEMORY,
        ..SERVER
    },
    Command {
        name: "slowlog",
        arity: -2,
        since: "2.2.12",
        summary: "A container for slow log commands.",
        complexity: "Depends on subcommand.",
        subcommands: SLOWLOG,
        ..SERVER
    },
    Command {
        name: "module",
        arity: -2,
        since: "4.0.0",
        summary: "A container for module commands.",
        complexity: "Depends on subcommand.",
        subcommands: &[Command {
            name: "list",
            container: "module",
            arity: 2,
            flags: Flags::ADMIN.and(Flags::NOSCRIPT),
            since: "4.0.0",
            summary: "Returns all loaded modules.",
            complexity: "O(N) where N is the number of loaded modules.",
            handler: module_list,
            ..SERVER
        }],
        ..SERVER
    },
];

const MEMORY: &[Command] = &[
    Command {
        name: "doctor",
        container: "memory",
        arity: 2,
        since: "4.0.0",
        summary: "Says in words what is odd about the memory in use.",
        handler: super::memory::doctor,
        ..SERVER
    },
    Command {
        name: "stats",
        container: "memory",
        arity: 2,
        since: "4.0.0",
        summary: "Shows what the memory in use is used for.",
        handler: super::memory::stats,
        ..SERVER
    },
    Command {
        name: "usage",
        container: "memory",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(2, KeyUse::ReadMeta)],
        since: "4.0.0",
        summary: "Estimates the memory usage of a key.",
        complexity: "O(N) where N is the number of samples.",
        handler: memory_usage,
        ..SERVER
    },
    Command {
        name: "help",
        container: "memory",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "4.0.0",
        summary: "Returns helpful text about the different subcommands.",
        handler: memory_help,
        ..SERVER
    },
];

const SLOW: Command = Command {
    container: "slowlog",
    flags: ADMIN,
    since: "2.2.12",
    group: Group::Server,
    ..Command::BLANK
};

const SLOWLOG: &[Command] = &[
    Command {
        name: "get",
        arity: -2,
        summary: "Returns the slow log's entries.",
        complexity: "O(N) where N is the number of entries returned",
        handler: slowlog_get,
        ..SLOW
    },
    Command {
        name: "len",
        arity: 2,
        summary: "Returns the number of entries in the slow log.",
        handler: slowlog_len,
        ..SLOW
    },
    Command {
        name: "reset",
        arity: 2,
        summary: "Clears all entries from the slow log.",
        complexity: "O(N) where N is the number of entries in the slowlog",
        handler: slowlog_reset,
        ..SLOW
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "6.2.0",
        summary: "Show helpful text about the different subcommands",
        handler: slowlog_help,
        ..SLOW
    },
];

fn dbsize(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.integer(ctx.core.store.len(ctx.db) as i64);
    Ok(Outcome::Done)
}

/// ASYNC and SYNC are the same here: memory is always given back in steps.
fn check_flush_options(args: &[&[u8]]) -> Result<(), CommandError> {
    match args {
        [_] => Ok(()),
        [_, word] if word.eq_ignore_ascii_case(b"async") => Ok(()),
        [_, word] if word.eq_ignore_ascii_case(b"sync") => Ok(()),
        _ => Err(CommandError::SYNTAX),
    }
}

fn flushall(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    check_flush_options(args)?;
    ctx.core.touched_all(None);
    ctx.core.store.flush_all();
    ctx.core.invalidate_all();
    // Replicas flush even when there was nothing here: they may have kept something.
    ctx.effect_verbatim();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn flushdb(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    check_flush_options(args)?;
    let db = ctx.db;
    ctx.core.touched_all(Some(db));
    ctx.core.store.flush_db(db);
    ctx.core.invalidate_all();
    ctx.effect_verbatim();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn monitor(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    if ctx.in_exec {
        return Err(CommandError::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !ctx.core.monitors.contains(&ctx.client) {
        ctx.core.monitors.push(ctx.client);
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn time(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let now_us = unix_us();
    ctx.reply.array(2);
    ctx.reply.bulk_integer((now_us / 1_000_000) as i64);
    ctx.reply.bulk_integer((now_us % 1_000_000) as i64);
    Ok(Outcome::Done)
}

fn shutdown(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut snapshot = Snapshot::AsConfigured;
    for word in args.iter().skip(1) {
        match (word.to_ascii_lowercase().as_slice(), snapshot) {
            (b"save", Snapshot::AsConfigured | Snapshot::Write) => snapshot = Snapshot::Write,
            (b"nosave", Snapshot::AsConfigured | Snapshot::Skip) => snapshot = Snapshot::Skip,
            // A node that waits for nobody but its hand-over, which is bounded, and that ends
            // although a snapshot fails, does what these ask for.
            (b"now" | b"force", _) => {}
            (b"abort", _) => {
                return Err(CommandError::new("ERR No shutdown in progress."));
            }
            _ => return Err(CommandError::SYNTAX),
        }
    }
    // Half a script is nothing to save.
    if snapshot != Snapshot::Skip
        && let Some(error) = ctx.core.scripts.busy_error()
    {
        return Err(error);
    }
    crate::shutdown::request(ctx.core, snapshot)?;
    Ok(Outcome::Done)
}

fn lolwut(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let art = "\
     |\\        a node that holds fast\n\
     | \\\n\
  ___|__\\___\n\
  \\ o o o /\n\
~~~\\_____/~~~~~~~~\n";
    let text = format!("{art}Redis ver. {} Holdfast {}\n", crate::REDIS_VERSION, crate::VERSION);
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn memory_usage(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    match args.get(3..).unwrap_or_default() {
        [] => {}
        [word, count] if word.eq_ignore_ascii_case(b"samples") => {
            // Sizes are known exactly, so that samples change nothing.
            let count = parse_i64(count).ok_or(CommandError::NOT_AN_INTEGER)?;
            if count < 0 {
                return Err(CommandError::SYNTAX);
            }
        }
        _ => return Err(CommandError::SYNTAX),
    }
    let key = args.get(2).copied().unwrap_or_default();
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    // Asked for first, so that a key whose time is over is gone.
    let is_here = ctx.core.store.contains(db, key, now_ms);
    let bytes = if is_here { ctx.core.store.entry_bytes(db, key) } else { None };
    match bytes {
        Some(bytes) => ctx.reply.integer(bytes as i64),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn memory_help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Say in words what is odd about the memory in use.",
        "STATS",
        "    Show what the memory in use is used for.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}

fn slowlog_get(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let count = match args {
        [_, _] => 10,
        [_, _, count] => {
            let wrong = CommandError::new("ERR count should be greater than or equal to -1");
            match parse_i64(count) {
                None => return Err(CommandError::NOT_AN_INTEGER),
                Some(-1) => usize::MAX,
                Some(count) => usize::try_from(count).map_err(|_| wrong)?,
            }
        }
        _ => return Err(CommandError::wrong_arity("slowlog|get")),
    };
    let entries = ctx.core.latency.entries();
    let count = count.min(entries.len());
    ctx.reply.array(count);
    for entry in entries.iter().take(count) {
        ctx.reply.array(6);
        ctx.reply.integer(entry.id as i64);
        ctx.reply.integer(entry.at_s);
        ctx.reply.integer(entry.micros as i64);
        ctx.reply.array(entry.args.len());
        for arg in &entry.args {
            ctx.reply.bulk(arg);
        }
        ctx.reply.bulk_str(&entry.address);
        ctx.reply.bulk(&entry.name);
    }
    Ok(Outcome::Done)
}

fn slowlog_len(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.integer(ctx.core.latency.entries().len() as i64);
    Ok(Outcome::Done)
}

fn slowlog_reset(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.core.latency.clear();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn slowlog_help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}

fn module_list(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.array(0);
    Ok(Outcome::Done)
}
