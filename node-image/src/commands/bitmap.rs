//! Commands of the family "bitmap": the table, and what both halves of the code share.

mod basic;
mod field;

use super::spec::KeyUse;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec};
use crate::config::Name;

const BITMAP: Command = Command { group: Group::Bitmap, ..Command::BLANK };

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bitcount",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.6.0",
        summary: "Counts the set bits of a string or of a part of it.",
        complexity: "O(N)",
        handler: basic::bitcount,
        ..BITMAP
    },
    Command {
        name: "bitfield",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::AsAsked)],
        since: "3.2.0",
        summary: "Reads and changes integers of any width within a string.",
        complexity: "O(1) for each subcommand specified",
        handler: field::bitfield,
        ..BITMAP
    },
    Command {
        name: "bitfield_ro",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.0.0",
        summary: "Reads integers of any width within a string.",
        complexity: "O(1) for each subcommand specified",
        handler: field::bitfield_ro,
        ..BITMAP
    },
    Command {
        name: "bitop",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(2, KeyUse::Overwrite), KeySpec::rest(3, 1, KeyUse::Read)],
        since: "2.6.0",
        summary: "Combines strings bit by bit and stores the result.",
        complexity: "O(N)",
        handler: basic::bitop,
        ..BITMAP
    },
    Command {
        name: "bitpos",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.7",
        summary: "Finds the first bit that is set, or that is clear.",
        complexity: "O(N)",
        handler: basic::bitpos,
        ..BITMAP
    },
    Command {
        name: "getbit",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.2.0",
        summary: "Gives a bit of a string.",
        handler: basic::getbit,
        ..BITMAP
    },
    Command {
        name: "setbit",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "2.2.0",
        summary: "Sets or clears a bit of a string and gives what it was.",
        handler: basic::setbit,
        ..BITMAP
    },
];

const BAD_OFFSET: CommandError =
    CommandError::new("ERR bit offset is not an integer or out of range");

/// The place of a bit: within what a string may become.
fn offset(ctx: &Ctx<'_>, number: Option<i64>) -> Result<u64, CommandError> {
    let offset = number.and_then(|number| u64::try_from(number).ok()).ok_or(BAD_OFFSET)?;
    let bytes_max = ctx.core.config.size(Name::ProtoMaxBulkLen) as u64;
    if offset / 8 >= bytes_max && !ctx.is_replay() {
        return Err(BAD_OFFSET);
    }
    Ok(offset)
}
