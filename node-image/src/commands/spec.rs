//! The shape of one entry of the command table.
//!
//! Everything that is said about a command is said here once; COMMAND, routing, transactions and
//! the documentation read it. Not known here: what the command does.

use std::ops::Range;

use super::Execute;

/// Facts about a command, as COMMAND INFO lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// No facts.
    pub const NONE: Flags = Flags(0);
    /// May change the keyspace.
    pub const WRITE: Flags = Flags(1);
    /// Reads the keyspace only.
    pub const READONLY: Flags = Flags(1 << 1);
    /// May need more memory: refused when there is none.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// Administration.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// Publish and subscribe.
    pub const PUBSUB: Flags = Flags(1 << 4);
    /// Not from scripts.
    pub const NOSCRIPT: Flags = Flags(1 << 5);
    /// May make its client wait.
    pub const BLOCKING: Flags = Flags(1 << 6);
    /// Allowed while the data is read at start.
    pub const LOADING: Flags = Flags(1 << 7);
    /// Allowed on a replica that has lost its primary.
    pub const STALE: Flags = Flags(1 << 8);
    /// Not shown to MONITOR.
    pub const SKIP_MONITOR: Flags = Flags(1 << 9);
    /// Not in the slow log.
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
    /// Constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 11);
    /// Allowed before authentication.
    pub const NO_AUTH: Flags = Flags(1 << 12);
    /// Keys cannot be told by the key specifications alone.
    pub const MOVABLEKEYS: Flags = Flags(1 << 13);
    /// Not inside MULTI.
    pub const NO_MULTI: Flags = Flags(1 << 14);
    /// Allowed while a script has run too long.
    pub const ALLOW_BUSY: Flags = Flags(1 << 15);
    /// May run on any node; has no keys in a slot.
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 16);
    /// As an IMPORTING target serves it without ASKING (RESTORE-ASKING).
    pub const ASKING: Flags = Flags(1 << 17);

    /// May have something to tell replicas without being a write (PUBLISH, PFCOUNT, EVAL): waits
    /// like one when writes are paused. Not shown by COMMAND INFO.
    pub const MAY_REPLICATE: Flags = Flags(1 << 18);
    /// May be called without any key, although it has key specifications.
    pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 19);

    /// Both sets of facts.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// True when all of `other` hold.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names in the order of COMMAND INFO.
    pub const NAMES: &'static [(Flags, &'static str)] = &[
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::ASKING, "asking"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (Flags::MOVABLEKEYS, "movablekeys"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.and(other)
    }
}

/// ACL categories that do not follow from flags and group: `@write`, `@read`, `@admin`, `@fast`,
/// `@slow`, `@blocking`, `@pubsub` and the group's own are added by [`Command::categories`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Categories(pub u32);

impl Categories {
    /// Nothing beyond what flags and group say.
    pub const NONE: Categories = Categories(0);
    /// `@keyspace`
    pub const KEYSPACE: Categories = Categories(1);
    /// `@dangerous`
    pub const DANGEROUS: Categories = Categories(1 << 1);
    /// `@connection`
    pub const CONNECTION: Categories = Categories(1 << 2);

    /// Both.
    pub const fn and(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }

    /// True when all of `other` are in.
    pub const fn has(self, other: Categories) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The family of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Any type.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Places on earth.
    Geo,
    /// Streams.
    Stream,
    /// Transactions.
    Transactions,
    /// Connections.
    Connection,
    /// Publish and subscribe.
    PubSub,
    /// Scripts and functions.
    Scripting,
    /// The server.
    Server,
    /// The cluster.
    Cluster,
    /// Bits of strings.
    Bitmap,
    /// Estimated numbers of elements.
    HyperLogLog,
}

