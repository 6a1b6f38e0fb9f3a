//! COMMAND: the command table as clients read it.
//!
//! Not known here: what commands do.

use super::client::write_help;
use super::spec::{Begin, Find, KeyUse};
use super::{Categories, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome, table};
use crate::keys;
use holdfast_store::glob;
use holdfast_wire::resp::ReplyBuf;

const COMMON: Flags = Flags::LOADING.and(Flags::STALE);

const SUB: Command = Command {
    container: "command",
    flags: COMMON,
    extra_categories: Categories::CONNECTION,
    since: "2.8.13",
    group: Group::Server,
    ..Command::BLANK
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    flags: COMMON,
    extra_categories: Categories::CONNECTION,
    since: "2.8.13",
    summary: "Returns detailed information about all commands.",
    group: Group::Server,
    complexity: "O(N) where N is the total number of commands",
    handler: all,
    subcommands: &[
        Command {
            name: "count",
            arity: 2,
            summary: "Returns a count of commands.",
            handler: count,
            ..SUB
        },
        Command {
            name: "docs",
            arity: -2,
            since: "7.0.0",
            summary: "Returns documentary information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            handler: docs,
            ..SUB
        },
        Command {
            name: "getkeys",
            arity: -4,
            summary: "Extracts the key names from an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            handler: getkeys,
            ..SUB
        },
        Command {
            name: "getkeysandflags",
            arity: -4,
            since: "7.0.0",
            summary: "Extracts the key names and access flags for an arbitrary command.",
            complexity: "O(N) where N is the number of arguments to the command",
            handler: getkeysandflags,
            ..SUB
        },
        Command {
            name: "help",
            arity: 2,
            since: "5.0.0",
            summary: "Returns helpful text about the different subcommands.",
            handler: help,
            ..SUB
        },
        Command {
            name: "info",
            arity: -2,
            summary: "Returns information about one, multiple or all commands.",
            complexity: "O(N) where N is the number of commands to look up",
            handler: info,
            ..SUB
        },
        Command {
            name: "list",
            arity: -2,
            since: "7.0.0",
            summary: "Returns a list of command names.",
            complexity: "O(N) where N is the total number of commands",
            handler: list,
            ..SUB
        },
    ],
    ..Command::BLANK
}];

fn all(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.array(table::all().len());
    for command in table::all() {
        write_command(ctx.reply, command);
    }
    Ok(Outcome::Done)
}

fn count(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.integer(table::all().len() as i64);
    Ok(Outcome::Done)
}

/// The command of a name, which for a subcommand is `container|name`.
fn find(name: &[u8]) -> Option<&'static Command> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let command = table::find(parts.next()?)?;
    match parts.next() {
        None => Some(command),
        Some(sub) => table::find_subcommand(command, sub),
    }
}

