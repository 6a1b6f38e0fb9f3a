//! DEBUG: what test suites need and what is honest. Off unless `enable-debug-command` is on.
//!
//! Not known here: files (see [`crate::commands::persistence`] for what saves).

use std::time::Duration;

use holdfast_store::number::parse_i64;
use holdfast_store::value::Value;

use super::client::write_help;
use super::digest::Digest;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec, KeyUse, Outcome};
use crate::config::Name;

const SUB: Command = Command {
    container: "debug",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    group: Group::Server,
    complexity: "Depends on subcommand.",
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "debug",
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    since: "1.0.0",
    summary: "A container for debugging commands.",
    group: Group::Server,
    complexity: "Depends on subcommand.",
    subcommands: &[
        Command {
            name: "sleep",
            arity: 3,
            summary: "Stops the core for some seconds.",
            handler: sleep,
            ..SUB
        },
        Command {
            name: "object",
            arity: 3,
            keys: &[KeySpec::one(2, KeyUse::ReadMeta)],
            summary: "Shows how a value is kept.",
            handler: object,
            ..SUB
        },
        Command {
            name: "pause-cron",
            arity: 3,
            summary: "Stops what is due by time, or lets it go on.",
            handler: pause_cron,
            ..SUB
        },
        Command {
            name: "replybuffer",
            arity: 4,
            summary: "Keeps reply buffers that have grown, or gives them back.",
            handler: replybuffer,
            ..SUB
        },
        Command {
            name: "set-active-expire",
            arity: 3,
            summary: "Turns the active expiry cycle on or off.",
            handler: set_active_expire,
            ..SUB
        },
        Command {
            name: "set-disable-deny-scripts",
            arity: 3,
            summary: "Lets scripts run what they otherwise may not, or forbids it again.",
            handler: set_disable_deny_scripts,
            ..SUB
        },
        Command {
            name: "config-rewrite-force-all",
            arity: 2,
            summary: "Makes CONFIG REWRITE write every directive.",
            handler: config_rewrite_force_all,
            ..SUB
        },
        Command {
            name: "digest",
            arity: 2,
            summary: "Gives one number for all keys and values.",
            handler: digest,
            ..SUB
        },
        Command {
            name: "digest-value",
            arity: -2,
            keys: &[KeySpec::rest(2, 1, KeyUse::ReadMeta)],
            summary: "Gives a number for each value.",
            handler: digest_value,
            ..SUB
        },
        Command {
            name: "reload",
            arity: -2,
            summary: "Saves the snapshot file and loads it again.",
            handler: reload,
            ..SUB
        },
        Command {
            name: "loadaof",
            arity: 2,
            summary: "Loads the append-only file in place of the data.",
            handler: load_aof,
            ..SUB
        },
        Command {
            name: "log",
            arity: 3,
            summary: "Writes a line to the log.",
            handler: log,
            ..SUB
        },
        Command {
            name: "populate",
            arity: -3,
            flags: SUB.flags.and(Flags::WRITE),
            summary: "Makes keys that hold strings.",
            handler: populate,
            ..SUB
        },
        Command {
            name: "protocol",
            arity: 3,
            summary: "Replies with one value of a type of the protocol.",
            handler: protocol,
            ..SUB
        },
        Command { name: "help", arity: 2, summary: "Returns helpful text.", handler: help, ..SUB },
    ],
    ..Command::BLANK
}];

/// DEBUG can stop the node or fill it; whoever may use it is configured.
fn allowed(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    let loopback = ctx.core.clients.get(ctx.client).is_some_and(super::config::is_loopback);
    match ctx.core.config.text(Name::EnableDebugCommand) {
        "yes" => Ok(()),
        "local" if loopback => Ok(()),
        _ => Err(CommandError::new(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        )),
    }
}

fn sleep(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let text = args.get(2).and_then(|arg| std::str::from_utf8(arg).ok()).unwrap_or("");
    let seconds = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    std::thread::sleep(seconds.ok_or(CommandError::NOT_A_FLOAT)?);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn object(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let key = args.get(2).copied().unwrap_or_default();
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    let bytes = ctx.core.store.entry_bytes(db, key).unwrap_or(0);
    let idle = ctx.core.store.idle_s(db, key, now_ms).unwrap_or(0);
    let value: Option<&Value> = ctx.core.store.get_quietly(db, key, now_ms);
    let Some(value) = value else { return Err(CommandError::NO_SUCH_KEY) };
    let encoding = value.encoding().name();
    ctx.reply.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{bytes} lru:0 \
         lru_seconds_idle:{idle}"
    ));
    Ok(Outcome::Done)
}

fn digest(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let mut all = Digest::default();
    let databases = ctx.core.store.config().databases;
    for db in 0..databases {
        for view in ctx.core.store.keys(db) {
            let mut one = Digest::default();
            one.add_ordered(&(db as u64).to_le_bytes());
            one.add_ordered(view.key);
            one.add_ordered(&Digest::of(&view.value()).0);
            one.add_ordered(&[u8::from(view.expiry_ms.is_some())]);
            all.add_unordered(&one);
        }
    }
    ctx.reply.simple(&all.hex());
    Ok(Outcome::Done)
}

fn digest_value(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let keys = args.get(2..).unwrap_or_default();
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    ctx.reply.array(keys.len());
    for key in keys {
        let value = ctx.core.store.get_quietly(db, key, now_ms);
        ctx.reply.simple(&value.map_or_else(Digest::default, Digest::of).hex());
    }
    Ok(Outcome::Done)
}

