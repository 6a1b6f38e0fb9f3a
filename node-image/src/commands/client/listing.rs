//! CLIENT LIST, INFO and KILL: finding connections, showing them, ending them.
//!
//! Not known here: sockets.

use std::fmt::Write as _;

use holdfast_store::number::parse_i64;
use holdfast_wire::resp::Protocol;

use crate::clients::{Client, ClientId, ClientKind};
use crate::commands::{CommandError, Ctx, Outcome, table};
use crate::core::Core;

/// Which clients a CLIENT KILL or CLIENT LIST means.
#[derive(Default)]
struct Filter {
    serials: Option<Vec<u64>>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    kind: Option<ClientKind>,
    listens: bool,
    user: Option<Vec<u8>>,
}

impl Filter {
    fn takes(&self, client: &Client) -> bool {
        (!self.listens || !client.subscriptions.is_empty())
            && self.user.as_ref().is_none_or(|user| client.user.name == *user)
            && self.serials.as_ref().is_none_or(|serials| serials.contains(&client.id.serial))
            && self.address.as_ref().is_none_or(|address| client.address.as_bytes() == *address)
            && self.local_address.as_ref().is_none_or(|a| client.local_address.as_bytes() == *a)
            && self.kind.is_none_or(|kind| {
                client.kind == kind
                    && (kind != ClientKind::Normal || client.subscriptions.is_empty())
            })
    }

    fn set_kind(&mut self, word: &[u8]) -> Result<(), CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => self.kind = Some(ClientKind::Normal),
            b"slave" | b"replica" => self.kind = Some(ClientKind::Replica),
            b"master" => self.kind = Some(ClientKind::Primary),
            b"pubsub" => self.listens = true,
            _ => {
                let word = String::from_utf8_lossy(word);
                return Err(CommandError::text(format!("ERR Unknown client type '{word}'")));
            }
        }
        Ok(())
    }
}

pub(super) fn kill(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut filter = Filter::default();
    let mut skip_me = true;
    if let [_, _, address] = args {
        filter.address = Some(address.to_vec());
        let targets = matching(ctx.core, &filter);
        if targets.is_empty() {
            return Err(CommandError::new("ERR No such client"));
        }
        end(ctx, &targets);
        ctx.reply.ok();
        return Ok(Outcome::Done);
    }
    for pair in args.get(2..).unwrap_or_default().chunks(2) {
        let [option, value] = pair else { return Err(CommandError::SYNTAX) };
        match option.to_ascii_lowercase().as_slice() {
            b"id" => {
                let wrong = CommandError::new("ERR client-id should be greater than 0");
                let serial = parse_i64(value).filter(|serial| *serial > 0).ok_or(wrong)?;
                filter.serials.get_or_insert_default().push(serial as u64);
            }
            b"addr" => filter.address = Some(value.to_vec()),
            b"laddr" => filter.local_address = Some(value.to_vec()),
            b"type" => filter.set_kind(value)?,
            b"user" => {
                if ctx.core.acl.find(value).is_none() {
                    let user = String::from_utf8_lossy(value);
                    return Err(CommandError::text(format!("ERR No such user '{user}'")));
                }
                filter.user = Some(value.to_vec());
            }
            b"skipme" => match value.to_ascii_lowercase().as_slice() {
                b"yes" => skip_me = true,
                b"no" => skip_me = false,
                _ => return Err(CommandError::SYNTAX),
            },
            _ => return Err(CommandError::SYNTAX),
        }
    }
    let mut targets = matching(ctx.core, &filter);
    targets.retain(|target| !(skip_me && *target == ctx.client));
    end(ctx, &targets);
    ctx.reply.integer(targets.len() as i64);
    Ok(Outcome::Done)
}

fn matching(core: &Core, filter: &Filter) -> Vec<ClientId> {
    core.clients.iter().filter(|client| filter.takes(client)).map(|client| client.id).collect()
}

/// Ends connections; one's own only after the reply.
fn end(ctx: &mut Ctx<'_>, targets: &[ClientId]) {
    for target in targets {
        if *target == ctx.client {
            ctx.core.close_after_reply(*target);
        } else {
            ctx.core.close(*target);
        }
    }
}

