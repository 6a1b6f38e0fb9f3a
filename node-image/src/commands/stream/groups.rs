//! XGROUP and XACK.
//!
//! Not known here: what consumers were given.

use holdfast_store::stream::{Group, Stream, StreamId};

use super::access::no_such_group;
use super::ids;
use super::range::id_list;
use crate::commands::client::write_help;
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <n>]",
    "    Create a group that has read up to an id; MKSTREAM makes the stream when it is missing.",
    "CREATECONSUMER <key> <group> <consumer>",
    "    Create a consumer in a group.",
    "DELCONSUMER <key> <group> <consumer>",
    "    Remove a consumer with everything that it has not acknowledged.",
    "DESTROY <key> <group>",
    "    Remove a group.",
    "SETID <key> <group> <id|$> [ENTRIESREAD <n>]",
    "    Set the last id that a group has read.",
    "HELP",
    "    Print this help.",
];

/// `XGROUP HELP`
pub(super) fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    write_help(ctx, HELP)
}

/// Options of CREATE and SETID.
#[derive(Default)]
struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &[&[u8]], is_create: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut rest = args.get(5..).unwrap_or_default();
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                more if is_create && is_word(word, "MKSTREAM") => {
                    options.makes_stream = true;
                    more
                }
                [number, more @ ..] if is_word(word, "ENTRIESREAD") => {
                    options.entries_read = match integer(number)? {
                        -1 => None,
                        number => Some(u64::try_from(number).map_err(|_| {
                            CommandError::new("ERR value for ENTRIESREAD must be positive or -1")
                        })?),
                    };
                    more
                }
                _ => return Err(unknown_options(args)),
            };
        }
        Ok(options)
    }
}

fn unknown_options(args: &[&[u8]]) -> CommandError {
    let name = |at: usize| String::from_utf8_lossy(args.get(at).unwrap_or(&&b""[..]));
    CommandError::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{:.128}'. Try {} HELP.",
        name(1),
        name(0).to_uppercase()
    ))
}

const NEEDS_KEY: CommandError = CommandError::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The stream of a subcommand that needs it, and its group where that is needed too.
fn check(ctx: &mut Ctx<'_>, args: &[&[u8]], needs_group: bool) -> Result<(), CommandError> {
    let (key, name) = (args[2], args[3]);
    let mut keys = ctx.keys();
    let stream = keys.stream(key)?.ok_or(NEEDS_KEY)?;
    if needs_group && stream.groups.get(name).is_none() {
        return Err(no_such_group(key, name));
    }
    Ok(())
}

/// The last id of a stream where `$` asks for it.
fn newest(stream: Option<&Stream>, arg: &[u8]) -> Option<StreamId> {
    (arg == b"$").then(|| stream.map_or(StreamId::MIN, |stream| stream.log.last_id))
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]`
pub(super) fn create(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name) = (args[2], args[3]);
    let options = Options::parse(args, true)?;
    if !options.makes_stream {
        check(ctx, args, false)?;
    }
    if args.len() > 8 {
        return Err(unknown_options(args));
    }
    let last_id = match newest(ctx.keys().stream(key)?, args[4]) {
        Some(id) => id,
        None => ids::strict(args[4], 0)?,
    };
    let group = Group::new(last_id, options.entries_read);
    let added = ctx
        .keys()
        .change_stream(key, Missing::Create, |stream, _| stream.groups.add(name, group))?;
    if added != Some(true) {
        return Err(CommandError::new("BUSYGROUP Consumer Group name already exists"));
    }
    ctx.changed_by(EventClass::Stream, "xgroup-create", key);
    ctx.reply.ok();
    DONE
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD n]`
pub(super) fn set_id(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name) = (args[2], args[3]);
    let options = Options::parse(args, false)?;
    check(ctx, args, true)?;
    if args.len() > 7 {
        return Err(unknown_options(args));
    }
    let last_id = match newest(ctx.keys().stream(key)?, args[4]) {
        Some(id) => id,
        None => ids::any(args[4], 0)?,
    };
    ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        stream.groups.change(name, |group| {
            group.last_id = last_id;
            group.entries_read = options.entries_read;
        })
    })?;
    ctx.changed_by(EventClass::Stream, "xgroup-setid", key);
    ctx.reply.ok();
    DONE
}

/// `XGROUP DESTROY key group`
pub(super) fn destroy(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name) = (args[2], args[3]);
    check(ctx, args, false)?;
    let gone = ctx.keys().change_stream(key, Missing::Skip, |s, _| s.groups.remove(name))?;
    if gone == Some(true) {
        ctx.changed_by(EventClass::Stream, "xgroup-destroy", key);
    }
    ctx.reply.integer(i64::from(gone == Some(true)));
    DONE
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(super) fn create_consumer(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, consumer, now_ms) = (args[2], args[3], args[4], ctx.now_ms);
    check(ctx, args, true)?;
    let added = ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        stream.groups.change(name, |group| group.add_consumer(consumer, now_ms))
    })?;
    let added = added.flatten() == Some(true);
    if added {
        ctx.changed_by(EventClass::Stream, "xgroup-createconsumer", key);
    }
    ctx.reply.integer(i64::from(added));
    DONE
}

/// `XGROUP DELCONSUMER key group consumer`
pub(super) fn delete_consumer(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name, consumer) = (args[2], args[3], args[4]);
    check(ctx, args, true)?;
    let pending = ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        stream.groups.change(name, |group| group.remove_consumer(consumer))
    })?;
    let pending = pending.flatten().flatten();
    if pending.is_some() {
        ctx.changed_by(EventClass::Stream, "xgroup-delconsumer", key);
    }
    ctx.reply.integer(pending.unwrap_or(0) as i64);
    DONE
}

/// `XACK key group id...`
pub(super) fn xack(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, name) = (args[1], args[2]);
    if ctx.keys().stream(key)?.is_none_or(|stream| stream.groups.get(name).is_none()) {
        ctx.reply.integer(0);
        return DONE;
    }
    let ids = id_list(args.get(3..).unwrap_or_default())?;
    let acknowledged = ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        stream
            .groups
            .change(name, |group| ids.into_iter().filter(|id| group.acknowledge(*id)).count())
    })?;
    let acknowledged = acknowledged.flatten().unwrap_or(0);
    if acknowledged > 0 {
        ctx.changed(key);
    }
    ctx.reply.integer(acknowledged as i64);
    DONE
}
