//! What can be said about functions while there are none: their list is empty, and emptying it is
//! done.
//!
//! Not known here: Lua. Loading and calling functions come with a later version; until then they
//! are unknown commands, which clients can tell from a failure.

use super::{Command, CommandError, Ctx, Flags, Group, Outcome};

const SUB: Command = Command {
    container: "function",
    flags: Flags::NOSCRIPT,
    since: "7.0.0",
    group: Group::Scripting,
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "function",
    arity: -2,
    since: "7.0.0",
    summary: "A container for function commands.",
    group: Group::Scripting,
    complexity: "Depends on subcommand.",
    subcommands: &[
        Command {
            name: "flush",
            arity: -2,
            flags: Flags::NOSCRIPT.and(Flags::WRITE),
            summary: "Deletes all libraries and functions.",
            complexity: "O(N) where N is the number of functions deleted",
            handler: flush,
            ..SUB
        },
        Command {
            name: "list",
            arity: -2,
            summary: "Returns information about all libraries.",
            complexity: "O(N) where N is the number of functions",
            handler: list,
            ..SUB
        },
    ],
    ..Command::BLANK
}];

fn flush(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    match args {
        [_, _] => {}
        [_, _, word]
            if word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async") => {}
        _ => {
            return Err(CommandError::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
        }
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn list(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.array(0);
    Ok(Outcome::Done)
}
