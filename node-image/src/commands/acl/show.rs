//! What ACL shows: users, categories, refusals.

use holdfast_store::number::parse_i64;
use holdfast_wire::resp::ReplyBuf;

use crate::acl::commands::{CATEGORIES, of_category};
use crate::acl::{Entry, Selector};
use crate::commands::{CommandError, Ctx, Outcome};

/// Refusals that ACL LOG shows without a number.
const SHOWN: usize = 10;

pub(super) fn list(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.array(ctx.core.acl.users().len());
    for user in ctx.core.acl.users() {
        ctx.reply.bulk(&user.line());
    }
    Ok(Outcome::Done)
}

pub(super) fn users(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.array(ctx.core.acl.users().len());
    for user in ctx.core.acl.users() {
        ctx.reply.bulk(&user.name);
    }
    Ok(Outcome::Done)
}

pub(super) fn getuser(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let name = args.get(2).copied().unwrap_or_default();
    let Some(user) = ctx.core.acl.find(name) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let reply = &mut *ctx.reply;
    reply.map(6);
    reply.bulk_str("flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk_str(flag));
    reply.bulk_str("passwords");
    reply.array(user.passwords().len());
    user.passwords().iter().for_each(|hash| reply.bulk_str(hash));
    write_selector(reply, user.root());
    reply.bulk_str("selectors");
    reply.array(user.more().len());
    for selector in user.more() {
        reply.map(3);
        write_selector(reply, selector);
    }
    Ok(Outcome::Done)
}

fn write_selector(reply: &mut ReplyBuf, selector: &Selector) {
    reply.bulk_str("commands");
    reply.bulk_str(&selector.shown_commands());
    reply.bulk_str("keys");
    reply.bulk(&selector.shown_keys());
    reply.bulk_str("channels");
    reply.bulk(&selector.shown_channels());
}

pub(super) fn cat(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let names: Vec<String> = match args {
        [_, _] => CATEGORIES.iter().map(|name| (*name).to_owned()).collect(),
        [_, _, category] => {
            let lower = String::from_utf8_lossy(category).to_ascii_lowercase();
            if !CATEGORIES.contains(&lower.as_str()) {
                let category = String::from_utf8_lossy(category);
                return Err(CommandError::text(format!("ERR Unknown category '{category}'")));
            }
            of_category(&lower)
        }
        _ => return Err(unknown_form(args)),
    };
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk_str(name));
    Ok(Outcome::Done)
}

fn unknown_form(args: &[&[u8]]) -> CommandError {
    let sub = String::from_utf8_lossy(args.get(1).copied().unwrap_or_default());
    CommandError::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{sub:.128}'. Try ACL HELP."
    ))
}

pub(super) fn log(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let shown = match args {
        [_, _] => SHOWN,
        [_, _, word] if word.eq_ignore_ascii_case(b"reset") => {
            ctx.core.acl.log.clear();
            ctx.reply.ok();
            return Ok(Outcome::Done);
        }
        [_, _, count] => {
            let count = parse_i64(count).ok_or(CommandError::NOT_AN_INTEGER)?;
            usize::try_from(count).unwrap_or(0)
        }
        _ => return Err(unknown_form(args)),
    };
    let entries = ctx.core.acl.log.entries();
    ctx.reply.array(shown.min(entries.len()));
    for entry in entries.take(shown) {
        write_entry(ctx.reply, entry, ctx.now_ms);
    }
    Ok(Outcome::Done)
}

fn write_entry(reply: &mut ReplyBuf, entry: &Entry, now_ms: i64) {
    reply.map(7);
    reply.bulk_str("count");
    reply.integer(entry.count as i64);
    reply.bulk_str("reason");
    reply.bulk_str(entry.reason);
    reply.bulk_str("context");
    reply.bulk_str(entry.context);
    reply.bulk_str("object");
    reply.bulk(&entry.object);
    reply.bulk_str("username");
    reply.bulk(&entry.username);
    reply.bulk_str("age-seconds");
    reply.double((now_ms - entry.at_ms) as f64 / 1000.0);
    reply.bulk_str("client-info");
    reply.bulk_str(&entry.client);
}
