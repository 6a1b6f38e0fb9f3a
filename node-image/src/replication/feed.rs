//! Serving replicas: who they are, partial syncs, the stream.
//!
//! ```text
//!   PSYNC ──(bytes still kept)──> Online
//!     └──> Waiting ── full sync, see sync.rs ──> Online
//! ```
//!
//! At the end of each turn every replica that is online gets what the turn wrote; its output
//! queue is bounded, and who falls behind is cut off and comes back to ask.
//! Not known here: sockets (output queues do that), snapshots.

use holdfast_wire::id::NodeId;

use super::sync::{Group, begin_waiting, catch_up, forget_groups, gather, give_up_slow};
use crate::clients::{ClientId, ClientKind};
use crate::config::Name;
use crate::core::Core;

/// How far a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has said something by REPLCONF, and not asked yet.
    Greeting,
    /// It waits for a snapshot to begin.
    Waiting,
    /// It gets the snapshot of this run.
    Snapshot(u64),
    /// It has the snapshot of this run and loads it.
    Loading(u64),
    /// It has loaded it, and gets what was written meanwhile when the turn ends.
    Loaded(u64),
    /// It gets the stream.
    Online,
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    /// Its connection.
    pub client: ClientId,
    /// How far it is.
    pub stage: Stage,
    /// Port on which it serves, by its own word.
    pub port: u16,
    /// Address on which it serves, by its own word; empty when it gave none.
    pub ip: String,
    /// Its id in the cluster, when it is one of our kind.
    pub node_id: Option<NodeId>,
    /// It understands a snapshot that ends with a mark.
    pub knows_mark: bool,
    /// It asked by SYNC: it gets no answer before the snapshot and acknowledges nothing.
    pub is_silent: bool,
    /// It understands `+CONTINUE <id>`.
    pub knows_new_id: bool,
    /// Offset up to which it was given the stream.
    pub given: u64,
    /// Offset that it has acknowledged.
    pub acked: u64,
    /// When it last did.
    pub acked_ms: i64,
    /// Bytes written to it when that last changed, and when.
    progress: (u64, i64),
    /// Bytes written to it when it had last read something substantial of a snapshot, and when.
    pub(super) pace: (u64, i64),
}

/// All replicas.
#[derive(Debug, Default)]
pub struct Feed {
    pub(super) replicas: Vec<Replica>,
    pub(super) groups: Vec<Group>,
}

impl Feed {
    /// Connections that have asked for the stream.
    pub fn len(&self) -> usize {
        self.asked().count()
    }

    /// True when nobody has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replicas that have asked for the stream, in the order in which they came.
    pub fn asked(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.stage != Stage::Greeting)
    }

    /// The replica on that connection, made when it is new.
    pub fn of(&mut self, client: ClientId, now_ms: i64) -> &mut Replica {
        let place = self.replicas.iter().position(|replica| replica.client == client);
        let place = place.unwrap_or_else(|| {
            self.replicas.push(Replica {
                client,
                stage: Stage::Greeting,
                port: 0,
                ip: String::new(),
                node_id: None,
                knows_mark: false,
                is_silent: false,
                knows_new_id: false,
                given: 0,
                acked: 0,
                acked_ms: now_ms,
                progress: (0, now_ms),
                pace: (0, now_ms),
            });
            self.replicas.len() - 1
        });
        &mut self.replicas[place]
    }

    pub(super) fn get_mut(&mut self, client: ClientId) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.client == client)
    }

    /// Replicas that get the stream.
    pub fn online(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.stage == Stage::Online)
    }

    /// Number of replicas that get the stream.
    pub fn count_online(&self) -> usize {
        self.online().count()
    }

    /// Replicas that have acknowledged lately.
    pub fn count_good(&self, now_ms: i64, lag_ms_max: i64) -> usize {
        self.online().filter(|replica| now_ms - replica.acked_ms <= lag_ms_max).count()
    }

    /// Replicas that have acknowledged this offset.
    pub fn count_acked(&self, offset: u64) -> usize {
        self.online().filter(|replica| replica.acked >= offset).count()
    }

    /// Replicas of our kind that are in sync, with what they have acknowledged.
    pub fn synced(&self) -> Vec<(NodeId, u64)> {
        self.online().filter_map(|replica| Some((replica.node_id?, replica.acked))).collect()
    }
}

/// A replica asks for the stream behind `offset` of the stream `id`; without them for everything.
/// What is to be sent at once is given back.
pub fn on_psync(core: &mut Core, client: ClientId, asked: Option<(&[u8], u64)>) -> Vec<u8> {
    let now_ms = core.now_ms;
    if let Some(connection) = core.clients.get_mut(client) {
        connection.kind = ClientKind::Replica;
    }
    let Some((id, offset)) = asked.filter(|(id, offset)| can_continue(core, id, *offset)) else {
        if asked.is_some() {
            core.shared.stats.sync_partial_err.add(1);
        }
        core.shared.stats.sync_full.add(1);
        let replica = core.replication.feed.of(client, now_ms);
        replica.stage = Stage::Waiting;
        replica.progress = (0, now_ms);
        return Vec::new();
    };
    core.shared.stats.sync_partial_ok.add(1);
    tracing::info!(
        "Partial resynchronization request accepted for {}, from offset {offset}.",
        String::from_utf8_lossy(id)
    );
    let current = core.replication.history.id();
    let end = core.log.end();
    let replica = core.replication.feed.of(client, now_ms);
    replica.stage = Stage::Online;
    replica.given = end;
    replica.acked = offset;
    replica.acked_ms = now_ms;
    let mut out = if replica.knows_new_id {
        format!("+CONTINUE {current}\r\n").into_bytes()
    } else {
        b"+CONTINUE\r\n".to_vec()
    };
    core.log.copy(offset..end, &mut out);
    out
}