fn reload(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let save = match args.get(2..).unwrap_or_default() {
        [] => true,
        [word] if word.eq_ignore_ascii_case(b"nosave") => false,
        _ => return Err(CommandError::SYNTAX),
    };
    let failed = |error: String| CommandError::text(format!("ERR {error}"));
    if save {
        crate::aof::save::save_now(ctx.core).map_err(failed)?;
    }
    ctx.core.touched_all(None);
    ctx.core.store.flush_all();
    ctx.core.invalidate_all();
    crate::aof::boot::reload_snapshot(ctx.core).map_err(|error| failed(error.to_string()))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn pause_cron(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let on = args.get(2).and_then(|arg| parse_i64(arg)).ok_or(CommandError::NOT_AN_INTEGER)?;
    ctx.core.cron_paused = on != 0;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn replybuffer(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    if !args.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"resizing")) {
        return Err(CommandError::SYNTAX);
    }
    let on = args.get(3).and_then(|arg| parse_i64(arg)).ok_or(CommandError::NOT_AN_INTEGER)?;
    ctx.core.keeps_reply_buffers = on == 0;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn load_aof(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    if ctx.in_exec {
        // The rest of a transaction would run before the data is replaced.
        return Err(CommandError::new("ERR DEBUG LOADAOF is not possible inside a transaction"));
    }
    crate::aof::want_reload(ctx.core, ctx.client).map(Outcome::Promised)
}

fn set_disable_deny_scripts(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let on = args.get(2).and_then(|arg| parse_i64(arg)).ok_or(CommandError::NOT_AN_INTEGER)?;
    ctx.core.scripts.runs_denied_commands = on != 0;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn set_active_expire(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let on = args.get(2).and_then(|arg| parse_i64(arg)).ok_or(CommandError::NOT_AN_INTEGER)?;
    ctx.core.expires_by_itself = on != 0;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn config_rewrite_force_all(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    ctx.core.rewrites_whole_config = true;
    let result =
        crate::config::file::rewrite(&ctx.core.config, &crate::acl::config_lines(ctx.core), true);
    result.map_err(|error| CommandError::text(format!("ERR CONFIG-REWRITE-FORCE-ALL: {error}")))?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn log(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let text = String::from_utf8_lossy(args.get(2).copied().unwrap_or_default());
    tracing::warn!("DEBUG LOG: {text}");
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn populate(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let number = |at: usize| args.get(at).map(|arg| parse_i64(arg));
    let count = number(2).flatten().ok_or(CommandError::NOT_AN_INTEGER)?;
    let size = match number(4) {
        None => None,
        Some(size) => {
            let size = size.and_then(|size| usize::try_from(size).ok());
            Some(size.ok_or(CommandError::NOT_AN_INTEGER)?)
        }
    };
    let prefix = String::from_utf8_lossy(args.get(3).copied().unwrap_or(b"key")).into_owned();
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    for at in 0..count {
        let key = format!("{prefix}:{at}").into_bytes();
        if ctx.core.store.contains(db, &key, now_ms) {
            continue;
        }
        let mut value = format!("value:{at}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        ctx.effect(&[b"SET", &key[..], &value[..]]);
        ctx.core.store.insert(
            db,
            &key,
            Value::String(holdfast_store::string::StringValue::new(&value)),
            None,
            now_ms,
        );
        ctx.touched(&key);
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn protocol(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    allowed(ctx)?;
    let kind = args.get(2).copied().unwrap_or_default().to_ascii_lowercase();
    let reply = &mut *ctx.reply;
    match kind.as_slice() {
        b"string" => reply.bulk_str("Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            for number in 0..3 {
                reply.integer(number);
            }
        }
        b"set" => {
            reply.set(3);
            for number in 0..3 {
                reply.integer(number);
            }
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"verbatim" => reply.verbatim(*b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"attrib" => {
            if reply.is_resp3() {
                reply.raw(b"|1\r\n");
                reply.bulk_str("key-popularity");
                reply.array(2);
                reply.bulk_str("key:123");
                reply.integer(90);
            }
            reply.bulk_str("Some real reply following the attribute");
        }
        b"push" => {
            reply.push(2);
            reply.bulk_str("server-cpu-usage");
            reply.integer(42);
        }
        _ => {
            return Err(CommandError::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Write all directives to the configuration file.",
        "DIGEST",
        "    Output a hex signature representing the current DB content.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Output a hex signature of the values of all the specified keys.",
        "LOG <message>",
        "    Write <message> to the log.",
        "OBJECT <key>",
        "    Show low level info about `key` and associated value.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create <count> string keys named key:<num>.",
        "PROTOCOL <type>",
        "    Reply with a test value of the specified type.",
        "LOADAOF",
        "    Load the append-only file in place of the data.",
        "RELOAD [NOSAVE]",
        "    Save the snapshot on disk and reload it back to memory.",
        "PAUSE-CRON <0|1>",
        "    Stop what is due by time, or let it go on.",
        "REPLYBUFFER RESIZING <0|1>",
        "    Keep reply buffers that have grown, or give them back.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Turn the active expiry cycle off or on.",
        "SET-DISABLE-DENY-SCRIPTS <0|1>",
        "    Forbid scripts what they otherwise may not run, or allow it.",
        "SLEEP <seconds>",
        "    Stop the server for <seconds>. Decimals allowed.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}
