//! Commands of the family "hash": the table. The code is beside it.

mod basic;
mod sample;

use super::spec::KeyUse;
use super::{Command, Flags, Group, KeySpec};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hdel",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "2.0.0",
        summary: "Deletes fields.",
        group: Group::Hash,
        complexity: "O(N), N the fields named",
        handler: basic::hdel,
        ..Command::BLANK
    },
    Command {
        name: "hexists",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "2.0.0",
        summary: "Tells whether a field exists.",
        group: Group::Hash,
        handler: basic::hexists,
        ..Command::BLANK
    },
    Command {
        name: "hget",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the value of a field.",
        group: Group::Hash,
        handler: basic::hget,
        ..Command::BLANK
    },
    Command {
        name: "hgetall",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives all fields with their values.",
        group: Group::Hash,
        complexity: "O(N), N the fields",
        handler: basic::hgetall,
        ..Command::BLANK
    },
    Command {
        name: "hincrby",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "2.0.0",
        summary: "Adds an amount to the number in a field.",
        group: Group::Hash,
        handler: basic::hincrby,
        ..Command::BLANK
    },
    Command {
        name: "hincrbyfloat",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "2.6.0",
        summary: "Adds a number with a fraction to the one in a field.",
        group: Group::Hash,
        handler: basic::hincrbyfloat,
        ..Command::BLANK
    },
    Command {
        name: "hkeys",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the names of all fields.",
        group: Group::Hash,
        complexity: "O(N), N the fields",
        handler: basic::hkeys,
        ..Command::BLANK
    },
    Command {
        name: "hlen",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "2.0.0",
        summary: "Counts the fields.",
        group: Group::Hash,
        handler: basic::hlen,
        ..Command::BLANK
    },
    Command {
        name: "hmget",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the values of several fields.",
        group: Group::Hash,
        complexity: "O(N), N the fields named",
        handler: basic::hmget,
        ..Command::BLANK
    },
    Command {
        name: "hmset",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.0.0",
        summary: "Sets several fields.",
        group: Group::Hash,
        complexity: "O(N), N the fields named",
        handler: basic::hmset,
        ..Command::BLANK
    },
    Command {
        name: "hrandfield",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives fields chosen by chance.",
        group: Group::Hash,
        complexity: "O(N), N the fields given",
        handler: sample::hrandfield,
        ..Command::BLANK
    },
    Command {
        name: "hscan",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.0",
        summary: "Walks the fields of a hash in steps.",
        group: Group::Hash,
        complexity: "O(1) a call, O(N) for a whole walk",
        handler: sample::hscan,
        ..Command::BLANK
    },
    Command {
        name: "hset",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "2.0.0",
        summary: "Sets fields and counts the new ones.",
        group: Group::Hash,
        complexity: "O(N), N the fields named",
        handler: basic::hset,
        ..Command::BLANK
    },
    Command {
        name: "hsetnx",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.0.0",
        summary: "Sets a field that does not exist.",
        group: Group::Hash,
        handler: basic::hsetnx,
        ..Command::BLANK
    },
    Command {
        name: "hstrlen",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "3.2.0",
        summary: "Tells the length of a field's value.",
        group: Group::Hash,
        handler: basic::hstrlen,
        ..Command::BLANK
    },
    Command {
        name: "hvals",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the values of all fields.",
        group: Group::Hash,
        complexity: "O(N), N the fields",
        handler: basic::hvals,
        ..Command::BLANK
    },
];
