//! Commands of the family "string": the table. The code is beside it, by what it does.

mod basic;
mod change;
mod lcs;

use super::spec::KeyUse;
use super::{Command, Flags, Group, KeySpec};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "append",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.0.0",
        summary: "Adds bytes to the end of a string.",
        group: Group::String,
        handler: change::append,
        ..Command::BLANK
    },
    Command {
        name: "decr",
        arity: 2,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Takes one from a number.",
        group: Group::String,
        handler: change::decr,
        ..Command::BLANK
    },
    Command {
        name: "decrby",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Takes an amount from a number.",
        group: Group::String,
        handler: change::decrby,
        ..Command::BLANK
    },
    Command {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the string of a key.",
        group: Group::String,
        handler: basic::get,
        ..Command::BLANK
    },
    Command {
        name: "getdel",
        arity: 2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "6.2.0",
        summary: "Gives the string of a key and deletes the key.",
        group: Group::String,
        handler: basic::getdel,
        ..Command::BLANK
    },
    Command {
        name: "getex",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "6.2.0",
        summary: "Gives the string of a key and sets or clears its expiry.",
        group: Group::String,
        handler: basic::getex,
        ..Command::BLANK
    },
    Command {
        name: "getrange",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.4.0",
        summary: "Gives a part of a string.",
        group: Group::String,
        complexity: "O(N), N the length of the part",
        handler: change::getrange,
        ..Command::BLANK
    },
    Command {
        name: "getset",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Sets a string and gives the one before.",
        group: Group::String,
        handler: basic::getset,
        ..Command::BLANK
    },
    Command {
        name: "incr",
        arity: 2,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Adds one to a number.",
        group: Group::String,
        handler: change::incr,
        ..Command::BLANK
    },
    Command {
        name: "incrby",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Adds an amount to a number.",
        group: Group::String,
        handler: change::incrby,
        ..Command::BLANK
    },
    Command {
        name: "incrbyfloat",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "2.6.0",
        summary: "Adds a number with a fraction to one.",
        group: Group::String,
        handler: change::incrbyfloat,
        ..Command::BLANK
    },
    Command {
        name: "lcs",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::range(1, 1, 1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Finds the longest sequence that two strings have in common.",
        group: Group::String,
        complexity: "O(N*M), N and M the lengths of the strings",
        handler: lcs::lcs,
        ..Command::BLANK
    },
    Command {
        name: "mget",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::rest(1, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the strings of several keys.",
        group: Group::String,
        complexity: "O(N), N the number of keys",
        handler: basic::mget,
        ..Command::BLANK
    },
    Command {
        name: "mset",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::rest(1, 2, KeyUse::Overwrite)],
        since: "1.0.1",
        summary: "Sets several keys.",
        group: Group::String,
        complexity: "O(N), N the number of keys",
        handler: basic::mset,
        ..Command::BLANK
    },
    Command {
        name: "msetnx",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::rest(1, 2, KeyUse::Overwrite)],
        since: "1.0.1",
        summary: "Sets several keys if none of them exists.",
        group: Group::String,
        complexity: "O(N), N the number of keys",
        handler: basic::msetnx,
        ..Command::BLANK
    },
    Command {
        name: "psetex",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite)],
        since: "2.6.0",
        summary: "Sets a string that expires after some milliseconds.",
        group: Group::String,
        handler: basic::psetex,
        ..Command::BLANK
    },
    Command {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Sets a string, with conditions and an expiry where wished.",
        group: Group::String,
        handler: basic::set,
        ..Command::BLANK
    },
    Command {
        name: "setex",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite)],
        since: "2.0.0",
        summary: "Sets a string that expires after some seconds.",
        group: Group::String,
        handler: basic::setex,
        ..Command::BLANK
    },
    Command {
        name: "setnx",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Overwrite)],
        since: "1.0.0",
        summary: "Sets a string if the key does not exist.",
        group: Group::String,
        handler: basic::setnx,
        ..Command::BLANK
    },
    Command {
        name: "setrange",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.2.0",
        summary: "Overwrites a part of a string.",
        group: Group::String,
        complexity: "O(N), N the length of the value",
        handler: change::setrange,
        ..Command::BLANK
    },
    Command {
        name: "strlen",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "2.2.0",
        summary: "Tells the length of a string.",
        group: Group::String,
        handler: basic::strlen,
        ..Command::BLANK
    },
    Command {
        name: "substr",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives a part of a string; an older name of GETRANGE.",
        group: Group::String,
        complexity: "O(N), N the length of the part",
        handler: change::getrange,
        ..Command::BLANK
    },
];
