//! Commands of the family "stream": the table. The code is beside it.

mod access;
mod add;
mod claim;
mod groups;
mod ids;
mod inspect;
mod pending;
mod range;
mod read;

use super::spec::{Begin, Find, KeyUse};
use super::{Command, Flags, Group, KeySpec};

/// The keys behind STREAMS: the first half of what follows it.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        usage: KeyUse::Read,
    }
}

const STREAM: Command = Command { group: Group::Stream, since: "5.0.0", ..Command::BLANK };

const XGROUP: Command =
    Command { container: "xgroup", flags: Flags::WRITE.and(Flags::DENYOOM), ..STREAM };

const XINFO: Command = Command {
    container: "xinfo",
    flags: Flags::READONLY,
    keys: &[KeySpec::one(2, KeyUse::Read)],
    ..STREAM
};

const HELP: Command = Command {
    name: "help",
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    keys: &[],
    summary: "Lists the subcommands.",
    ..STREAM
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xack",
        arity: -4,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        summary: "Says that entries were dealt with.",
        complexity: "O(1) for each entry",
        handler: groups::xack,
        ..STREAM
    },
    Command {
        name: "xadd",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        summary: "Appends an entry to a stream, and may trim it.",
        complexity: "O(1), and O(N) with trimming, N the entries removed",
        handler: add::xadd,
        ..STREAM
    },
    Command {
        name: "xautoclaim",
        arity: -6,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "6.2.0",
        summary: "Gives entries that have been pending for long to another consumer.",
        complexity: "O(1) for a small count",
        handler: claim::xautoclaim,
        ..STREAM
    },
    Command {
        name: "xclaim",
        arity: -6,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        summary: "Gives pending entries to another consumer.",
        complexity: "O(log N) for each entry, N the pending ones",
        handler: claim::xclaim,
        ..STREAM
    },
    Command {
        name: "xdel",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        summary: "Deletes entries.",
        complexity: "O(1) for each entry",
        handler: range::xdel,
        ..STREAM
    },
    Command {
        name: "xgroup",
        arity: -2,
        summary: "A container for commands about groups of consumers.",
        subcommands: &[
            Command {
                name: "create",
                arity: -5,
                keys: &[KeySpec::one(2, KeyUse::Insert)],
                summary: "Creates a group.",
                handler: groups::create,
                ..XGROUP
            },
            Command {
                name: "createconsumer",
                arity: 5,
                keys: &[KeySpec::one(2, KeyUse::Insert)],
                since: "6.2.0",
                summary: "Creates a consumer.",
                handler: groups::create_consumer,
                ..XGROUP
            },
            Command {
                name: "delconsumer",
                arity: 5,
                flags: Flags::WRITE,
                keys: &[KeySpec::one(2, KeyUse::Delete)],
                summary: "Removes a consumer with its pending entries.",
                handler: groups::delete_consumer,
                ..XGROUP
            },
            Command {
                name: "destroy",
                arity: 4,
                flags: Flags::WRITE,
                keys: &[KeySpec::one(2, KeyUse::Delete)],
                summary: "Removes a group.",
                complexity: "O(N), N the pending entries",
                handler: groups::destroy,
                ..XGROUP
            },
            Command { container: "xgroup", handler: groups::help, ..HELP },
            Command {
                name: "setid",
                arity: -5,
                flags: Flags::WRITE,
                keys: &[KeySpec::one(2, KeyUse::Update)],
                summary: "Sets the last id that a group has read.",
                handler: groups::set_id,
                ..XGROUP
            },
        ],
        ..STREAM
    },
    Command {
        name: "xinfo",
        arity: -2,
        summary: "A container for commands that look into streams.",
        subcommands: &[
            Command {
                name: "consumers",
                arity: 4,
                summary: "Lists the consumers of a group.",
                handler: inspect::consumers,
                ..XINFO
            },
            Command {
                name: "groups",
                arity: 3,
                summary: "Lists the groups of a stream.",
                handler: inspect::groups,
                ..XINFO
            },
            Command { container: "xinfo", handler: inspect::help, ..HELP },
            Command {
                name: "stream",
                arity: -3,
                summary: "Tells about a stream.",
                handler: inspect::stream,
                ..XINFO
            },
        ],
        ..STREAM
    },
    Command {
        name: "xlen",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        summary: "Counts the entries of a stream.",
        handler: range::xlen,
        ..STREAM
    },
    Command {
        name: "xpending",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        summary: "Lists entries that were given to consumers and not acknowledged.",
        complexity: "O(N), N the entries listed",
        handler: pending::xpending,
        ..STREAM
    },
    Command {
        name: "xrange",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        summary: "Lists the entries between two ids.",
        complexity: "O(N), N the entries listed",
        handler: range::xrange,
        ..STREAM
    },
    Command {
        name: "xread",
        arity: -4,
        flags: Flags::READONLY.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
        keys: &[streams(1)],
        summary: "Lists the entries above an id of each stream, and may wait for one.",
        handler: read::xread,
        ..STREAM
    },
    Command {
        name: "xreadgroup",
        arity: -7,
        flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
        keys: &[streams(4)],
        summary: "Gives entries to a consumer of a group, and may wait for one.",
        complexity: "O(M), M the entries given, for each stream",
        handler: read::xreadgroup,
        ..STREAM
    },
    Command {
        name: "xrevrange",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        summary: "Lists the entries between two ids, the last one first.",
        complexity: "O(N), N the entries listed",
        handler: range::xrevrange,
        ..STREAM
    },
    Command {
        name: "xsetid",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        summary: "Sets the last id of a stream.",
        handler: range::xsetid,
        ..STREAM
    },
    Command {
        name: "xtrim",
        arity: -4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        summary: "Removes the oldest entries.",
        complexity: "O(N), N the entries removed",
        handler: add::xtrim,
        ..STREAM
    },
];