fn info(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let names = args.get(2..).unwrap_or_default();
    if names.is_empty() {
        return all(ctx, args);
    }
    ctx.reply.array(names.len());
    for name in names {
        match find(name) {
            Some(command) => write_command(ctx.reply, command),
            None => ctx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn full_name(command: &Command) -> String {
    match table::full_name(command) {
        ("", name) => name.to_owned(),
        (container, name) => format!("{container}|{name}"),
    }
}

/// First key, last key and step, for clients that know no key specifications.
fn classic_range(command: &Command) -> (i64, i64, i64) {
    let mut range: Option<(i64, i64, i64)> = None;
    for spec in command.keys {
        let Begin::Index(first) = spec.begin else { continue };
        let Find::Range { last, step, limit } = spec.find else { continue };
        if limit > 1 {
            continue;
        }
        let first = first as i64;
        let last = if last >= 0 { first + i64::from(last) } else { i64::from(last) };
        range = Some(match range {
            None => (first, last, step as i64),
            // Specifications that follow each other are one range.
            Some((from, to, step)) if first == to + 1 => (from, last, step),
            Some(range) => range,
        });
    }
    range.unwrap_or((0, 0, 0))
}

/// True when first key, last key and step cannot say where the keys are.
fn has_movable_keys(command: &Command) -> bool {
    let simple = |spec: &KeySpec| {
        matches!((spec.begin, spec.find), (Begin::Index(_), Find::Range { limit: 0 | 1, .. }))
    };
    !command.keys.iter().all(simple)
}

fn write_command(reply: &mut ReplyBuf, command: &Command) {
    reply.array(10);
    reply.bulk_str(&full_name(command));
    reply.integer(i64::from(command.arity));
    let flags: Vec<&str> = Flags::NAMES
        .iter()
        .filter(|(flag, _)| {
            command.flags.has(*flag) || (*flag == Flags::MOVABLEKEYS && has_movable_keys(command))
        })
        .map(|(_, name)| *name)
        .collect();
    reply.set(flags.len());
    for flag in flags {
        reply.simple(flag);
    }
    let (first, last, step) = classic_range(command);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories = command.categories();
    reply.set(categories.len());
    for category in categories {
        reply.simple(category);
    }
    reply.set(0);
    reply.set(command.keys.len());
    for spec in command.keys {
        write_key_spec(reply, spec);
    }
    reply.set(command.subcommands.len());
    for sub in command.subcommands {
        write_command(reply, sub);
    }
}

fn write_key_spec(reply: &mut ReplyBuf, spec: &KeySpec) {
    reply.map(3);
    reply.bulk_str("flags");
    let names = spec.usage.names();
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
    reply.bulk_str("begin_search");
    reply.map(2);
    reply.bulk_str("type");
    match spec.begin {
        Begin::Index(index) => {
            reply.bulk_str("index");
            write_numbers(reply, &[("index", index as i64)]);
        }
        Begin::Keyword(word, from) => {
            reply.bulk_str("keyword");
            reply.bulk_str("spec");
            reply.map(2);
            reply.bulk_str("keyword");
            reply.bulk_str(word);
            reply.bulk_str("startfrom");
            reply.integer(i64::from(from));
        }
    }
    reply.bulk_str("find_keys");
    reply.map(2);
    reply.bulk_str("type");
    match spec.find {
        Find::Range { last, step, limit } => {
            reply.bulk_str("range");
            let numbers =
                [("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)];
            write_numbers(reply, &numbers);
        }
        Find::KeyNum { at, first, step } => {
            reply.bulk_str("keynum");
            let numbers =
                [("keynumidx", at as i64), ("firstkey", first as i64), ("keystep", step as i64)];
            write_numbers(reply, &numbers);
        }
        Find::Unknown => {
            reply.bulk_str("unknown");
            write_numbers(reply, &[]);
        }
    }
}

fn write_numbers(reply: &mut ReplyBuf, numbers: &[(&str, i64)]) {
    reply.bulk_str("spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk_str(name);
        reply.integer(*number);
    }
}

fn docs(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let names = args.get(2..).unwrap_or_default();
    let wanted: Vec<&'static Command> = if names.is_empty() {
        table::all().to_vec()
    } else {
        names.iter().filter_map(|name| find(name)).collect()
    };
    ctx.reply.map(wanted.len());
    for command in wanted {
        write_docs(ctx.reply, command);
    }
    Ok(Outcome::Done)
}

fn write_docs(reply: &mut ReplyBuf, command: &Command) {
    reply.bulk_str(&full_name(command));
    let has_subs = !command.subcommands.is_empty();
    reply.map(4 + usize::from(has_subs));
    let texts = [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group.name()),
        ("complexity", command.complexity),
    ];
    for (key, text) in texts {
        reply.bulk_str(key);
        reply.bulk_str(text);
    }
    if has_subs {
        reply.bulk_str("subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            write_docs(reply, sub);
        }
    }
}

/// The command that COMMAND GETKEYS is asked about, and its request.
fn asked<'a, 'b>(args: &'a [&'b [u8]]) -> Result<(&'static Command, &'a [&'b [u8]]), CommandError> {
    let request = args.get(2..).unwrap_or_default();
    let invalid = CommandError::new("ERR Invalid command specified");
    let name = request.first().ok_or(invalid.clone())?;
    let mut command = table::find(name).ok_or(invalid)?;
    if let Some(sub) = request.get(1).and_then(|sub| table::find_subcommand(command, sub)) {
        command = sub;
    }
    if command.keys.iter().all(|spec| spec.usage == KeyUse::NotKey) {
        return Err(CommandError::new("ERR The command has no key arguments"));
    }
    if !command.arity_fits(request.len()) {
        return Err(CommandError::new("ERR Invalid number of arguments specified for command"));
    }
    Ok((command, request))
}

const UNTOLD: CommandError = CommandError::new("ERR Invalid arguments specified for command");

fn getkeys(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (command, request) = asked(args)?;
    let positions = keys::positions(command, request).ok_or(UNTOLD)?;
    ctx.reply.array(positions.len());
    for at in positions {
        ctx.reply.bulk(request.get(at).copied().unwrap_or_default());
    }
    Ok(Outcome::Done)
}

fn getkeysandflags(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (command, request) = asked(args)?;
    let mut found = Vec::new();
    if !keys::visit(command, request, |at, usage| found.push((at, usage))) {
        return Err(UNTOLD);
    }
    ctx.reply.array(found.len());
    for (at, usage) in found {
        ctx.reply.array(2);
        ctx.reply.bulk(request.get(at).copied().unwrap_or_default());
        ctx.reply.set(usage.names().len());
        for name in usage.names() {
            ctx.reply.simple(name);
        }
    }
    Ok(Outcome::Done)
}

fn list(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut names = Vec::new();
    for command in table::all() {
        names.push((full_name(command), *command));
        names.extend(command.subcommands.iter().map(|sub| (full_name(sub), sub)));
    }
    match args.get(2..).unwrap_or_default() {
        [] => {}
        [filterby, kind, value] if filterby.eq_ignore_ascii_case(b"filterby") => {
            let text = String::from_utf8_lossy(value).to_ascii_lowercase();
            match kind.to_ascii_lowercase().as_slice() {
                b"pattern" => {
                    names.retain(|(name, _)| glob::matches_any_case(value, name.as_bytes()));
                }
                b"aclcat" => {
                    let category = format!("@{text}");
                    names.retain(|(_, c)| c.categories().iter().any(|name| *name == category));
                }
                b"module" => names.clear(),
                _ => return Err(CommandError::SYNTAX),
            }
        }
        _ => return Err(CommandError::SYNTAX),
    }
    ctx.reply.array(names.len());
    for (name, _) in names {
        ctx.reply.bulk_str(&name);
    }
    Ok(Outcome::Done)
}

fn help(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    const LINES: &[&str] = &[
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "    If no command names are given, details about all commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "    If no command names are given, documentation details about all commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full command.",
        "HELP",
        "    Print this help.",
    ];
    write_help(ctx, LINES)
}
