//! Commands of the family "list": the table. The code is beside it.

pub(super) mod ends;
mod places;

use super::spec::KeyUse;
use super::{Command, Flags, Group, KeySpec, blocking_list};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "blmove",
        arity: 6,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT).and(Flags::BLOCKING),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Insert)],
        since: "6.2.0",
        summary: "Moves an element between lists, waiting for one.",
        group: Group::List,
        handler: blocking_list::blmove,
        ..Command::BLANK
    },
    Command {
        name: "blmpop",
        arity: -5,
        flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(2, KeyUse::Take)],
        since: "7.0.0",
        summary: "Takes elements from the first list that has any, waiting for one.",
        group: Group::List,
        complexity: "O(N+M), N the keys, M the elements given",
        handler: blocking_list::blmpop,
        ..Command::BLANK
    },
    Command {
        name: "blpop",
        arity: -3,
        flags: Flags::WRITE.and(Flags::NOSCRIPT).and(Flags::BLOCKING),
        keys: &[KeySpec::range(1, -2, 1, KeyUse::Take)],
        since: "2.0.0",
        summary: "Takes the first element of a list, waiting for one.",
        group: Group::List,
        complexity: "O(N), N the number of keys",
        handler: blocking_list::blpop,
        ..Command::BLANK
    },
    Command {
        name: "brpop",
        arity: -3,
        flags: Flags::WRITE.and(Flags::NOSCRIPT).and(Flags::BLOCKING),
        keys: &[KeySpec::range(1, -2, 1, KeyUse::Take)],
        since: "2.0.0",
        summary: "Takes the last element of a list, waiting for one.",
        group: Group::List,
        complexity: "O(N), N the number of keys",
        handler: blocking_list::brpop,
        ..Command::BLANK
    },
    Command {
        name: "brpoplpush",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT).and(Flags::BLOCKING),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Insert)],
        since: "2.2.0",
        summary: "Moves the last element to the front of another list, waiting for one.",
        group: Group::List,
        handler: blocking_list::brpoplpush,
        ..Command::BLANK
    },
    Command {
        name: "lindex",
        arity: 3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the element at a place.",
        group: Group::List,
        complexity: "O(N), N the distance from the nearer end",
        handler: places::lindex,
        ..Command::BLANK
    },
    Command {
        name: "linsert",
        arity: 5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.2.0",
        summary: "Puts an element next to another one.",
        group: Group::List,
        complexity: "O(N), N the elements before the pivot",
        handler: places::linsert,
        ..Command::BLANK
    },
    Command {
        name: "llen",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "1.0.0",
        summary: "Counts the elements.",
        group: Group::List,
        handler: ends::llen,
        ..Command::BLANK
    },
    Command {
        name: "lmove",
        arity: 5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Insert)],
        since: "6.2.0",
        summary: "Moves an element between lists.",
        group: Group::List,
        handler: ends::lmove,
        ..Command::BLANK
    },
    Command {
        name: "lmpop",
        arity: -4,
        flags: Flags::WRITE.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Take)],
        since: "7.0.0",
        summary: "Takes elements from the first list that has any.",
        group: Group::List,
        complexity: "O(N+M), N the keys, M the elements given",
        handler: ends::lmpop,
        ..Command::BLANK
    },
    Command {
        name: "lpop",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "1.0.0",
        summary: "Takes elements from the front.",
        group: Group::List,
        complexity: "O(N), N the elements given",
        handler: ends::lpop,
        ..Command::BLANK
    },
    Command {
        name: "lpos",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.0.6",
        summary: "Finds the places of an element.",
        group: Group::List,
        complexity: "O(N), N the elements searched",
        handler: places::lpos,
        ..Command::BLANK
    },
    Command {
        name: "lpush",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "1.0.0",
        summary: "Adds elements to the front.",
        group: Group::List,
        complexity: "O(N), N the elements added",
        handler: ends::lpush,
        ..Command::BLANK
    },
    Command {
        name: "lpushx",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.2.0",
        summary: "Adds elements to the front of a list that exists.",
        group: Group::List,
        complexity: "O(N), N the elements added",
        handler: ends::lpushx,
        ..Command::BLANK
    },
    Command {
        name: "lrange",
        arity: 4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.0",
        summary: "Gives the elements of a range.",
        group: Group::List,
        complexity: "O(S+N), S the distance to the range, N its length",
        handler: places::lrange,
        ..Command::BLANK
    },
    Command {
        name: "lrem",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "1.0.0",
        summary: "Removes equal elements.",
        group: Group::List,
        complexity: "O(N), N the elements",
        handler: places::lrem,
        ..Command::BLANK
    },
    Command {
        name: "lset",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "1.0.0",
        summary: "Replaces the element at a place.",
        group: Group::List,
        complexity: "O(N), N the distance from the nearer end",
        handler: places::lset,
        ..Command::BLANK
    },
    Command {
        name: "ltrim",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "1.0.0",
        summary: "Keeps only the elements of a range.",
        group: Group::List,
        complexity: "O(N), N the elements removed",
        handler: places::ltrim,
        ..Command::BLANK
    },
    Command {
        name: "rpop",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "1.0.0",
        summary: "Takes elements from the end.",
        group: Group::List,
        complexity: "O(N), N the elements given",
        handler: ends::rpop,
        ..Command::BLANK
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Insert)],
        since: "1.2.0",
        summary: "Moves the last element to the front of another list.",
        group: Group::List,
        handler: ends::rpoplpush,
        ..Command::BLANK
    },
    Command {
        name: "rpush",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "1.0.0",
        summary: "Adds elements to the end.",
        group: Group::List,
        complexity: "O(N), N the elements added",
        handler: ends::rpush,
        ..Command::BLANK
    },
    Command {
        name: "rpushx",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.2.0",
        summary: "Adds elements to the end of a list that exists.",
        group: Group::List,
        complexity: "O(N), N the elements added",
        handler: ends::rpushx,
        ..Command::BLANK
    },
];