impl Group {
    /// As COMMAND DOCS names it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Cluster => "cluster",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
        }
    }

    /// The ACL category that comes with the family.
    const fn category(self) -> Option<&'static str> {
        match self {
            Group::Generic => Some("@keyspace"),
            Group::String => Some("@string"),
            Group::List => Some("@list"),
            Group::Hash => Some("@hash"),
            Group::Set => Some("@set"),
            Group::SortedSet => Some("@sortedset"),
            Group::Geo => Some("@geo"),
            Group::Stream => Some("@stream"),
            Group::Transactions => Some("@transaction"),
            Group::Connection => Some("@connection"),
            Group::Scripting => Some("@scripting"),
            Group::PubSub | Group::Server | Group::Cluster => None,
            Group::Bitmap => Some("@bitmap"),
            Group::HyperLogLog => Some("@hyperloglog"),
        }
    }
}

/// What a command does with the keys that a specification names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Reads the value (`RO`, `access`).
    Read,
    /// Reads only whether the key is there, its type or its size (`RO`).
    ReadMeta,
    /// Writes a new value, whatever was there (`OW`, `update`).
    Overwrite,
    /// Reads and gives out, and changes (`RW`, `access`, `update`).
    ReadWrite,
    /// Changes in place without giving out (`RW`, `update`).
    Update,
    /// Adds to what is there (`RW`, `insert`).
    Insert,
    /// Takes elements away (`RW`, `delete`).
    Delete,
    /// Takes elements away and gives them out (`RW`, `access`, `delete`).
    Take,
    /// As `Take`; but what the specification says is not right for every request (`incomplete`).
    TakePerhaps,
    /// Removes the key (`RM`, `delete`).
    Remove,
    /// No key, though its slot counts (`not_key`): a channel of a shard.
    NotKey,
    /// Gives out, and may change how the value is kept (`RW`, `access`).
    Refresh,
    /// Reads and adds to what is there (`RW`, `access`, `insert`).
    Merge,
    /// As the arguments say: reads, or reads and changes (`RW`, `access`, `update`,
    /// `variable_flags`).
    AsAsked,
}

impl KeyUse {
    /// As COMMAND INFO lists it.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            KeyUse::Read => &["RO", "access"],
            KeyUse::ReadMeta => &["RO"],
            KeyUse::Overwrite => &["OW", "update"],
            KeyUse::ReadWrite => &["RW", "access", "update"],
            KeyUse::Update => &["RW", "update"],
            KeyUse::Insert => &["RW", "insert"],
            KeyUse::Delete => &["RW", "delete"],
            KeyUse::Take => &["RW", "access", "delete"],
            KeyUse::TakePerhaps => &["RW", "access", "delete", "incomplete"],
            KeyUse::Remove => &["RM", "delete"],
            KeyUse::NotKey => &["not_key"],
            KeyUse::Refresh => &["RW", "access"],
            KeyUse::Merge => &["RW", "access", "insert"],
            KeyUse::AsAsked => &["RW", "access", "update", "variable_flags"],
        }
    }
}

/// Where a group of keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this argument; 0 is the command's name.
    Index(usize),
    /// Behind this word, looked for from this argument on (from the end when negative).
    Keyword(&'static str, i32),
}

/// Which arguments from there on are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// From the first to `last` (relative to the first; negative: from the end, -1 is the last
    /// argument) in steps; with a limit of 2 or more only that fraction of the rest.
    Range {
        /// The last key.
        last: i32,
        /// Distance between two keys.
        step: usize,
        /// 0 or 1: none; n: the first n-th part of the rest.
        limit: usize,
    },
    /// A number says how many: it stands `at` arguments behind the beginning, the first key
    /// `first` arguments behind it.
    KeyNum {
        /// Where the number stands.
        at: usize,
        /// Where the first key stands.
        first: usize,
        /// Distance between two keys.
        step: usize,
    },
    /// The arguments cannot be told from the specification.
    Unknown,
}

/// Gives the arguments of a request that are keys, and what is done with them; none when the
/// request is so formed that they cannot be told.
pub type FindKeys = fn(&[&[u8]]) -> Option<(Range<usize>, KeyUse)>;

/// One group of keys of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Where they begin.
    pub begin: Begin,
    /// Which they are.
    pub find: Find,
    /// What happens to them.
    pub usage: KeyUse,
}

