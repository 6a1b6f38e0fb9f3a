//! CLIENT: looking at connections, naming them, ending them, pausing them.
//!
//! Not known here: sockets.

mod listing;
mod tracking;

pub use listing::described;

use holdfast_store::number::parse_i64;

use super::{Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::clients::{Client, ReplyMode};
use crate::execute;
use crate::pause::Stops;

const COMMON: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const ADMIN: Flags = COMMON.and(Flags::ADMIN);

const SUB: Command = Command {
    container: "client",
    group: Group::Connection,
    flags: COMMON,
    complexity: "O(1)",
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "client",
    arity: -2,
    flags: Flags::NONE,
    since: "2.4.0",
    summary: "A container for client connection commands.",
    group: Group::Connection,
    complexity: "Depends on subcommand.",
    subcommands: SUBCOMMANDS,
    ..Command::BLANK
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "caching",
        arity: 3,
        since: "6.0.0",
        summary: "Says whether the keys of the next command are tracked.",
        handler: tracking::caching,
        ..SUB
    },
    Command {
        name: "getname",
        arity: 2,
        since: "2.6.9",
        summary: "Returns the name of the connection.",
        handler: getname,
        ..SUB
    },
    Command {
        name: "getredir",
        arity: 2,
        since: "6.0.0",
        summary: "Tells which connection hears of this one's tracked keys.",
        handler: tracking::getredir,
        ..SUB
    },
    Command {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "5.0.0",
        summary: "Returns helpful text about the different subcommands.",
        handler: help,
        ..SUB
    },
    Command {
        name: "id",
        arity: 2,
        since: "5.0.0",
        summary: "Returns the unique client ID of the connection.",
        handler: id,
        ..SUB
    },
    Command {
        name: "info",
        arity: 2,
        since: "6.2.0",
        summary: "Returns information about the connection.",
        handler: listing::info,
        ..SUB
    },
    Command {
        name: "kill",
        arity: -3,
        flags: ADMIN,
        since: "2.4.0",
        summary: "Terminates open connections.",
        complexity: "O(N) where N is the number of client connections",
        handler: listing::kill,
        ..SUB
    },
    Command {
        name: "list",
        arity: -2,
        flags: ADMIN,
        since: "2.4.0",
        summary: "Lists open connections.",
        complexity: "O(N) where N is the number of client connections",
        handler: listing::list,
        ..SUB
    },
    Command {
        name: "no-evict",
        arity: 3,
        flags: ADMIN,
        since: "7.0.0",
        summary: "Sets the client eviction mode of the connection.",
        handler: no_evict,
        ..SUB
    },
    Command {
        name: "no-touch",
        arity: 3,
        since: "7.2.0",
        summary: "Controls whether commands sent by the client affect the LRU/LFU of keys.",
        handler: no_touch,
        ..SUB
    },
    Command {
        name: "pause",
        arity: -3,
        flags: ADMIN,
        since: "3.0.0",
        summary: "Suspends commands processing.",
        handler: pause,
        ..SUB
    },
    Command {
        name: "reply",
        arity: 3,
        since: "3.2.0",
        summary: "Instructs the server whether to reply to commands.",
        handler: reply_mode,
        ..SUB
    },
    Command {
        name: "setinfo",
        arity: 4,
        since: "7.2.0",
        summary: "Sets information specific to the client or connection.",
        handler: setinfo,
        ..SUB
    },
    Command {
        name: "setname",
        arity: 3,
        since: "2.6.9",
        summary: "Sets the connection name.",
        handler: setname,
        ..SUB
    },
    Command {
        name: "tracking",
        arity: -3,
        since: "6.0.0",
        summary: "Turns messages about changes of keys on or off.",
        complexity: "O(1), and some more for broadcast prefixes.",
        handler: tracking::tracking,
        ..SUB
    },
    Command {
        name: "trackinginfo",
        arity: 2,
        since: "6.2.0",
        summary: "Tells how the connection tracks keys.",
        handler: tracking::trackinginfo,
        ..SUB
    },
    Command {
        name: "unblock",
        arity: -3,
        flags: ADMIN,
        since: "5.0.0",
        summary: "Unblocks a client blocked by a blocking command from a different connection.",
        complexity: "O(log N) where N is the number of client connections",
        handler: unblock,
        ..SUB
    },
    Command {
        name: "unpause",
        arity: 2,
        flags: ADMIN,
        since: "6.2.0",
        summary: "Resumes processing commands from paused clients.",
        complexity: "O(N) Where N is the number of paused clients",
        handler: unpause,
        ..SUB
    },
];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Track the keys of the next command, or do not.",
    "GETREDIR",
    "    Return the ID of the client that is told instead of this one.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * USER <username>",
    "    * SKIPME (YES|NO)",
    "    * ID <client-id>",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
    "    Return information about client connections.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Do not count this connection's reads as use of keys.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set LIB-NAME or LIB-VER of the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Be told when keys change that this connection has read.",
    "TRACKINGINFO",
    "    Return how this connection tracks keys.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "HELP",
    "    Print this help.",
];

