//! Commands of the family "sorted set": the table. The code is beside it.

mod between;
pub(super) mod bounds;
pub(super) mod change;
mod look;
mod pop;
mod range;
mod wait;

use super::spec::KeyUse;
use super::{Command, Flags, Group, KeySpec};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bzmpop",
        arity: -5,
        flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(2, KeyUse::Take)],
        since: "7.0.0",
        summary: "Takes members from the first sorted set that has any, waiting for one.",
        group: Group::SortedSet,
        complexity: "O(K)+O(M*log(N)), K the keys, N the members, M those taken",
        handler: wait::bzmpop,
        ..Command::BLANK
    },
    Command {
        name: "bzpopmax",
        arity: -3,
        flags: Flags::WRITE.and(Flags::NOSCRIPT).and(Flags::BLOCKING).and(Flags::FAST),
        keys: &[KeySpec::range(1, -2, 1, KeyUse::Take)],
        since: "5.0.0",
        summary: "Takes the member with the highest score, waiting for one.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: wait::bzpopmax,
        ..Command::BLANK
    },
    Command {
        name: "bzpopmin",
        arity: -3,
        flags: Flags::WRITE.and(Flags::NOSCRIPT).and(Flags::BLOCKING).and(Flags::FAST),
        keys: &[KeySpec::range(1, -2, 1, KeyUse::Take)],
        since: "5.0.0",
        summary: "Takes the member with the lowest score, waiting for one.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: wait::bzpopmin,
        ..Command::BLANK
    },
    Command {
        name: "zadd",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Update)],
        since: "1.2.0",
        summary: "Adds members with their scores, or changes scores.",
        group: Group::SortedSet,
        complexity: "O(log(N)) for each member, N the members",
        handler: change::zadd,
        ..Command::BLANK
    },
    Command {
        name: "zcard",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadMeta)],
        since: "1.2.0",
        summary: "Counts the members.",
        group: Group::SortedSet,
        handler: look::zcard,
        ..Command::BLANK
    },
    Command {
        name: "zcount",
        arity: 4,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Counts the members whose score is in a range.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: range::zcount,
        ..Command::BLANK
    },
    Command {
        name: "zdiff",
        arity: -3,
        flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives the members of the first sorted set that no other has.",
        group: Group::SortedSet,
        complexity: "O(L+(N-K)log(N)), L all members, N those of the first, K those given",
        handler: between::zdiff,
        ..Command::BLANK
    },
    Command {
        name: "zdiffstore",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::counted(2, KeyUse::Read)],
        since: "6.2.0",
        summary: "Stores the members of the first sorted set that no other has.",
        group: Group::SortedSet,
        complexity: "O(L+(N-K)log(N)), L all members, N those of the first, K those stored",
        handler: between::zdiffstore,
        ..Command::BLANK
    },
    Command {
        name: "zincrby",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::ReadWrite)],
        since: "1.2.0",
        summary: "Adds to the score of a member.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: change::zincrby,
        ..Command::BLANK
    },
    Command {
        name: "zinter",
        arity: -3,
        flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives the members that all sorted sets have.",
        group: Group::SortedSet,
        complexity: "O(N*K)+O(M*log(M)), N the members of the smallest, K the sets, M those given",
        handler: between::zinter,
        ..Command::BLANK
    },
    Command {
        name: "zintercard",
        arity: -3,
        flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Read)],
        since: "7.0.0",
        summary: "Counts the members that all sorted sets have.",
        group: Group::SortedSet,
        complexity: "O(N*K), N the members of the smallest, K the sets",
        handler: between::zintercard,
        ..Command::BLANK
    },
    Command {
        name: "zinterstore",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::counted(2, KeyUse::Read)],
        since: "2.0.0",
        summary: "Stores the members that all sorted sets have.",
        group: Group::SortedSet,
        complexity: "O(N*K)+O(M*log(M)), N the members of the smallest, K the sets, M those stored",
        handler: between::zinterstore,
        ..Command::BLANK
    },
    Command {
        name: "zlexcount",
        arity: 4,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.9",
        summary: "Counts the members that lie between two others.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: range::zlexcount,
        ..Command::BLANK
    },
    Command {
        name: "zmpop",
        arity: -4,
        flags: Flags::WRITE.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Take)],
        since: "7.0.0",
        summary: "Takes members from the first sorted set that has any.",
        group: Group::SortedSet,
        complexity: "O(K)+O(M*log(N)), K the keys, N the members, M those taken",
        handler: pop::zmpop,
        ..Command::BLANK
    },
    Command {
        name: "zmscore",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives the scores of several members.",
        group: Group::SortedSet,
        complexity: "O(N), N the members named",
        handler: look::zmscore,
        ..Command::BLANK
    },
    Command {
        name: "zpopmax",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "5.0.0",
        summary: "Takes the members with the highest scores.",
        group: Group::SortedSet,
        complexity: "O(log(N)*M), N the members, M those taken",
        handler: pop::zpopmax,
        ..Command::BLANK
    },
    Command {
        name: "zpopmin",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Take)],
        since: "5.0.0",
        summary: "Takes the members with the lowest scores.",
        group: Group::SortedSet,
        complexity: "O(log(N)*M), N the members, M those taken",
        handler: pop::zpopmin,
        ..Command::BLANK
    },
    Command {
        name: "zrandmember",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives members by chance.",
        group: Group::SortedSet,
        complexity: "O(N), N the members given",
        handler: look::zrandmember,
        ..Command::BLANK
    },
    Command {
        name: "zrange",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.2.0",
        summary: "Gives the members of a range of places, scores or names.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrange,
        ..Command::BLANK
    },
    Command {
        name: "zrangebylex",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.9",
        summary: "Gives the members between two others.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrangebylex,
        ..Command::BLANK
    },
    Command {
        name: "zrangebyscore",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.0.5",
        summary: "Gives the members whose score is in a range.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrangebyscore,
        ..Command::BLANK
    },
    Command {
        name: "zrangestore",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::one(2, KeyUse::Read)],
        since: "6.2.0",
        summary: "Stores the members of a range of places, scores or names.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those stored",
        handler: range::zrangestore,
        ..Command::BLANK
    },
    Command {
        name: "zrank",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the place of a member, counted from the lowest score.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: look::zrank,
        ..Command::BLANK
    },
    Command {
        name: "zrem",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "1.2.0",
        summary: "Removes members.",
        group: Group::SortedSet,
        complexity: "O(M*log(N)), N the members, M those named",
        handler: change::zrem,
        ..Command::BLANK
    },
    Command {
        name: "zremrangebylex",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "2.8.9",
        summary: "Removes the members between two others.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those removed",
        handler: range::zremrangebylex,
        ..Command::BLANK
    },
    Command {
        name: "zremrangebyrank",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "2.0.0",
        summary: "Removes the members of a range of places.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those removed",
        handler: range::zremrangebyrank,
        ..Command::BLANK
    },
    Command {
        name: "zremrangebyscore",
        arity: 4,
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, KeyUse::Delete)],
        since: "1.2.0",
        summary: "Removes the members whose score is in a range.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those removed",
        handler: range::zremrangebyscore,
        ..Command::BLANK
    },
    Command {
        name: "zrevrange",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.2.0",
        summary: "Gives the members of a range of places, from the highest score.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrevrange,
        ..Command::BLANK
    },
    Command {
        name: "zrevrangebylex",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.9",
        summary: "Gives the members between two others, the last first.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrevrangebylex,
        ..Command::BLANK
    },
    Command {
        name: "zrevrangebyscore",
        arity: -4,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.2.0",
        summary: "Gives the members whose score is in a range, the highest first.",
        group: Group::SortedSet,
        complexity: "O(log(N)+M), N the members, M those given",
        handler: range::zrevrangebyscore,
        ..Command::BLANK
    },
    Command {
        name: "zrevrank",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.0.0",
        summary: "Gives the place of a member, counted from the highest score.",
        group: Group::SortedSet,
        complexity: "O(log(N)), N the members",
        handler: look::zrevrank,
        ..Command::BLANK
    },
    Command {
        name: "zscan",
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "2.8.0",
        summary: "Walks the members and their scores in steps.",
        group: Group::SortedSet,
        complexity: "O(1) a call, O(N) for a whole walk",
        handler: look::zscan,
        ..Command::BLANK
    },
    Command {
        name: "zscore",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Read)],
        since: "1.2.0",
        summary: "Gives the score of a member.",
        group: Group::SortedSet,
        handler: look::zscore,
        ..Command::BLANK
    },
    Command {
        name: "zunion",
        arity: -3,
        flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::counted(1, KeyUse::Read)],
        since: "6.2.0",
        summary: "Gives the members that any of the sorted sets has.",
        group: Group::SortedSet,
        complexity: "O(N)+O(M*log(M)), N all members, M those given",
        handler: between::zunion,
        ..Command::BLANK
    },
    Command {
        name: "zunionstore",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, KeyUse::Overwrite), KeySpec::counted(2, KeyUse::Read)],
        since: "2.0.0",
        summary: "Stores the members that any of the sorted sets has.",
        group: Group::SortedSet,
        complexity: "O(N)+O(M*log(M)), N all members, M those stored",
        handler: between::zunionstore,
        ..Command::BLANK
    },
];
