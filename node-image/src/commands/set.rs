//! Commands of the family "set": the table. The code is beside it.

pub(super) mod between;
mod chance;
mod members;

use super::spec::KeyUse;
use super::{Command, Flags, Group, KeySpec};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sadd",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "1.0.0",
        summary: "Adds members.",
        group: Group::Set,
        complexity: "O(N), N the members named",
        handler: members::sadd,
        ..Command::BLANK
    },
    Command {
        name: "scard",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "1.0.0",
        summary: "Counts the members.",
        group: Group::Set,
        handler: members::scard,
        ..Command::BLANK
    },
    Command {
        name: "sdiff",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the members of the first set that no other has.",
        group: Group::Set,
        complexity: "O(N), N the members of all sets",
        handler: between::sdiff,
        ..Command::BLANK
    },
    Command {
        name: "sdiffstore",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::rest(2, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Stores the members of the first set that no other has.",
        group: Group::Set,
        complexity: "O(N), N the members of all sets",
        handler: between::sdiffstore,
        ..Command::BLANK
    },
    Command {
        name: "sinter",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the members that all sets have.",
        group: Group::Set,
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        handler: between::sinter,
        ..Command::BLANK
    },
    Command {
        name: "sintercard",
        arity: -3,
        flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Counts the members that all sets have.",
        group: Group::Set,
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        handler: between::sintercard,
        ..Command::BLANK
    },
    Command {
        name: "sinterstore",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Update), KeySpec::rest(2, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Stores the members that all sets have.",
        group: Group::Set,
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        handler: between::sinterstore,
        ..Command::BLANK
    },
    Command {
        name: "sismember",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "1.0.0",
        summary: "Tells whether a set has a member.",
        group: Group::Set,
        handler: members::sismember,
        ..Command::BLANK
    },
    Command {
        name: "smembers",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives all members.",
        group: Group::Set,
        complexity: "O(N), N the members",
        handler: members::smembers,
        ..Command::BLANK
    },
    Command {
        name: "smismember",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Tells of several members whether a set has them.",
        group: Group::Set,
        complexity: "O(N), N the members named",
        handler: members::smismember,
        ..Command::BLANK
    },
    Command {
        name: "smove",
        arity: 4,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Insert)],
        since: "1.0.0",
        summary: "Moves a member to another set.",
        group: Group::Set,
        handler: members::smove,
        ..Command::BLANK
    },
    Command {
        name: "spop",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "1.0.0",
        summary: "Takes members by chance.",
        group: Group::Set,
        complexity: "O(N), N the members taken",
        handler: chance::spop,
        ..Command::BLANK
    },
    Command {
        name: "srandmember",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives members by chance.",
        group: Group::Set,
        complexity: "O(N), N the members given",
        handler: chance::srandmember,
        ..Command::BLANK
    },
    Command {
        name: "srem",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "1.0.0",
        summary: "Removes members.",
        group: Group::Set,
        complexity: "O(N), N the members named",
        handler: members::srem,
        ..Command::BLANK
    },
    Command {
        name: "sscan",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.0",
        summary: "Walks the members in steps.",
        group: Group::Set,
        complexity: "O(1) a call, O(N) for a whole walk",
        handler: members::sscan,
        ..Command::BLANK
    },
    Command {
        name: "sunion",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the members that any of the sets has.",
        group: Group::Set,
        complexity: "O(N), N the members of all sets",
        handler: between::sunion,
        ..Command::BLANK
    },
    Command {
        name: "sunionstore",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::rest(2, 1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Stores the members that any of the sets has.",
        group: Group::Set,
        complexity: "O(N), N the members of all sets",
        handler: between::sunionstore,
        ..Command::BLANK
    },
];
