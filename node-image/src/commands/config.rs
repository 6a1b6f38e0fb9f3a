//! CONFIG: looking at and changing the configuration of a running node.
//!
//! Not known here: what a directive brings about; [`Core::set_config`] tells those who care.

use holdfast_store::glob;

use super::client::write_help;
use super::{Command, CommandError, Ctx, Flags, Group, Outcome};
use crate::config::table::{self, TABLE};
use crate::config::{Config, Directive, Name, When, file};
use crate::core::Core;

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

const SUB: Command = Command {
    container: "config",
    flags: ADMIN,
    since: "2.0.0",
    group: Group::Server,
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "config",
    arity: -2,
    since: "2.0.0",
    summary: "A container for server configuration commands.",
    group: Group::Server,
    complexity: "Depends on subcommand.",
    subcommands: &[
        Command {
            name: "get",
            arity: -3,
            summary: "Returns the effective values of configuration parameters.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            handler: get,
            ..SUB
        },
        Command {
            name: "set",
            arity: -4,
            summary: "Sets configuration parameters in-flight.",
            complexity: "O(N) when N is the number of configuration parameters provided",
            handler: set,
            ..SUB
        },
        Command {
            name: "rewrite",
            arity: 2,
            since: "2.8.0",
            summary: "Persists the effective configuration to file.",
            handler: rewrite,
            ..SUB
        },
        Command {
            name: "resetstat",
            arity: 2,
            summary: "Resets the server's statistics.",
            handler: resetstat,
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
    ],
    ..Command::BLANK
}];

fn get(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let patterns: Vec<Vec<u8>> =
        args.iter().skip(2).map(|pattern| pattern.to_ascii_lowercase()).collect();
    let mut found: Vec<(&str, String)> = Vec::new();
    for directive in TABLE {
        for name in [directive.name, directive.alias] {
            let wanted = |pattern: &Vec<u8>| {
                let same = pattern == name.as_bytes();
                same || (!directive.is_hidden() && glob::matches(pattern, name.as_bytes()))
            };
            if !name.is_empty() && patterns.iter().any(wanted) {
                found.push((name, ctx.core.config.shown(directive)));
            }
        }
    }
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk_str(name);
        ctx.reply.bulk_str(&value);
    }
    Ok(Outcome::Done)
}

fn failed(name: &str, why: &str) -> CommandError {
    CommandError::text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
    ))
}

fn set(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let pairs = args.get(2..).unwrap_or_default();
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity("config|set"));
    }
    let mut config = Config::clone(&ctx.core.config);
    let mut seen: Vec<Name> = Vec::new();
    for pair in pairs.chunks(2) {
        let [name, value] = pair else { continue };
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(directive) = table::find(&name) else {
            return Err(CommandError::text(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )));
        };
        if seen.contains(&directive.id) {
            return Err(failed(&name, "duplicate parameter"));
        }
        seen.push(directive.id);
        check_when(ctx.core, ctx.client, directive).map_err(|why| failed(&name, why))?;
        let value = String::from_utf8_lossy(value).into_owned();
        set_one(&mut config, directive, &value).map_err(|why| failed(&name, &why))?;
    }
    let secured = TABLE.iter().find(|row| seen.contains(&row.id) && crate::tls::concerns(row));
    if let Some(row) = secured {
        // All files of one CONFIG SET are read together, and none is used when they do not fit.
        ctx.core.shared.tls.apply(&config).map_err(|why| {
            failed(row.name, &format!("Unable to update TLS configuration. {why}"))
        })?;
    }
    if seen.contains(&Name::Requirepass) {
        ctx.core.acl.forget_requirepass();
    }
    ctx.core.set_config(config);
    if seen.contains(&Name::Loglevel) {
        ctx.core.shared.log.set_level(ctx.core.config.text(Name::Loglevel));
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// Directives that name paths let whoever may set them write files elsewhere.
fn check_when(
    core: &Core,
    client: crate::clients::ClientId,
    directive: &Directive,
) -> Result<(), &'static str> {
    match directive.when {
        When::Live => Ok(()),
        When::Start => Err("can't set immutable config"),
        When::Protected => {
            let from_loopback = core.clients.get(client).is_some_and(is_loopback);
            match core.config.text(Name::EnableProtectedConfigs) {
                "yes" => Ok(()),
                "local" if from_loopback => Ok(()),
                _ => Err("can't set protected config"),
            }
        }
    }
}

/// True when the client came over the loopback interface.
pub(super) fn is_loopback(client: &crate::clients::Client) -> bool {
    let address: Option<std::net::SocketAddr> = client.address.parse().ok();
    address.is_some_and(|address| address.ip().is_loopback())
}

fn set_one(config: &mut Config, directive: &Directive, value: &str) -> Result<(), String> {
    match directive.id {
        // The file's lines add up, CONFIG SET replaces.
        Name::Save => {
            config.set(directive, &[""])?;
            config.set(directive, &[value])
        }
        Name::Dir => {
            let path = std::path::absolute(value).map_err(|error| error.to_string())?;
            if !path.is_dir() {
                return Err("No such file or directory".to_owned());
            }
            config.set(directive, &[&path.to_string_lossy()])
        }
        _ => config.set(directive, &[value]),
    }
}

fn rewrite(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let force_all = ctx.core.rewrites_whole_config;
    match file::rewrite(&ctx.core.config, &crate::acl::config_lines(ctx.core), force_all) {
        Ok(()) => {
            tracing::info!("CONFIG REWRITE executed with success.");
            ctx.reply.ok();
            Ok(Outcome::Done)
        }
        Err(file::FileError::NoFile) => {
            Err(CommandError::new("ERR The server is running without a config file"))
        }
        Err(error) => {
            tracing::warn!("CONFIG REWRITE failed: {error}");
            Err(CommandError::text(format!("ERR Rewriting config file: {error}")))
        }
    }
}

fn resetstat(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.core.shared.stats.reset();
    ctx.core.observed.reset();
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}
