//! Commands of the family "replication": PSYNC, SYNC, REPLCONF, REPLICAOF, ROLE, WAIT.
//!
//! Not known here: snapshots, streams and links ([`crate::replication`]).

use holdfast_store::number::parse_i64;

use super::{Categories, Command, CommandError, Ctx, Flags, Group, Origin, Outcome};
use crate::replication::feed::{self, Stage};
use crate::replication::{PrimaryAddress, become_primary, follow, link, wait};

const SERVER: Command = Command { group: Group::Server, ..Command::BLANK };
const SYNC: Flags =
    Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI);
const REPLICAOF: Command = Command {
    name: "replicaof",
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE).and(Flags::NO_ASYNC_LOADING),
    since: "5.0.0",
    summary: "Configures a server as replica of another, or promotes it to a master.",
    handler: replicaof,
    ..SERVER
};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "psync",
        arity: -3,
        flags: SYNC,
        since: "2.8.0",
        summary: "An internal command used in replication.",
        handler: psync,
        ..SERVER
    },
    Command {
        name: "sync",
        arity: 1,
        flags: SYNC,
        summary: "An internal command used in replication.",
        handler: sync,
        ..SERVER
    },
    Command {
        name: "replconf",
        arity: -1,
        flags: Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::ALLOW_BUSY),
        since: "3.0.0",
        summary: "An internal command for configuring the replication stream.",
        handler: replconf,
        ..SERVER
    },
    REPLICAOF,
    Command {
        name: "slaveof",
        since: "1.0.0",
        summary: "Sets a Redis server as a replica of another, or promotes it to being a master.",
        ..REPLICAOF
    },
    Command {
        name: "role",
        arity: 1,
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
        extra_categories: Categories::DANGEROUS,
        since: "2.8.12",
        summary: "Returns the replication role.",
        handler: role,
        ..SERVER
    },
    Command {
        name: "wait",
        arity: 3,
        flags: Flags::NOSCRIPT.and(Flags::BLOCKING),
        extra_categories: Categories::CONNECTION,
        since: "3.0.0",
        summary: "Blocks until the asynchronous replication of all preceding write commands sent \
                  by the connection is completed.",
        handler: wait_command,
        ..Command::BLANK
    },
];

