//! Who follows whom: this node's replicas, its primary, and the stream between them.
//!
//! ```text
//!   primary's core          link                       this core
//!   effect log ── stream ──────────> apply ──> own effect log (same bytes, same offsets)
//!        ^  └── snapshot ──────────> second store, exchanged when complete      │
//!        └──────── REPLCONF ACK <offset> ──── once a second, on GETACK          v
//!                                                                     replicas of this node
//! ```
//!
//! [`feed`] serves replicas ([`sync`] from nothing), [`link`] follows a primary, [`receive`] takes
//! a full sync in,
//! [`history`] knows which streams this node's data is part of, [`wait`] counts acknowledgements.
//! In a cluster the bus thread gives the role ([`on_role`]); elsewhere REPLICAOF does.
//! Not known here: elections, and what the commands of the stream do.

pub mod feed;
mod handshake;
pub mod history;
pub mod info;
pub mod link;
pub mod receive;
pub mod sync;
pub mod wait;

use std::net::{SocketAddr, ToSocketAddrs};

use holdfast_cluster::{Millis, ReplicationFacts, RoleChange};
use holdfast_wire::id::NodeId;
use mio::Token;

use crate::clients::ClientId;
use crate::commands::CommandError;
use crate::config::{Config, Name};
use crate::core::Core;
use crate::effect_log::EntryKind;
use crate::messages::ToBus;

use history::{History, StreamId};
pub use info::append_info;
pub use sync::{is_congested, on_snapshot_ended, on_snapshot_piece};

/// The bus hears how replication stands at least this often.
const REPORT_MS: i64 = 100;

/// Where a primary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryAddress {
    /// A name or an address; empty while the cluster does not know it.
    pub host: String,
    /// Its client port.
    pub port: u16,
    /// The host name that it announced, with which its certificate is compared; empty for none.
    pub hostname: String,
}

/// What the core knows about replication.
pub struct Replication {
    pub(crate) history: History,
    pub(crate) following: Option<link::Following>,
    pub(crate) feed: feed::Feed,
    pub(crate) waits: wait::Waits,
    /// Offset that the bus waits for.
    watched_offset: Option<u64>,
    reported_ms: i64,
    reported: (bool, bool, usize),
    pinged_ms: i64,
    /// Whom the cluster wants to be followed.
    primary_id: Option<NodeId>,
    /// A whole copy of some primary's data was received or loaded.
    pub(crate) has_copy: bool,
}

impl Replication {
    /// A primary without replicas, at the start of a stream of its own.
    pub fn new(_config: &Config) -> Self {
        Replication {
            history: History::new(fresh_id()),
            following: None,
            feed: feed::Feed::default(),
            waits: wait::Waits::default(),
            watched_offset: None,
            reported_ms: 0,
            reported: (false, false, 0),
            pinged_ms: 0,
            primary_id: None,
            has_copy: false,
        }
    }

    /// True when this node follows another.
    pub fn is_replica(&self) -> bool {
        self.following.is_some()
    }

    /// True on a replica whose link to its primary is not up.
    pub fn is_stale(&self) -> bool {
        self.following.as_ref().is_some_and(|following| !following.is_streaming())
    }

    /// The replication id of this node's stream.
    pub fn stream_id(&self) -> StreamId {
        self.history.id()
    }
}

fn fresh_id() -> StreamId {
    let mut bytes = [0; 20];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Without it two streams could be taken for one.
        tracing::error!("failed to get random bytes: {error}");
        std::process::abort();
    }
    StreamId::from_random(bytes)
}

/// The cluster gives this node its role.
pub fn on_role(core: &mut Core, role: RoleChange) {
    match role {
        RoleChange::Primary => become_primary(core),
        RoleChange::ReplicaOf { id, ip, port, hostname } => {
            // A primary with data that is told to follow was replaced within its shard, and so
            // has a copy. A replica that is told to follow another may have moved to a shard of
            // which it has nothing.
            let replication = &mut core.replication;
            match replication.primary_id.replace(id) {
                None => replication.has_copy |= !core.store.is_empty(),
                Some(before) => replication.has_copy &= before == id,
            }
            let host = ip.map_or_else(String::new, |ip| ip.to_string());
            follow(core, PrimaryAddress { host, port, hostname });
        }
    }
}

/// Follows a primary from now on (REPLICAOF, or the cluster's word). Naming the same one again
/// changes nothing.
pub fn follow(core: &mut Core, address: PrimaryAddress) {
    match &mut core.replication.following {
        Some(following) if following.address == address => return,
        Some(_) => link::drop_link(core),
        None => {
            // What only this node wrote is its own stream's; whether the primary can go on from
            // there is for the primary to say.
            core.log.forget_selected_db();
        }
    }
    tracing::info!("Connecting to MASTER {}:{}", address.host, address.port);
    core.replication.following = Some(link::Following::new(address, core.now_ms));
    core.choose_expiry_rule();
    wait::fail_all(core);
    report(core);
}

/// Follows nobody from now on: what is written from here on is a stream of its own.
pub fn become_primary(core: &mut Core) {
    if core.replication.following.is_none() {
        return;
    }
    link::drop_link(core);
    core.replication.following = None;
    core.replication.primary_id = None;
    core.replication.history.fork(fresh_id(), core.log.end());
    if crate::aof::is_inside_transaction(core) {
        // Its EXEC will never come; whoever reads the log must not wait for it.
        core.log.append_raw(EntryKind::Effect, 0, None, b"*1\r\n$7\r\nDISCARD\r\n");
    }
    core.log.forget_selected_db();
    crate::commands::transaction::discard(core, core.primary_client);
    // Replicas learn the new id by asking again; they go on from where they are.
    feed::close_all(core);
    core.choose_expiry_rule();
    core.replication.watched_offset = None;
    tracing::info!("MASTER MODE enabled, replication id {}", core.replication.history.id());
    report(core);
}

