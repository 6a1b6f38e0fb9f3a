//! The connection: who it is, which dialect it speaks, which database it uses.
//!
//! Not known here: sockets.

use holdfast_store::number::parse_i64;
use holdfast_wire::resp::Protocol;
use holdfast_wire::state::NodeRole;

use super::parse::integer_32;
use super::{Command, CommandError, Ctx, Flags, Group, Outcome, transaction};
use crate::REDIS_VERSION;
use crate::clients::{ClientKind, ReplyMode};
use crate::core::Core;

const COMMON: Flags = Flags::LOADING.and(Flags::STALE).and(Flags::FAST);

/// Flags of what a client may say before it is authenticated.
const GREETING: Flags = COMMON.and(Flags::NOSCRIPT).and(Flags::NO_AUTH).and(Flags::ALLOW_BUSY);

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "auth",
        arity: -2,
        flags: GREETING,
        since: "1.0.0",
        summary: "Authenticates the connection.",
        complexity: "O(N) where N is the number of passwords defined for the user",
        handler: auth,
        ..CONNECTION
    },
    Command {
        name: "hello",
        arity: -1,
        flags: GREETING,
        since: "6.0.0",
        summary: "Handshakes with the server.",
        handler: hello,
        ..CONNECTION
    },
    Command {
        name: "ping",
        arity: -1,
        flags: Flags::FAST,
        since: "1.0.0",
        summary: "Returns the server's liveliness response.",
        handler: ping,
        ..CONNECTION
    },
    Command {
        name: "echo",
        arity: 2,
        flags: COMMON,
        since: "1.0.0",
        summary: "Returns the given string.",
        handler: echo,
        ..CONNECTION
    },
    Command {
        name: "select",
        arity: 2,
        flags: COMMON,
        since: "1.0.0",
        summary: "Changes the selected database.",
        handler: select,
        ..CONNECTION
    },
    Command {
        name: "quit",
        arity: -1,
        flags: GREETING,
        since: "1.0.0",
        summary: "Closes the connection.",
        handler: quit,
        ..CONNECTION
    },
    Command {
        name: "reset",
        arity: 1,
        flags: GREETING,
        since: "6.2.0",
        summary: "Resets the connection.",
        handler: reset,
        ..CONNECTION
    },
    Command {
        name: "asking",
        arity: 1,
        flags: Flags::FAST,
        since: "3.0.0",
        summary: "Signals that a cluster client is following an -ASK redirect.",
        group: Group::Cluster,
        extra_categories: super::Categories::CONNECTION,
        handler: asking,
        ..Command::BLANK
    },
    Command {
        name: "readonly",
        arity: 1,
        flags: COMMON,
        since: "3.0.0",
        summary: "Enables read-only queries for a connection to a cluster replica node.",
        group: Group::Cluster,
        extra_categories: super::Categories::CONNECTION,
        handler: readonly,
        ..Command::BLANK
    },
    Command {
        name: "readwrite",
        arity: 1,
        flags: COMMON,
        since: "3.0.0",
        summary: "Enables read-write queries for a connection to a cluster replica node.",
        group: Group::Cluster,
        extra_categories: super::Categories::CONNECTION,
        handler: readwrite,
        ..Command::BLANK
    },
];

const CONNECTION: Command = Command { group: Group::Connection, ..Command::BLANK };

const WRONG_PASSWORD: CommandError =
    CommandError::new("WRONGPASS invalid username-password pair or user is disabled.");