pub(super) fn list(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut filter = Filter::default();
    match args.get(2..).unwrap_or_default() {
        [] => {}
        [option, kind] if option.eq_ignore_ascii_case(b"type") => filter.set_kind(kind)?,
        [option, serials @ ..] if option.eq_ignore_ascii_case(b"id") && !serials.is_empty() => {
            let wrong = CommandError::new("ERR Invalid client ID");
            let serials: Option<Vec<u64>> = serials
                .iter()
                .map(|serial| parse_i64(serial).and_then(|serial| u64::try_from(serial).ok()))
                .collect();
            filter.serials = Some(serials.ok_or(wrong)?);
        }
        _ => return Err(CommandError::SYNTAX),
    }
    let mut text = String::new();
    for client in ctx.core.clients.iter().filter(|client| filter.takes(client)) {
        describe(&mut text, ctx.core, client);
        text.push('\n');
    }
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

pub(super) fn info(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Result<Outcome, CommandError> {
    let mut text = String::new();
    if let Some(client) = ctx.core.clients.get(ctx.client) {
        describe(&mut text, ctx.core, client);
    }
    text.push('\n');
    ctx.reply.verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// A client as CLIENT LIST shows it; empty when it has gone.
pub fn described(core: &Core, id: ClientId) -> String {
    let mut text = String::new();
    if let Some(client) = core.clients.get(id) {
        describe(&mut text, core, client);
    }
    text
}

/// One line of CLIENT LIST.
fn describe(text: &mut String, core: &Core, client: &Client) {
    let now_ms = core.now_ms;
    let mut flags = String::new();
    match client.kind {
        ClientKind::Replica => flags.push('S'),
        ClientKind::Primary => flags.push('M'),
        ClientKind::Normal | ClientKind::Loader => {}
    }
    let marks = [
        (core.monitors.contains(&client.id), 'O'),
        (!client.subscriptions.is_empty(), 'P'),
        (client.multi.is_some(), 'x'),
        (client.blocked.is_some(), 'b'),
        (client.tracking.is_some(), 't'),
        (client.tracking.as_deref().is_some_and(|tracking| tracking.broken), 'R'),
        (client.tracking.as_deref().is_some_and(|tracking| tracking.broadcast), 'B'),
        (client.watch_failed, 'd'),
        (client.close_after_reply, 'c'),
        (client.close_now, 'A'),
        (client.readonly, 'r'),
        (client.no_evict, 'e'),
        (client.no_touch, 'T'),
    ];
    flags.extend(marks.iter().filter(|(on, _)| *on).map(|(_, mark)| mark));
    if flags.is_empty() {
        flags.push('N');
    }
    let command = match client.last_command.map(table::full_name) {
        None => "NULL".to_owned(),
        Some(("", name)) => name.to_owned(),
        Some((container, name)) => format!("{container}|{name}"),
    };
    let multi = client.multi.as_ref().map_or(-1, |multi| multi.queued.len() as i64);
    let events = if !client.output.is_empty() { "rw" } else { "r" };
    let resp = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    let lossy = String::from_utf8_lossy;
    let waiting = client.query_bytes();
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={} psub={} \
         ssub={} multi={multi} qbuf={waiting} qbuf-free={} argv-mem=0 multi-mem={} rbs={} rbp=0 \
         obl=0 oll={} omem={} tot-mem={} events={events} cmd={command} user={} redir={} \
         resp={resp} lib-name={} lib-ver={}",
        client.id.serial,
        client.address,
        client.local_address,
        client.socket.as_ref().map_or(-1, std::os::fd::AsRawFd::as_raw_fd),
        lossy(&client.name),
        (now_ms - client.created_ms) / 1000,
        (now_ms - client.active_ms) / 1000,
        client.db,
        client.subscriptions.channels.len(),
        client.subscriptions.patterns.len(),
        client.subscriptions.shard.len(),
        client.input.capacity() - client.input.len(),
        client.multi_bytes(),
        client.output.open_capacity(),
        client.output.segments(),
        client.output.len(),
        client.memory_bytes(),
        lossy(&client.user.name),
        super::tracking::redirection(client.tracking.as_deref()),
        lossy(&client.lib_name),
        lossy(&client.lib_version),
    );
}