/// Writes the lines of a HELP.
pub(super) fn write_help(ctx: &mut Ctx<'_>, lines: &[&str]) -> Result<Outcome, CommandError> {
    ctx.reply.array(lines.len());
    for line in lines {
        ctx.reply.simple(line);
    }
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    write_help(ctx, HELP)
}

fn me<'a>(ctx: &'a mut Ctx<'_>) -> Result<&'a mut Client, CommandError> {
    let gone = CommandError::new("ERR the connection has ended");
    ctx.core.clients.get_mut(ctx.client).ok_or(gone)
}

fn id(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.integer(ctx.client.serial as i64);
    Ok(Outcome::Done)
}

fn getname(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let name = me(ctx)?.name.clone();
    if name.is_empty() {
        ctx.reply.null();
    } else {
        ctx.reply.bulk(&name);
    }
    Ok(Outcome::Done)
}

/// Names are shown in lists, so they hold neither blanks nor anything that cannot be seen.
pub(super) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(CommandError::new(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn setname(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let name = args.get(2).copied().unwrap_or_default();
    check_name(name)?;
    me(ctx)?.name = name.to_vec();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn setinfo(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let [_, _, option, value] = args else { return Err(CommandError::SYNTAX) };
    let shown = String::from_utf8_lossy(option).into_owned();
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err(CommandError::text(format!(
            "ERR {shown} cannot contain spaces, newlines or special characters."
        )));
    }
    let client = me(ctx)?;
    match option.to_ascii_lowercase().as_slice() {
        b"lib-name" => client.lib_name = value.to_vec(),
        b"lib-ver" => client.lib_version = value.to_vec(),
        _ => return Err(CommandError::text(format!("ERR Unrecognized option '{shown}'"))),
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn on_or_off(arg: Option<&&[u8]>) -> Result<bool, CommandError> {
    match arg {
        Some(word) if word.eq_ignore_ascii_case(b"on") => Ok(true),
        Some(word) if word.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(CommandError::SYNTAX),
    }
}

fn no_evict(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    me(ctx)?.no_evict = on_or_off(args.get(2))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn no_touch(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    me(ctx)?.no_touch = on_or_off(args.get(2))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn reply_mode(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mode = match args.get(2).map(|word| word.to_ascii_lowercase()) {
        Some(word) if word == b"on" => ReplyMode::On,
        Some(word) if word == b"off" => ReplyMode::Off,
        Some(word) if word == b"skip" => ReplyMode::SkipNext,
        _ => return Err(CommandError::SYNTAX),
    };
    let client = me(ctx)?;
    // SKIP under OFF changes nothing.
    if !(mode == ReplyMode::SkipNext && client.reply_mode == ReplyMode::Off) {
        client.reply_mode = mode;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn pause(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let stops = match args.get(3).map(|word| word.to_ascii_lowercase()) {
        None => Stops::All,
        Some(word) if word == b"all" => Stops::All,
        Some(word) if word == b"write" => Stops::Writes,
        Some(_) => {
            return Err(CommandError::new("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    if args.len() > 4 {
        return Err(CommandError::SYNTAX);
    }
    let wrong = CommandError::new("ERR timeout is not an integer or out of range");
    let timeout_ms = args.get(2).and_then(|arg| parse_i64(arg)).ok_or(wrong.clone())?;
    if timeout_ms < 0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    let until_ms = ctx.now_ms.checked_add(timeout_ms).ok_or(wrong)?;
    ctx.core.pauses.pause(stops, until_ms, ctx.now_ms);
    ctx.core.choose_expiry_rule();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn unpause(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.core.pauses.unpause();
    ctx.core.choose_expiry_rule();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn unblock(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let with_error = match args.get(3).map(|word| word.to_ascii_lowercase()) {
        None => false,
        Some(word) if word == b"timeout" => false,
        Some(word) if word == b"error" => true,
        Some(_) => {
            return Err(CommandError::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let serial = args.get(2).and_then(|arg| parse_i64(arg)).ok_or(CommandError::NOT_AN_INTEGER)?;
    let target = u64::try_from(serial).ok().and_then(|serial| ctx.core.clients.by_serial(serial));
    let error = CommandError::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    let done = match target {
        Some(target) => execute::unblock(ctx.core, target, with_error.then_some(&error)),
        None => false,
    };
    ctx.reply.integer(i64::from(done));
    Ok(Outcome::Done)
}
