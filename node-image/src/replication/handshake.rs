//! What a replica and its primary say before the stream: PING, AUTH, REPLCONF, PSYNC.
//!
//! Each request is sent when the one before it was answered. Not known here: the socket, and what
//! comes after the answer to PSYNC.

use std::collections::VecDeque;

use holdfast_wire::resp::request::encode;

use super::feed;
use super::history::StreamId;
use super::link::{Stage, begin_stream, send};
use super::receive::Receive;
use crate::config::Name;
use crate::core::Core;

#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) request: Vec<u8>,
    pub(super) kind: GreetingKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GreetingKind {
    Ping,
    Auth,
    /// A primary that does not understand may say so.
    Optional,
}

/// What a replica says before it asks, in order; each is answered by a line.
pub(super) fn greetings(core: &Core) -> VecDeque<Greeting> {
    let config = &core.config;
    let mut all = VecDeque::new();
    let mut say = |kind, words: &[&str]| {
        all.push_back(Greeting { request: encode(words), kind });
    };
    say(GreetingKind::Ping, &["PING"]);
    let (user, password) = (config.text(Name::Masteruser), config.text(Name::Masterauth));
    match (user, password) {
        (_, "") => {}
        ("", password) => say(GreetingKind::Auth, &["AUTH", password]),
        (user, password) => say(GreetingKind::Auth, &["AUTH", user, password]),
    }
    let port = match config.int(Name::ReplicaAnnouncePort) {
        0 => config.int(Name::Port),
        port => port,
    };
    let ip = config.text(Name::ReplicaAnnounceIp);
    say(GreetingKind::Optional, &["REPLCONF", "listening-port", &port.to_string()]);
    if !ip.is_empty() {
        say(GreetingKind::Optional, &["REPLCONF", "ip-address", ip]);
    }
    say(GreetingKind::Optional, &["REPLCONF", "capa", "eof", "capa", "psync2"]);
    say(GreetingKind::Optional, &["REPLCONF", "version", crate::REDIS_VERSION]);
    if core.is_cluster() {
        let id = core.routing.my_id.to_string();
        say(GreetingKind::Optional, &["REPLCONF", "holdfast-node-id", &id]);
    }
    all
}

pub(super) fn greeted(core: &mut Core, line: &[u8]) -> Result<(), String> {
    let Some(following) = &mut core.replication.following else { return Ok(()) };
    let Stage::Greeting { left } = &mut following.stage else { return Ok(()) };
    let kind = left.pop_front().map(|greeting| greeting.kind);
    let text = line.escape_ascii();
    match kind {
        Some(GreetingKind::Ping) => {
            let fine = [&b"+"[..], b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"];
            if !fine.iter().any(|start| line.starts_with(start)) {
                return Err(format!("the primary answers PING by '{text}'"));
            }
        }
        Some(GreetingKind::Auth) if line.starts_with(b"-") => {
            return Err(format!("Unable to AUTH to MASTER: {text}"));
        }
        _ => {}
    }
    let next = left.front().map(|greeting| greeting.request.clone());
    match next {
        Some(request) => send(core, request),
        None => ask(core),
    }
    Ok(())
}

fn ask(core: &mut Core) {
    let id = core.replication.history.id();
    let next = core.log.end() + 1;
    tracing::info!("Trying a partial resynchronization (request {id}:{next}).");
    if let Some(following) = &mut core.replication.following {
        following.stage = Stage::Asking;
        following.stage_since_ms = core.now_ms;
    }
    send(core, encode(&["PSYNC", &id.to_string(), &next.to_string()]));
}

pub(super) fn answered(core: &mut Core, line: &[u8]) -> Result<(), String> {
    let mut words = line.split(|byte| *byte == b' ');
    let now_ms = core.now_ms;
    match words.next() {
        Some(b"+FULLRESYNC") => {
            let id = words.next().and_then(StreamId::parse);
            let offset = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            let (Some(id), Some(offset)) = (id, offset) else {
                return Err(format!("the primary's answer is '{}'", line.escape_ascii()));
            };
            tracing::info!("Full resync from master: {id}:{offset}");
            let receive = Box::new(Receive::new(&core.store));
            if let Some(following) = &mut core.replication.following {
                following.stage = Stage::Receiving { id, offset, receive };
                following.stage_since_ms = now_ms;
            }
            Ok(())
        }
        Some(b"+CONTINUE") => {
            if let Some(id) = words.next().and_then(StreamId::parse)
                && id != core.replication.history.id()
            {
                core.replication.history.renamed(id, core.log.end());
                // Those who follow this node learn the new id by asking again.
                feed::close_all(core);
            }
            tracing::info!("Successful partial resynchronization with master.");
            begin_stream(core);
            Ok(())
        }
        _ => Err(format!("the primary answers PSYNC by '{}'", line.escape_ascii())),
    }
}