fn auth(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (user, password) = match args {
        [_, password] => {
            if ctx.core.acl.default_user().no_password {
                return Err(CommandError::new(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            (&b"default"[..], *password)
        }
        [_, user, password] => (*user, *password),
        _ => return Err(CommandError::SYNTAX),
    };
    authenticate(ctx, user, password)?;
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn authenticate(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let id = ctx.client;
    let Some(user) = ctx.core.acl.authenticate(user, password) else {
        ctx.core.shared.stats.auth_failures.add(1);
        let command = ctx.args.first().copied().unwrap_or_default().to_vec();
        crate::acl::log_refusal(ctx.core, id, "auth", "toplevel", command, user.to_vec());
        return Err(WRONG_PASSWORD);
    };
    if let Some(client) = ctx.core.clients.get_mut(id) {
        client.user = user;
        client.authenticated = true;
    }
    Ok(())
}

/// What a HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn parse_hello<'a>(args: &[&'a [u8]]) -> Result<Hello<'a>, CommandError> {
    let mut hello = Hello::default();
    let mut rest = args.get(1..).unwrap_or_default();
    if let Some((version, others)) = rest.split_first() {
        let number = parse_i64(version)
            .ok_or(CommandError::new("ERR Protocol version is not an integer or out of range"))?;
        hello.protocol = Some(match number {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(CommandError::new("NOPROTO unsupported protocol version")),
        });
        rest = others;
    }
    loop {
        match rest {
            [] => return Ok(hello),
            [word, user, password, others @ ..] if word.eq_ignore_ascii_case(b"auth") => {
                hello.credentials = Some((user, password));
                rest = others;
            }
            [word, name, others @ ..] if word.eq_ignore_ascii_case(b"setname") => {
                super::client::check_name(name)?;
                hello.name = Some(name);
                rest = others;
            }
            [word, ..] => {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::text(format!(
                    "ERR Syntax error in HELLO option '{word}'"
                )));
            }
        }
    }
}

fn hello(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let hello = parse_hello(args)?;
    if let Some((user, password)) = hello.credentials {
        authenticate(ctx, user, password)?;
    }
    let id = ctx.client;
    let Some(client) = ctx.core.clients.get_mut(id) else { return Ok(Outcome::Done) };
    if !client.authenticated {
        return Err(CommandError::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = hello.name {
        client.name = name.to_vec();
    }
    if let Some(protocol) = hello.protocol {
        client.protocol = protocol;
        ctx.reply.set_protocol(protocol);
    }
    let version = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    let mode = if ctx.core.is_cluster() { "cluster" } else { "standalone" };
    let role = match role(ctx.core) {
        NodeRole::Primary => "master",
        NodeRole::Replica => "replica",
    };
    let reply = &mut *ctx.reply;
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk_str(key);
        reply.bulk_str(value);
    }
    reply.bulk_str("proto");
    reply.integer(version);
    reply.bulk_str("id");
    reply.integer(id.serial as i64);
    for (key, value) in [("mode", mode), ("role", role)] {
        reply.bulk_str(key);
        reply.bulk_str(value);
    }
    reply.bulk_str("modules");
    reply.array(0);
    Ok(Outcome::Done)
}

/// What this node is.
pub fn role(core: &Core) -> NodeRole {
    if core.replication.is_replica() { NodeRole::Replica } else { NodeRole::Primary }
}

fn ping(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let listens = ctx.core.clients.get(ctx.client).is_some_and(|c| !c.subscriptions.is_empty());
    if listens && !ctx.reply.is_resp3() && args.len() <= 2 {
        // In the shape of a message, since the client expects nothing else.
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(args.get(1).copied().unwrap_or_default());
        return Ok(Outcome::Done);
    }
    match args {
        [_] => ctx.reply.simple("PONG"),
        [_, text] => ctx.reply.bulk(text),
        _ => return Err(CommandError::wrong_arity("ping")),
    }
    Ok(Outcome::Done)
}

fn echo(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    if let [_, text] = args {
        ctx.reply.bulk(text);
    }
    Ok(Outcome::Done)
}

fn select(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let number = i64::from(integer_32(args.get(1).copied().unwrap_or_default())?);
    if ctx.core.is_cluster() && number != 0 {
        return Err(CommandError::new("ERR SELECT is not allowed in cluster mode"));
    }
    let db = database(ctx.core, number)?;
    if let Some(client) = ctx.core.clients.get_mut(ctx.client) {
        client.db = db;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

/// The database of that number.
pub(super) fn database(core: &Core, number: i64) -> Result<usize, CommandError> {
    let db = usize::try_from(number).ok().filter(|db| *db < core.store.config().databases);
    db.ok_or(CommandError::new("ERR DB index is out of range"))
}

fn quit(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    ctx.reply.ok();
    ctx.core.close_after_reply(ctx.client);
    Ok(Outcome::Done)
}

fn reset(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let id = ctx.client;
    transaction::discard(ctx.core, id);
    ctx.core.unsubscribe_all(id);
    ctx.core.stop_tracking(id);
    ctx.core.stop_monitoring(id);
    let open = ctx.core.acl.is_open();
    let user = std::sync::Arc::clone(ctx.core.acl.default_user());
    let Some(client) = ctx.core.clients.get_mut(id) else { return Ok(Outcome::Done) };
    if client.kind != ClientKind::Normal {
        return Err(CommandError::new("ERR can only reset normal client connections"));
    }
    client.protocol = Protocol::Resp2;
    client.db = 0;
    client.name.clear();
    client.asking = false;
    client.readonly = false;
    client.no_evict = false;
    client.no_touch = false;
    client.reply_mode = ReplyMode::On;
    client.user = user;
    client.authenticated = open;
    ctx.reply.set_protocol(Protocol::Resp2);
    ctx.reply.simple("RESET");
    Ok(Outcome::Done)
}

fn only_in_cluster(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    if ctx.core.is_cluster() {
        Ok(())
    } else {
        Err(CommandError::new("ERR This instance has cluster support disabled"))
    }
}

fn asking(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    only_in_cluster(ctx)?;
    if let Some(client) = ctx.core.clients.get_mut(ctx.client) {
        client.asking = true;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn set_readonly(ctx: &mut Ctx<'_>, readonly: bool) -> Result<Outcome, CommandError> {
    only_in_cluster(ctx)?;
    if let Some(client) = ctx.core.clients.get_mut(ctx.client) {
        client.readonly = readonly;
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn readonly(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    set_readonly(ctx, true)
}

fn readwrite(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    set_readonly(ctx, false)
}