fn can_continue(core: &Core, id: &[u8], offset: u64) -> bool {
    core.replication.history.continues(id, offset)
        && (core.log.start()..=core.log.end()).contains(&offset)
}

/// A replica has applied the stream up to `offset`.
pub fn on_ack(core: &mut Core, client: ClientId, offset: u64) {
    let now_ms = core.now_ms;
    let feed = &mut core.replication.feed;
    let Some(replica) = feed.get_mut(client) else { return };
    replica.acked = replica.acked.max(offset);
    replica.acked_ms = now_ms;
    if let Stage::Loading(run) = replica.stage {
        // Its output is in use while its request runs: the rest follows at the end of the turn.
        replica.stage = Stage::Loaded(run);
    }
    super::wait::on_ack(core);
}

/// The address that a replica is known by.
pub fn name(core: &Core, client: ClientId) -> String {
    let replica = core.replication.feed.replicas.iter().find(|r| r.client == client);
    let port = replica.map_or(0, |replica| replica.port);
    format!("{}:{port}", ip(core, client))
}

/// The address of a replica without port.
pub fn ip(core: &Core, client: ClientId) -> String {
    let replica = core.replication.feed.replicas.iter().find(|r| r.client == client);
    if let Some(replica) = replica.filter(|replica| !replica.ip.is_empty()) {
        return replica.ip.clone();
    }
    let address = core.clients.get(client).map_or("", |client| client.address.as_str());
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    ip.trim_matches(['[', ']']).to_owned()
}

pub(super) fn push(core: &mut Core, client: ClientId, bytes: Vec<u8>) {
    if let Some(connection) = core.clients.get_mut(client) {
        if bytes.len() < 1024 {
            connection.output.push(&bytes, 0);
        } else {
            connection.output.push_owned(bytes, 0);
        }
        core.want_flush(client);
    }
}

/// Ends the connections of all replicas.
pub fn close_all(core: &mut Core) {
    let all: Vec<ClientId> = core.replication.feed.asked().map(|r| r.client).collect();
    for client in all {
        core.close(client);
    }
}

/// A connection is gone.
pub fn on_client_closed(core: &mut Core, client: ClientId) {
    let feed = &mut core.replication.feed;
    let before = feed.replicas.len();
    feed.replicas.retain(|replica| replica.client != client);
    if feed.replicas.len() != before {
        forget_groups(core);
    }
}

/// The end of a turn.
pub fn on_turn(core: &mut Core) {
    if core.replication.feed.replicas.is_empty() {
        return;
    }
    gather(core);
    catch_up(core);
    stream(core);
    begin_waiting(core);
}

/// What the turn wrote goes to those who are online.
fn stream(core: &mut Core) {
    let end = core.log.end();
    let mut last: Option<(u64, Vec<u8>)> = None;
    let behind: Vec<(ClientId, u64)> = core
        .replication
        .feed
        .online()
        .filter(|replica| replica.given < end)
        .map(|replica| (replica.client, replica.given))
        .collect();
    for (client, given) in behind {
        let bytes = match last.take().filter(|(from, _)| *from == given) {
            Some((_, bytes)) => bytes,
            None => {
                let mut bytes = Vec::new();
                if !core.log.copy(given..end, &mut bytes) {
                    // Its place is no longer kept: it comes back and asks.
                    core.close(client);
                    continue;
                }
                bytes
            }
        };
        if let Some(connection) = core.clients.get_mut(client) {
            connection.output.push(&bytes, 0);
            core.want_flush(client);
        }
        if let Some(replica) = core.replication.feed.get_mut(client) {
            replica.given = end;
        }
        last = Some((given, bytes));
    }
}

/// Keeps those awake who wait, and cuts those who are silent.
pub fn cron(core: &mut Core) {
    let timeout_ms = core.config.int(Name::ReplTimeout) * 1000;
    let now_ms = core.now_ms;
    let mut silent = Vec::new();
    for replica in &mut core.replication.feed.replicas {
        let Some(client) = core.clients.get(replica.client) else { continue };
        let is_idle = match replica.stage {
            Stage::Online => !replica.is_silent && now_ms - replica.acked_ms > timeout_ms,
            Stage::Snapshot(_) | Stage::Loading(_) | Stage::Loaded(_) => {
                if client.written_bytes != replica.progress.0 || client.output.is_empty() {
                    replica.progress = (client.written_bytes, now_ms);
                }
                now_ms - replica.progress.1 > timeout_ms
            }
            Stage::Greeting | Stage::Waiting => false,
        };
        if is_idle {
            silent.push(replica.client);
        }
    }
    give_up_slow(core, timeout_ms);
    for client in silent {
        tracing::warn!("Disconnecting timedout replica: {}", name(core, client));
        core.close(client);
    }
}
