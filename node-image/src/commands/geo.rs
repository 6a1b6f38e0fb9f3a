//! Commands of the family "geo": the table. The code is beside it.
//!
//! Places are scores of sorted sets; what a place is stands in the store's `geo.rs`.

mod change;
mod look;
mod search;

use super::spec::{Begin, Find, KeyUse};
use super::{Command, Flags, Group, KeySpec};

/// Where a search puts its result: behind a word, looked for from an argument on.
const fn store_key(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        usage: KeyUse::Overwrite,
    }
}

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "geoadd",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "3.2.0",
        summary: "Adds members with their longitudes and latitudes.",
        group: Group::Geo,
        complexity: "O(log(N)) for each member, N the members",
        handler: change::geoadd,
        ..Command::BLANK
    },
    Command {
        name: "geodist",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "3.2.0",
        summary: "Gives the distance between two members.",
        group: Group::Geo,
        complexity: "O(log(N)), N the members",
        handler: look::geodist,
        ..Command::BLANK
    },
    Command {
        name: "geohash",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "3.2.0",
        summary: "Gives members as geohash strings.",
        group: Group::Geo,
        complexity: "O(log(N)) for each member, N the members",
        handler: look::geohash,
        ..Command::BLANK
    },
    Command {
        name: "geopos",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "3.2.0",
        summary: "Gives the longitudes and latitudes of members.",
        group: Group::Geo,
        complexity: "O(N), N the members named",
        handler: look::geopos,
        ..Command::BLANK
    },
    Command {
        name: "georadius",
        arity: -6,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, KeyUse::Read), store_key("STORE", 6), store_key("STOREDIST", 6)],
        since: "3.2.0",
        summary: "Gives or stores the members within a distance of a point.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the circle, M all",
        handler: search::georadius,
        ..Command::BLANK
    },
    Command {
        name: "georadius_ro",
        arity: -6,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "3.2.10",
        summary: "Gives the members within a distance of a point.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the circle, M all",
        handler: search::georadius_ro,
        ..Command::BLANK
    },
    Command {
        name: "georadiusbymember",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, KeyUse::Read), store_key("STORE", 5), store_key("STOREDIST", 5)],
        since: "3.2.0",
        summary: "Gives or stores the members within a distance of a member.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the circle, M all",
        handler: search::georadiusbymember,
        ..Command::BLANK
    },
    Command {
        name: "georadiusbymember_ro",
        arity: -5,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "3.2.10",
        summary: "Gives the members within a distance of a member.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the circle, M all",
        handler: search::georadiusbymember_ro,
        ..Command::BLANK
    },
    Command {
        name: "geosearch",
        arity: -7,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives the members inside a circle or a box.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the shape, M all",
        handler: search::geosearch,
        ..Command::BLANK
    },
    Command {
        name: "geosearchstore",
        arity: -8,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::one(2, KeyUse::Read)],
        since: "6.2.0",
        summary: "Stores the members inside a circle or a box.",
        group: Group::Geo,
        complexity: "O(N+log(M)), N the members near the shape, M all",
        handler: search::geosearchstore,
        ..Command::BLANK
    },
];
