//! MIGRATE: some keys to another node, while the core goes on.
//!
//! The core packs and locks the keys; a thread of its own for each MIGRATE sends them and waits,
//! so that a dead target holds up the one client that named it and nobody else. Commands that
//! would write one of the keys wait as well, for as long as the timeout says. A connection is kept
//! for ten seconds, since whoever moves ten keys is likely to move the next ten.
//!
//! Not known here: slots.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_wire::resp::Value;
use holdfast_wire::resp::request::encode_into;

use super::peer::{Credentials, Peer, PeerError};
use super::{Kept, KeyOrder, Packed};
use crate::bus::FromBus;
use crate::commands::AnswerToken;
use crate::messages::{Outbox, ToCore};
use crate::tls::Contexts;

/// Threads at the same time.
const RUNNING_MAX: usize = 64;

/// How long an unused connection is kept.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Where keys go: host, port and credentials.
pub(crate) type Target = (String, u16, Credentials);

/// What one MIGRATE moves, and how.
#[derive(Debug)]
pub(crate) struct Freight {
    /// Certificates, where nodes speak TLS to each other.
    pub(crate) contexts: Option<Arc<Contexts>>,
    /// Number of the lock on the keys.
    pub lock: u64,
    /// The keys.
    pub keys: Vec<Packed>,
    /// Where to.
    pub(crate) target: Target,
    /// Database there.
    pub db: usize,
    /// Replace what is there.
    pub replace: bool,
    /// Keep the keys here.
    pub copy: bool,
    /// For connecting, and for each answer.
    pub timeout: Duration,
    /// Who gets the reply.
    pub token: AnswerToken,
}

/// Connections that are kept, and the number of threads.
#[derive(Default)]
pub(crate) struct Movers {
    kept: HashMap<Target, (Peer, Instant)>,
    running: usize,
}

impl Movers {
    /// Sends the freight on its way; answered by [`KeyOrder::Delivered`], whatever happens.
    pub(crate) fn send(&mut self, freight: Freight, to_core: Outbox<ToCore>) {
        let (lock, token) = (freight.lock, freight.token);
        let kept = self.kept.remove(&freight.target).map(|(peer, _)| peer);
        let answer = to_core.clone();
        self.running += 1;
        let begun = if self.running > RUNNING_MAX {
            Err(std::io::Error::other("too many MIGRATE commands run at the same time"))
        } else {
            let thread = std::thread::Builder::new().name("migrate".to_owned());
            thread.spawn(move || deliver(freight, kept, &answer))
        };
        if let Err(error) = begun {
            let result = Err(format!("ERR failed to begin: {error}"));
            let order =
                KeyOrder::Delivered { lock, arrived: Vec::new(), token, result, connection: None };
            to_core.send(ToCore::Bus(FromBus::Keys(order)));
        }
    }

    /// Closes connections that nobody used for a while.
    pub(super) fn cron(&mut self) {
        self.kept.retain(|_, (_, since)| since.elapsed() < KEPT_FOR);
    }

    pub(super) fn keep(&mut self, target: Target, peer: Peer) {
        self.kept.insert(target, (peer, Instant::now()));
    }

    pub(super) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}

fn deliver(freight: Freight, kept: Option<Peer>, to_core: &Outbox<ToCore>) {
    let mut arrived = Vec::new();
    let mut peer = None;
    let outcome = connect(&freight, kept).and_then(|connected| {
        let peer = peer.insert(connected);
        peer.select(freight.db)?;
        restore(peer, &freight.keys, freight.replace, &mut arrived)
    });
    let (result, connection) = match outcome {
        Ok(None) => (Ok(()), peer),
        Ok(Some(refusal)) => {
            (Err(format!("ERR Target instance replied with error: {refusal}")), peer)
        }
        Err(PeerError::Refused(text)) => {
            (Err(format!("ERR Target instance replied with error: {text}")), None)
        }
        Err(PeerError::Connect { .. }) => {
            (Err("IOERR error or timeout connecting to the client".to_owned()), None)
        }
        Err(PeerError::Broken(_)) => {
            (Err("IOERR error or timeout reading from target instance".to_owned()), None)
        }
    };
    if freight.copy {
        arrived.clear();
    }
    let connection = connection.map(|peer| Kept(freight.target, Box::new(peer)));
    let (lock, token) = (freight.lock, freight.token);
    let order = KeyOrder::Delivered { lock, arrived, token, result, connection };
    to_core.send(ToCore::Bus(FromBus::Keys(order)));
}

/// A connection that was kept and still answers, or a new one.
fn connect(freight: &Freight, kept: Option<Peer>) -> Result<Peer, PeerError> {
    if let Some(mut peer) = kept {
        peer.set_patience(freight.timeout);
        if peer.call(&["PING"]).is_ok() {
            return Ok(peer);
        }
    }
    let (host, port, credentials) = &freight.target;
    let contexts = freight.contexts.as_deref();
    Peer::open((host, host), *port, contexts, credentials, freight.timeout)
}

/// Sends keys in one go and reads an answer for each. `arrived` gets the places of those that the
/// target has, also when the rest fails; the result is the first refusal.
pub(super) fn restore(
    peer: &mut Peer,
    keys: &[Packed],
    replace: bool,
    arrived: &mut Vec<usize>,
) -> Result<Option<String>, PeerError> {
    let mut bytes = Vec::with_capacity(keys.iter().map(|one| one.bytes() + 128).sum());
    for one in keys {
        let (ttl, payload) = (one.ttl_ms.to_string(), one.payload());
        let words: [&[u8]; 5] = [b"RESTORE-ASKING", &one.key, ttl.as_bytes(), &payload, b"REPLACE"];
        let count = if replace { 5 } else { 4 };
        encode_into(&mut bytes, words.get(..count).unwrap_or_default());
    }
    peer.send(&bytes)?;
    let mut refusal = None;
    for place in 0..keys.len() {
        match peer.answer()? {
            Value::Error(text) => {
                refusal.get_or_insert_with(|| String::from_utf8_lossy(&text).into_owned());
            }
            _ => arrived.push(place),
        }
    }
    Ok(refusal)
}
