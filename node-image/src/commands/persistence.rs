//! Commands of the family "persistence": SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF.
//!
//! Not known here: files and snapshots ([`crate::aof`]).

use super::{Categories, Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::aof::{save, want_rewrite};

const SERVER: Command = Command { group: Group::Server, ..Command::BLANK };
const SAVING: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "save",
        arity: 1,
        flags: SAVING.and(Flags::NO_MULTI),
        summary: "Synchronously saves the database(s) to disk.",
        complexity: "O(N) where N is the total number of keys in all databases",
        handler: save_command,
        ..SERVER
    },
    Command {
        name: "bgsave",
        arity: -1,
        flags: SAVING,
        summary: "Asynchronously saves the database(s) to disk.",
        handler: bgsave,
        ..SERVER
    },
    Command {
        name: "lastsave",
        arity: 1,
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        extra_categories: Categories::DANGEROUS,
        summary: "Returns the Unix timestamp of the last successful save to disk.",
        handler: lastsave,
        ..SERVER
    },
    Command {
        name: "bgrewriteaof",
        arity: 1,
        flags: SAVING,
        summary: "Asynchronously rewrites the append-only file to disk.",
        handler: bgrewriteaof,
        ..SERVER
    },
];

const BUSY: CommandError = CommandError::new("ERR Background save already in progress");

fn save_command(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    if ctx.core.persistence.save.is_running() {
        return Err(BUSY);
    }
    match save::save_now(ctx.core) {
        Ok(()) => ctx.reply.simple("OK"),
        // The log tells why; clients know this text.
        Err(_) => return Err(CommandError::new("ERR")),
    }
    Ok(Outcome::Done)
}

fn bgsave(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    match args {
        [_] => {}
        [_, word] if word.eq_ignore_ascii_case(b"schedule") => {}
        _ => return Err(CommandError::SYNTAX),
    }
    if ctx.core.persistence.save.is_running() {
        return Err(BUSY);
    }
    save::begin(ctx.core).map_err(|error| CommandError::text(format!("ERR {error}")))?;
    ctx.reply.simple("Background saving started");
    Ok(Outcome::Done)
}

fn lastsave(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.integer(ctx.core.persistence.save.last_s());
    Ok(Outcome::Done)
}

fn bgrewriteaof(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    if ctx.core.persistence.is_rewriting() {
        return Err(CommandError::new(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    want_rewrite(ctx.core);
    ctx.reply.simple("Background append only file rewriting started");
    Ok(Outcome::Done)
}
