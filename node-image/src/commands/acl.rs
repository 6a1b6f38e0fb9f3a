//! ACL: users, their rules, and what was refused.
//!
//! Not known here: what rules mean (see [`crate::acl`]).

mod show;
mod table;

pub use table::COMMANDS;

use holdfast_store::number::parse_i64;

use super::client::write_help;
use super::{CommandError, Ctx, Outcome};
use crate::acl::{self, Denied, User};

fn setuser(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let name = args.get(2).copied().unwrap_or_default();
    if !acl::is_name(name) {
        return Err(CommandError::new("ERR Usernames can't contain spaces or null characters"));
    }
    let all_channels = acl::begins_with_all_channels(&ctx.core.config);
    // A copy is changed, so that a wrong rule changes nothing.
    let mut user = match ctx.core.acl.find(name) {
        Some(user) => User::clone(user),
        None => User::new(name, all_channels),
    };
    let words = args.get(3..).unwrap_or_default();
    let rules = acl::joined_selectors(words).map_err(|opened_by| {
        CommandError::text(format!(
            "ERR Unmatched parenthesis in acl selector starting at '{}'.",
            String::from_utf8_lossy(&opened_by)
        ))
    })?;
    for rule in rules {
        user.apply(&rule, all_channels).map_err(|error| {
            let rule = String::from_utf8_lossy(&rule);
            CommandError::text(format!("ERR Error in ACL SETUSER modifier '{rule}': {error}"))
        })?;
    }
    acl::put(ctx.core, user);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn deluser(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut removed = 0;
    for name in args.iter().skip(2) {
        if *name == acl::DEFAULT {
            return Err(CommandError::new("ERR The 'default' user cannot be removed"));
        }
        removed += i64::from(acl::remove(ctx.core, name));
    }
    ctx.reply.integer(removed);
    Ok(Outcome::Done)
}

fn whoami(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    match ctx.core.clients.get(ctx.client) {
        Some(client) => ctx.reply.bulk(&client.user.name),
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn genpass(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    const BITS_MAX: i64 = 4096;
    const WRONG: CommandError = CommandError::new(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
         number up to 4096",
    );
    let bits = match args {
        [_, _] => 256,
        [_, _, bits] => parse_i64(bits).ok_or(CommandError::NOT_AN_INTEGER)?,
        _ => return Err(CommandError::wrong_arity("acl|genpass")),
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(WRONG);
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::text(format!("ERR no random bytes: {error}")))?;
    let text = acl::hex(&bytes);
    ctx.reply.bulk_str(text.get(..digits).unwrap_or(&text));
    Ok(Outcome::Done)
}

fn load(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    acl::load(ctx.core).map_err(|error| CommandError::text(format!("ERR {error}")))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn save(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    acl::save(ctx.core).map_err(|error| CommandError::text(format!("ERR {error}")))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn dryrun(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let lossy = |arg: &[u8]| String::from_utf8_lossy(arg).into_owned();
    let name = args.get(2).copied().unwrap_or_default();
    let Some(user) = ctx.core.acl.find(name) else {
        return Err(CommandError::text(format!("ERR User '{}' not found", lossy(name))));
    };
    let request = args.get(3..).unwrap_or_default();
    let first = request.first().copied().unwrap_or_default();
    let found = super::table::find(first);
    let sub = |container| super::table::find_subcommand(container, request.get(1)?);
    let Some(command) = found.map(|command| sub(command).unwrap_or(command)) else {
        return Err(CommandError::text(format!("ERR Command '{}' not found", lossy(first))));
    };
    if !command.arity_fits(request.len()) {
        return Err(CommandError::wrong_arity(&acl::commands::full_name(command)));
    }
    let object = |at: usize| lossy(request.get(at).copied().unwrap_or_default());
    let refused = match user.check(command, request) {
        Ok(()) => {
            ctx.reply.ok();
            return Ok(Outcome::Done);
        }
        Err(Denied::Command) => {
            format!("run the '{}' command", acl::commands::full_name(command))
        }
        Err(Denied::Key(at)) => format!("access the '{}' key", object(at)),
        Err(Denied::Channel(at)) => format!("access the '{}' channel", object(at)),
    };
    ctx.reply.bulk_str(&format!("This user has no permissions to {refused}"));
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    Show the categories of commands, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Delete users and end their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Tell whether a user could run a command, without running it.",
        "GETUSER <username>",
        "    Show what a user may do.",
        "GENPASS [<bits>]",
        "    Make a password of 256, or so many, random bits.",
        "LIST",
        "    Show all users as lines of the configuration file.",
        "LOAD",
        "    Read the users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show, or forget, what was refused.",
        "SAVE",
        "    Write the users to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or change a user.",
        "USERS",
        "    Show the names of all users.",
        "WHOAMI",
        "    Show the name of this connection's user.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}
