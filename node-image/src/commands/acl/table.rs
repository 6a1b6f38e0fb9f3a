//! The table of ACL and its subcommands.

use super::show;
use crate::commands::{Command, Flags, Group};

/// What shows or asks about oneself.
const OPEN: Command = Command {
    container: "acl",
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    since: "6.0.0",
    group: Group::Server,
    ..Command::BLANK
};

/// What is about others.
const ADMIN: Command = Command {
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    ..OPEN
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    since: "6.0.0",
    summary: "Users and what they may do.",
    complexity: "Depends on subcommand.",
    group: Group::Server,
    subcommands: SUBCOMMANDS,
    ..Command::BLANK
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "cat",
        arity: -2,
        summary: "Shows the categories of commands, or the commands of one.",
        complexity: "O(1) since the categories and commands are a fixed set.",
        handler: show::cat,
        ..OPEN
    },
    Command {
        name: "deluser",
        arity: -3,
        summary: "Deletes users and ends their connections.",
        complexity: "O(N), N the number of connections",
        handler: super::deluser,
        ..ADMIN
    },
    Command {
        name: "dryrun",
        arity: -4,
        since: "7.0.0",
        summary: "Tells whether a user could run a command.",
        complexity: "O(1).",
        handler: super::dryrun,
        ..ADMIN
    },
    Command {
        name: "genpass",
        arity: -2,
        summary: "Makes a password of random bits.",
        handler: super::genpass,
        ..OPEN
    },
    Command {
        name: "getuser",
        arity: 3,
        summary: "Shows what a user may do.",
        complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
        handler: show::getuser,
        ..ADMIN
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Shows the subcommands.",
        handler: super::help,
        ..OPEN
    },
    Command {
        name: "list",
        arity: 2,
        summary: "Shows all users as lines of the configuration file.",
        complexity: "O(N). Where N is the number of configured users.",
        handler: show::list,
        ..ADMIN
    },
    Command {
        name: "load",
        arity: 2,
        summary: "Reads the users from the ACL file.",
        complexity: "O(N). Where N is the number of configured users.",
        handler: super::load,
        ..ADMIN
    },
    Command {
        name: "log",
        arity: -2,
        summary: "Shows what was refused.",
        complexity: "O(N) with N being the number of entries shown.",
        handler: show::log,
        ..ADMIN
    },
    Command {
        name: "save",
        arity: 2,
        summary: "Writes the users to the ACL file.",
        complexity: "O(N). Where N is the number of configured users.",
        handler: super::save,
        ..ADMIN
    },
    Command {
        name: "setuser",
        arity: -3,
        summary: "Creates or changes a user.",
        complexity: "O(N). Where N is the number of rules provided.",
        handler: super::setuser,
        ..ADMIN
    },
    Command {
        name: "users",
        arity: 2,
        summary: "Shows the names of all users.",
        complexity: "O(N). Where N is the number of configured users.",
        handler: show::users,
        ..ADMIN
    },
    Command {
        name: "whoami",
        arity: 2,
        summary: "Shows the name of this connection's user.",
        handler: super::whoami,
        ..OPEN
    },
];
