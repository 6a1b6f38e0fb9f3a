//! EVAL and its sisters, and SCRIPT.
//!
//! Not known here: Lua, and how a script's commands are run; see [`crate::scripts`].

use super::client::write_help;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec, KeyUse, Outcome};
use crate::scripts::Script;
use crate::scripts::session::{self, Program};

/// What calls a script or a function.
pub(super) const CALL: Command = Command {
    arity: -3,
    flags: Flags::NOSCRIPT
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::MAY_REPLICATE)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, KeyUse::ReadWrite)],
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "Depends on the script that is executed.",
    ..Command::BLANK
};

/// The same for those that only read.
pub(super) const CALL_READ_ONLY: Command = Command {
    flags: CALL.flags.and(Flags::READONLY),
    keys: &[KeySpec::counted(2, KeyUse::Read)],
    since: "7.0.0",
    ..CALL
};

const SUB: Command = Command {
    container: "script",
    flags: Flags::NOSCRIPT,
    since: "2.6.0",
    group: Group::Scripting,
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command { name: "eval", summary: "Execute a Lua script server side", handler: eval, ..CALL },
    Command {
        name: "eval_ro",
        summary: "Execute a read-only Lua script server side",
        handler: eval_ro,
        ..CALL_READ_ONLY
    },
    Command {
        name: "evalsha",
        summary: "Execute a Lua script server side",
        handler: evalsha,
        ..CALL
    },
    Command {
        name: "evalsha_ro",
        summary: "Execute a read-only Lua script server side",
        handler: evalsha_ro,
        ..CALL_READ_ONLY
    },
    Command {
        name: "script",
        arity: -2,
        since: "2.6.0",
        summary: "A container for Lua scripts management commands",
        group: Group::Scripting,
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        ..Command::BLANK
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "debug",
        arity: 3,
        since: "3.2.0",
        summary: "Set the debug mode for executed scripts.",
        handler: debug,
        ..SUB
    },
    Command {
        name: "exists",
        arity: -3,
        summary: "Check existence of scripts in the script cache.",
        complexity: "O(N) with N being the number of scripts to check (so checking a single script \
                     is an O(1) operation).",
        handler: exists,
        ..SUB
    },
    Command {
        name: "flush",
        arity: -2,
        summary: "Remove all the scripts from the script cache.",
        complexity: "O(N) with N being the number of scripts in cache",
        handler: flush,
        ..SUB
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: "Show helpful text about the different subcommands",
        handler: help,
        ..SUB
    },
    Command {
        name: "kill",
        arity: 2,
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        summary: "Kill the script currently in execution.",
        handler: kill,
        ..SUB
    },
    Command {
        name: "load",
        arity: 3,
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        summary: "Load the specified Lua script into the script cache.",
        complexity: "O(N) with N being the length in bytes of the script body.",
        handler: load,
        ..SUB
    },
];

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    There is no debugger; only NO is taken.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Tell for each digest whether its script is known.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts.",
    "KILL",
    "    End the script that runs, unless it has written.",
    "LOAD <script>",
    "    Remember a script without running it, and give its digest.",
    "HELP",
    "    Print this help.",
];

const NO_SCRIPT: CommandError = CommandError::new("NOSCRIPT No matching script. Please use EVAL.");

/// A part of a request.
type Words<'a> = &'a [&'a [u8]];

/// The keys and the other arguments behind a number of keys at argument 2.
pub(super) fn keys_and_arguments<'a>(
    args: &'a [&'a [u8]],
) -> Result<(Words<'a>, Words<'a>), CommandError> {
    let count = args.get(2).copied().unwrap_or_default();
    let count: i64 = std::str::from_utf8(count)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(CommandError::NOT_AN_INTEGER)?;
    let rest = args.get(3..).unwrap_or_default();
    let Ok(count) = usize::try_from(count) else {
        return Err(CommandError::new("ERR Number of keys can't be negative"));
    };
    rest.split_at_checked(count)
        .ok_or(CommandError::new("ERR Number of keys can't be greater than number of args"))
}

fn run(
    ctx: &mut Ctx<'_>,
    script: &Script,
    read_only: bool,
    args: &[&[u8]],
) -> Result<Outcome, CommandError> {
    let (keys, argv) = keys_and_arguments(args)?;
    let engine = ctx.core.scripts.engine(&ctx.core.config)?;
    let function = engine
        .kept(&script.sha)
        .map_err(|error| CommandError::text(format!("ERR failed to find the script: {error}")))?;
    let program = Program {
        engine,
        function,
        name: script.sha.clone(),
        flags: script.flags,
        is_function: false,
    };
    session::run(ctx, &program, read_only, keys, argv)
}

fn eval_text(ctx: &mut Ctx<'_>, read_only: bool, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    keys_and_arguments(args)?;
    let body = args.get(1).copied().unwrap_or_default();
    let script = ctx.core.scripts.evaluate(&ctx.core.config, body)?;
    run(ctx, &script, read_only, args)
}

fn eval_known(ctx: &mut Ctx<'_>, read_only: bool, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let sha = args.get(1).copied().unwrap_or_default();
    let script = ctx.core.scripts.find(sha).ok_or(NO_SCRIPT)?;
    run(ctx, &script, read_only, args)
}

fn eval(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    eval_text(ctx, false, args)
}

fn eval_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    eval_text(ctx, true, args)
}

fn evalsha(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    eval_known(ctx, false, args)
}

fn evalsha_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    eval_known(ctx, true, args)
}

fn load(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let body = args.get(2).copied().unwrap_or_default();
    let script = ctx.core.scripts.load(&ctx.core.config, body)?;
    ctx.reply.bulk_str(&script.sha);
    Ok(Outcome::Done)
}

fn exists(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let asked = args.get(2..).unwrap_or_default();
    ctx.reply.array(asked.len());
    for sha in asked {
        ctx.reply.integer(i64::from(ctx.core.scripts.knows(sha)));
    }
    Ok(Outcome::Done)
}

fn flush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    match args {
        [_, _] => {}
        [_, _, word]
            if word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async") => {}
        _ => {
            return Err(CommandError::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
        }
    }
    ctx.core.scripts.flush();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn kill(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.core.scripts.kill(false)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn debug(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    match args.get(2) {
        Some(word) if word.eq_ignore_ascii_case(b"no") => {
            ctx.reply.ok();
            Ok(Outcome::Done)
        }
        Some(word) if word.eq_ignore_ascii_case(b"yes") || word.eq_ignore_ascii_case(b"sync") => {
            Err(CommandError::new("ERR There is no script debugger in this server"))
        }
        _ => Err(CommandError::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    write_help(ctx, HELP)
}
