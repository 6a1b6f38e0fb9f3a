//! Commands of the family "generic": the table. The code is beside it, expiry in `expire.rs`.

mod basic;
mod object;
mod payload;
pub(super) mod scan;
mod sort;

use super::spec::{Begin, Find, KeyUse};
use super::{Categories, Command, Flags, Group, KeySpec};

/// Where SORT puts its result. Keys of BY and GET cannot be told; cluster mode refuses them.
const SORT_STORE: KeySpec = KeySpec {
    begin: Begin::Keyword("STORE", 2),
    find: Find::Range { last: 0, step: 1, limit: 0 },
    usage: KeyUse::Overwrite,
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "copy",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Read), KeySpec::one(2, KeyUse::Overwrite)],
        since: "6.2.0",
        summary: "Copies a value to another key.",
        group: Group::Generic,
        complexity: "O(N), N the elements of the value",
        handler: basic::copy,
        ..Command::BLANK
    },
    Command {
        name: "del",
        arity: -2,
        flags: Flags::WRITE,
        keys: &[KeySpec::rest(1, 1, KeyUse::Remove)],
        since: "1.0.0",
        summary: "Deletes keys.",
        group: Group::Generic,
        complexity: "O(N), N the number of keys",
        handler: basic::del,
        ..Command::BLANK
    },
    Command {
        name: "dump",
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.6.0",
        summary: "Gives a value in the form that RESTORE takes.",
        group: Group::Generic,
        complexity: "O(N), N the size of the value",
        handler: payload::dump,
        ..Command::BLANK
    },
    Command {
        name: "exists",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::rest(1, 1, KeyUse::ReadMeta)],
        since: "1.0.0",
        summary: "Counts the keys that exist.",
        group: Group::Generic,
        complexity: "O(N), N the number of keys",
        handler: basic::exists,
        ..Command::BLANK
    },
    Command {
        name: "keys",
        arity: 2,
        flags: Flags::READONLY,
        extra_categories: Categories::DANGEROUS,
        since: "1.0.0",
        summary: "Lists all keys that fit a pattern.",
        group: Group::Generic,
        complexity: "O(N), N the keys of the database",
        handler: scan::keys,
        ..Command::BLANK
    },
    Command {
        name: "move",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.0.0",
        summary: "Moves a key to another database.",
        group: Group::Generic,
        handler: basic::move_key,
        ..Command::BLANK
    },
    Command {
        name: "object",
        arity: -2,
        since: "2.2.3",
        summary: "Looks at how a value is kept.",
        group: Group::Generic,
        subcommands: object::SUBCOMMANDS,
        ..Command::BLANK
    },
    Command {
        name: "randomkey",
        arity: 1,
        flags: Flags::READONLY,
        since: "1.0.0",
        summary: "Gives any key.",
        group: Group::Generic,
        handler: basic::randomkey,
        ..Command::BLANK
    },
    Command {
        name: "rename",
        arity: 3,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Overwrite)],
        since: "1.0.0",
        summary: "Gives a key another name.",
        group: Group::Generic,
        handler: basic::rename,
        ..Command::BLANK
    },
    Command {
        name: "renamenx",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take), KeySpec::one(2, KeyUse::Overwrite)],
        since: "1.0.0",
        summary: "Gives a key another name that is not taken.",
        group: Group::Generic,
        handler: basic::renamenx,
        ..Command::BLANK
    },
    Command {
        name: "restore",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        extra_categories: Categories::DANGEROUS,
        keys: &[KeySpec::one(1, KeyUse::Overwrite)],
        since: "2.6.0",
        summary: "Makes a key from what DUMP gave.",
        group: Group::Generic,
        complexity: "O(N), N the size of the value",
        handler: payload::restore,
        ..Command::BLANK
    },
    Command {
        name: "restore-asking",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ASKING),
        extra_categories: Categories::DANGEROUS,
        keys: &[KeySpec::one(1, KeyUse::Overwrite)],
        since: "3.0.0",
        summary: "RESTORE into a slot that is being imported.",
        group: Group::Server,
        complexity: "O(N), N the size of the value",
        handler: payload::restore,
        ..Command::BLANK
    },
    Command {
        name: "scan",
        arity: -2,
        flags: Flags::READONLY,
        since: "2.8.0",
        summary: "Walks the keys of a database in steps.",
        group: Group::Generic,
        complexity: "O(1) a call, O(N) for a whole walk",
        handler: scan::scan,
        ..Command::BLANK
    },
    Command {
        name: "sort",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        extra_categories: Categories::DANGEROUS,
        keys: &[KeySpec::one(1, KeyUse::Read), SORT_STORE],
        since: "1.0.0",
        summary: "Sorts the elements of a collection.",
        group: Group::Generic,
        complexity: "O(N+M*log(M)), N the elements, M those given",
        handler: sort::sort,
        ..Command::BLANK
    },
    Command {
        name: "sort_ro",
        arity: -2,
        flags: Flags::READONLY,
        extra_categories: Categories::DANGEROUS,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Sorts without the wish to store.",
        group: Group::Generic,
        complexity: "O(N+M*log(M)), N the elements, M those given",
        handler: sort::sort_ro,
        ..Command::BLANK
    },
    Command {
        name: "swapdb",
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        extra_categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        since: "4.0.0",
        summary: "Exchanges the keys of two databases.",
        group: Group::Server,
        complexity: "O(N), N the clients that watch or wait for keys",
        handler: basic::swapdb,
        ..Command::BLANK
    },
    Command {
        name: "touch",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::rest(1, 1, KeyUse::ReadMeta)],
        since: "3.2.1",
        summary: "Counts keys that exist, and counts them as used.",
        group: Group::Generic,
        complexity: "O(N), N the number of keys",
        handler: basic::touch,
        ..Command::BLANK
    },
    Command {
        name: "type",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "1.0.0",
        summary: "Tells the type of a value.",
        group: Group::Generic,
        handler: basic::type_of,
        ..Command::BLANK
    },
    Command {
        name: "unlink",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::rest(1, 1, KeyUse::Remove)],
        since: "4.0.0",
        summary: "Deletes keys and frees their memory later.",
        group: Group::Generic,
        complexity: "O(1) for each key",
        handler: basic::del,
        ..Command::BLANK
    },
];