/// Whether this node can be followed now.
fn may_be_followed(ctx: &Ctx<'_>) -> Result<(), CommandError> {
    if ctx.core.routing.lame || ctx.core.persistence.mark.is_bereft() {
        return Err(CommandError::new(
            "NOMASTERLINK This node has lost its data and waits to be failed over",
        ));
    }
    let replication = &ctx.core.replication;
    if replication.is_stale() {
        return Err(CommandError::new(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    Ok(())
}

fn psync(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    may_be_followed(ctx)?;
    let (Some(id), Some(next)) = (args.get(1), args.get(2)) else {
        return Err(CommandError::SYNTAX);
    };
    let next = parse_i64(next).ok_or(CommandError::NOT_AN_INTEGER)?;
    let asked = u64::try_from(next).ok().and_then(|next| next.checked_sub(1));
    let asked = asked.filter(|_| *id != b"?").map(|offset| (*id, offset));
    let out = feed::on_psync(ctx.core, ctx.client, asked);
    ctx.reply.raw(&out);
    Ok(Outcome::Done)
}

fn sync(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    may_be_followed(ctx)?;
    let now_ms = ctx.now_ms;
    ctx.core.replication.feed.of(ctx.client, now_ms).is_silent = true;
    feed::on_psync(ctx.core, ctx.client, None);
    Ok(Outcome::Done)
}

fn text(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

fn replconf(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let (pairs, odd) = args.get(1..).unwrap_or_default().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(CommandError::SYNTAX);
    }
    if ctx.origin == Origin::Primary {
        if pairs.iter().any(|[name, _]| name.eq_ignore_ascii_case(b"getack")) {
            link::want_ack(ctx.core);
        }
        return Ok(Outcome::Done);
    }
    for [name, value] in pairs {
        let name = name.to_ascii_lowercase();
        if name == b"ack" {
            let offset = parse_i64(value).and_then(|offset| u64::try_from(offset).ok());
            if let Some(offset) = offset {
                feed::on_ack(ctx.core, ctx.client, offset);
            }
            // An acknowledgement is the one request that is never answered.
            return Ok(Outcome::Done);
        }
        note(ctx, &name, value)?;
    }
    ctx.reply.simple("OK");
    Ok(Outcome::Done)
}

/// A replica says something about itself.
fn note(ctx: &mut Ctx<'_>, name: &[u8], value: &[u8]) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms;
    let replica = ctx.core.replication.feed.of(ctx.client, now_ms);
    match name {
        b"listening-port" => {
            let port = parse_i64(value).and_then(|port| u16::try_from(port).ok());
            replica.port = port.ok_or(CommandError::NOT_AN_INTEGER)?;
        }
        b"ip-address" => replica.ip = text(value),
        b"capa" => match value.to_ascii_lowercase().as_slice() {
            b"eof" => replica.knows_mark = true,
            b"psync2" => replica.knows_new_id = true,
            // What we do not know we do not use.
            _ => {}
        },
        b"holdfast-node-id" => replica.node_id = text(value).parse().ok(),
        // Snapshots of version 10 are understood by every version that says one.
        b"version" | b"rdb-only" | b"rdb-filter-only" => {}
        b"getack" => {}
        _ => {
            let name = text(name);
            return Err(CommandError::text(format!("ERR Unrecognized REPLCONF option: {name}")));
        }
    }
    Ok(())
}

fn replicaof(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    if ctx.core.is_cluster() {
        return Err(CommandError::new("ERR REPLICAOF not allowed in cluster mode."));
    }
    let (Some(host), Some(port)) = (args.get(1), args.get(2)) else {
        return Err(CommandError::SYNTAX);
    };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        become_primary(ctx.core);
        ctx.reply.simple("OK");
        return Ok(Outcome::Done);
    }
    let port = parse_i64(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(CommandError::new("ERR Invalid master port"))?;
    let address = PrimaryAddress { host: text(host), port, hostname: String::new() };
    let following = ctx.core.replication.following.as_ref();
    if following.is_some_and(|following| following.address == address) {
        ctx.reply.simple("OK Already connected to specified master");
        return Ok(Outcome::Done);
    }
    follow(ctx.core, address);
    ctx.reply.simple("OK");
    Ok(Outcome::Done)
}

fn role(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let core = &*ctx.core;
    let offset = core.log.end() as i64;
    if let Some(following) = &core.replication.following {
        ctx.reply.array(5);
        ctx.reply.bulk(b"slave");
        ctx.reply.bulk(following.address.host.as_bytes());
        ctx.reply.integer(i64::from(following.address.port));
        ctx.reply.bulk(following.stage_name().as_bytes());
        ctx.reply.integer(if following.is_streaming() { offset } else { -1 });
        return Ok(Outcome::Done);
    }
    let online: Vec<_> =
        core.replication.feed.asked().filter(|r| r.stage == Stage::Online).collect();
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.integer(offset);
    ctx.reply.array(online.len());
    for replica in online {
        ctx.reply.array(3);
        ctx.reply.bulk(feed::ip(core, replica.client).as_bytes());
        ctx.reply.bulk(replica.port.to_string().as_bytes());
        ctx.reply.bulk(replica.acked.to_string().as_bytes());
    }
    Ok(Outcome::Done)
}

fn wait_command(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    if ctx.core.replication.is_replica() {
        return Err(CommandError::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis \
             4.0 if a replica is configured to be writable (which is not the default) writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let number = |at: usize| args.get(at).and_then(|arg| parse_i64(arg));
    let replicas = number(1).ok_or(CommandError::NOT_AN_INTEGER)?;
    let timeout_ms =
        number(2).ok_or(CommandError::new("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CommandError::new("ERR timeout is negative"));
    }
    let replicas = usize::try_from(replicas).unwrap_or(0);
    let acked = ctx.core.replication.feed.count_acked(ctx.core.log.end());
    if acked >= replicas || ctx.in_exec {
        ctx.reply.integer(acked as i64);
        return Ok(Outcome::Done);
    }
    let deadline_ms = (timeout_ms > 0).then(|| ctx.core.now_ms.saturating_add(timeout_ms));
    let token = ctx.promise();
    wait::begin(ctx.core, token, replicas, deadline_ms);
    Ok(Outcome::Promised(token))
}