impl KeySpec {
    /// One key at argument `index`.
    pub const fn one(index: usize, usage: KeyUse) -> Self {
        let find = Find::Range { last: 0, step: 1, limit: 0 };
        KeySpec { begin: Begin::Index(index), find, usage }
    }

    /// All arguments from `index` on, in steps.
    pub const fn rest(index: usize, step: usize, usage: KeyUse) -> Self {
        let find = Find::Range { last: -1, step, limit: 0 };
        KeySpec { begin: Begin::Index(index), find, usage }
    }

    /// All arguments from `index` to `last` (negative: from the end).
    pub const fn range(index: usize, last: i32, step: usize, usage: KeyUse) -> Self {
        let find = Find::Range { last, step, limit: 0 };
        KeySpec { begin: Begin::Index(index), find, usage }
    }

    /// A number of keys at `index`, the keys behind it.
    pub const fn counted(index: usize, usage: KeyUse) -> Self {
        let find = Find::KeyNum { at: 0, first: 1, step: 1 };
        KeySpec { begin: Begin::Index(index), find, usage }
    }
}

/// One entry of the command table.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Lower-case name; a subcommand's without its container.
    pub name: &'static str,
    /// Name of the container of which this is a subcommand; empty when it is none.
    pub container: &'static str,
    /// Number of arguments with the name; negative: at least so many.
    pub arity: i32,
    /// Facts.
    pub flags: Flags,
    /// ACL categories beyond those of flags and group.
    pub extra_categories: Categories,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Finds the keys where the specifications alone would find wrong ones.
    pub find_keys: Option<FindKeys>,
    /// The version of Redis that had it first; for our own, `1.0.0`.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Family.
    pub group: Group,
    /// Time it takes, as documented.
    pub complexity: &'static str,
    /// Its code. A container's runs when no subcommand matched and is normally
    /// [`super::table::unknown_subcommand`].
    pub handler: Execute,
    /// Subcommands, when this is a container.
    pub subcommands: &'static [Command],
    /// Its number; [`super::table`] gives it, subcommands have numbers of their own.
    pub place: usize,
}

impl Command {
    /// Defaults for `..Command::BLANK`.
    pub const BLANK: Command = Command {
        name: "",
        container: "",
        arity: 1,
        flags: Flags::NONE,
        extra_categories: Categories::NONE,
        keys: &[],
        find_keys: None,
        since: "1.0.0",
        summary: "",
        group: Group::Generic,
        complexity: "O(1)",
        handler: super::table::unknown_subcommand,
        subcommands: &[],
        place: 0,
    };

    /// True when a request of `count` words has the right number of them.
    pub fn arity_fits(&self, count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { count == wanted } else { count >= wanted }
    }

    /// True when it may change the keyspace.
    pub fn is_write(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }

    /// ACL categories in the order of COMMAND INFO.
    pub fn categories(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let extra = self.extra_categories;
        // A container does nothing itself, so it belongs to no family.
        let is_container = !self.subcommands.is_empty();
        let group = if is_container { None } else { self.group.category() };
        if self.flags.has(Flags::WRITE) {
            names.push("@write");
        }
        if self.flags.has(Flags::READONLY) {
            names.push("@read");
        }
        if extra.has(Categories::KEYSPACE) && group != Some("@keyspace") {
            names.push("@keyspace");
        }
        names.extend(group);
        if self.flags.has(Flags::ADMIN) {
            names.push("@admin");
        }
        if self.flags.has(Flags::PUBSUB) {
            names.push("@pubsub");
        }
        names.push(if self.flags.has(Flags::FAST) { "@fast" } else { "@slow" });
        if self.flags.has(Flags::BLOCKING) {
            names.push("@blocking");
        }
        if self.flags.has(Flags::ADMIN) || extra.has(Categories::DANGEROUS) {
            names.push("@dangerous");
        }
        if extra.has(Categories::CONNECTION) && group != Some("@connection") {
            names.push("@connection");
        }
        names
    }
}