/// Why a client's write must be refused, if it must.
pub fn refuse_write(core: &Core) -> Option<CommandError> {
    if core.replication.is_replica() && core.config.yes(Name::ReplicaReadOnly) {
        let text = "READONLY You can't write against a read only replica.";
        return Some(CommandError::new(text));
    }
    let wanted = core.config.size(Name::MinReplicasToWrite);
    let lag_ms_max = core.config.int(Name::MinReplicasMaxLag) * 1000;
    let too_few = wanted > 0
        && lag_ms_max > 0
        && !core.replication.is_replica()
        && core.replication.feed.count_good(core.now_ms, lag_ms_max) < wanted;
    too_few.then_some(CommandError::new("NOREPLICAS Not enough good replicas to write."))
}

/// A socket of the link is ready.
pub fn on_ready(core: &mut Core, token: Token, readable: bool, writable: bool) {
    link::on_ready(core, token, readable, writable);
}

/// Reads from the link what one turn may read.
pub fn read_some(core: &mut Core) {
    link::read_some(core);
}

/// True when the link has bytes that one turn did not get to.
pub fn wants_turn(core: &Core) -> bool {
    core.replication.following.as_ref().is_some_and(link::Following::wants_turn)
        && !link::is_held_back(core)
}

/// The end of a turn: replicas get what the turn wrote.
pub fn on_turn(core: &mut Core) {
    link::on_turn(core);
    if core.replication.waits.ask_for_acks() && !core.replication.is_replica() {
        let bytes = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
        core.log.append_raw(EntryKind::Filler, 0, None, bytes);
    }
    feed::on_turn(core);
    let offset = core.log.end();
    if core.replication.watched_offset.is_some_and(|watched| offset >= watched) {
        core.replication.watched_offset = None;
        report(core);
    } else if fingerprint(core) != core.replication.reported {
        report(core);
    }
}

/// The beat of the clock, several times a second.
pub fn cron(core: &mut Core) {
    if crate::aof::boot::is_loading(core) {
        // A link now would mix a primary's data with what is still being read.
        return;
    }
    begin_configured(core);
    ping(core);
    link::cron(core);
    feed::cron(core);
    wait::cron(core);
    if core.now_ms - core.replication.reported_ms >= REPORT_MS {
        report(core);
    }
}

/// `replicaof` of the configuration takes effect once the data is loaded.
fn begin_configured(core: &mut Core) {
    if core.replication.reported_ms != 0 || core.is_cluster() {
        return;
    }
    let words: Vec<&str> = core.config.text(Name::Replicaof).split_whitespace().collect();
    if let [host, port] = words[..]
        && let Ok(port) = port.parse()
    {
        let host = host.to_owned();
        follow(core, PrimaryAddress { host, port, hostname: String::new() });
    }
}

fn ping(core: &mut Core) {
    let period_ms = core.config.int(Name::ReplPingReplicaPeriod) * 1000;
    let due = core.now_ms - core.replication.pinged_ms >= period_ms;
    let quiet = core.replication.is_replica() || core.pauses.writes_paused(core.now_ms);
    if core.replication.feed.is_empty() {
        // The first replica is pinged a period after it has come.
        core.replication.pinged_ms = core.now_ms;
    } else if due && !quiet {
        core.replication.pinged_ms = core.now_ms;
        core.log.append_raw(EntryKind::Filler, 0, None, b"*1\r\n$4\r\nPING\r\n");
    }
}

/// A client is gone.
pub fn on_client_closed(core: &mut Core, id: ClientId) {
    feed::on_client_closed(core, id);
}

/// The bus wants to hear when the applied offset reaches this.
pub fn watch_offset(core: &mut Core, offset: u64) {
    core.replication.watched_offset = Some(offset);
}

fn fingerprint(core: &Core) -> (bool, bool, usize) {
    let replication = &core.replication;
    let link_up = replication.following.as_ref().is_some_and(link::Following::is_streaming);
    (link_up, replication.has_copy, replication.feed.count_online())
}

/// How replication stands, for the cluster's rules.
pub fn facts(core: &Core) -> ReplicationFacts {
    let replication = &core.replication;
    let following = replication.following.as_ref();
    let contact = following.and_then(|following| following.last_contact_ms);
    ReplicationFacts {
        offset: core.log.end(),
        link_up: following.is_some_and(link::Following::is_streaming),
        last_contact: contact.map(|at_ms| Millis(at_ms.max(0) as u64)),
        has_copy: replication.has_copy,
        synced_replicas: replication.feed.synced(),
    }
}

/// Tells the bus thread and everybody who reads the counters.
fn report(core: &mut Core) {
    let facts = facts(core);
    let following = core.replication.following.as_ref();
    let lag = following.map_or(0, |following| following.lag_bytes());
    let stats = &core.shared.stats;
    stats.offset.set(facts.offset as i64);
    stats.link_up.set(i64::from(facts.link_up));
    stats.lag_bytes.set(lag as i64);
    stats.replicas.set(core.replication.feed.len() as i64);
    stats.synced_replicas.set(core.replication.feed.count_online() as i64);
    core.replication.reported_ms = core.now_ms;
    core.replication.reported = fingerprint(core);
    core.to_bus.send(ToBus::Replication(facts));
}

/// Finds a primary's address. A name is looked up here and now: names come from REPLICAOF only,
/// the cluster gives addresses.
fn resolve(address: &PrimaryAddress) -> std::io::Result<SocketAddr> {
    let mut found = (address.host.as_str(), address.port).to_socket_addrs()?;
    found.next().ok_or_else(|| std::io::ErrorKind::NotFound.into())
}
