//! Serving replicas: full syncs, partial syncs, the stream.
//!
//! ```text
//!   PSYNC ──(bytes still kept)──────────────────────────────────────> Online
//!     └──> Waiting ──cut──> Snapshot ──complete──> Loading ──ACK──> Online
//! ```
//!
//! Replicas that wait when a cut is taken share one snapshot (a [`Group`]). What is written after
//! the cut gathers with the group until its replicas have loaded the snapshot; the first ACK says
//! so. The stream must not follow the snapshot at once, since a stock replica looks for the end
//! mark at the end of what it has read.
//! Everything is bounded: a group by the replicas' output limit, a replica's output by the same.
//! Not known here: sockets (output queues do that), the snapshot's format.

use std::io;

use holdfast_wire::id::NodeId;

use crate::clients::{ClientId, ClientKind};
use crate::config::Name;
use crate::core::Core;
use crate::disk::encoder::Target;
use crate::disk::snapshot::{self, Purpose};

/// The walk of a snapshot rests while a replica has this much of it unread.
const CONGESTED_BYTES: usize = 4 << 20;

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
}

/// Replicas that share a snapshot.
#[derive(Debug)]
struct Group {
    run: u64,
    offset: u64,
    /// What was written since the cut.
    since: Vec<u8>,
    /// Offset up to which `since` reaches.
    until: u64,
    mark: Option<[u8; 40]>,
    /// The header was sent.
    begun: bool,
    /// For replicas that need to know the length first.
    whole: Vec<u8>,
}

/// All replicas.
#[derive(Debug, Default)]
pub struct Feed {
    replicas: Vec<Replica>,
    groups: Vec<Group>,
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
            });
            self.replicas.len() - 1
        });
        &mut self.replicas[place]
    }

    fn get_mut(&mut self, client: ClientId) -> Option<&mut Replica> {
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
    let mut out = match replica.knows_new_id {
        true => format!("+CONTINUE {current}\r\n").into_bytes(),
        false => b"+CONTINUE\r\n".to_vec(),
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

fn push(core: &mut Core, client: ClientId, bytes: Vec<u8>) {
    if let Some(connection) = core.clients.get_mut(client) {
        if bytes.len() < 1024 {
            connection.output.push(&bytes, 0);
        } else {
            connection.output.push_owned(bytes, 0);
        }
        core.want_flush(client);
    }
}

fn members(feed: &Feed, run: u64, stage: impl Fn(u64) -> Stage) -> Vec<ClientId> {
    let wanted = stage(run);
    feed.replicas.iter().filter(|r| r.stage == wanted).map(|r| r.client).collect()
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

/// Groups that nobody belongs to any more end, with their snapshots.
fn forget_groups(core: &mut Core) {
    let feed = &mut core.replication.feed;
    let is_used = |run: u64| {
        let stages = [Stage::Snapshot(run), Stage::Loading(run), Stage::Loaded(run)];
        feed.replicas.iter().any(|replica| stages.contains(&replica.stage))
    };
    let unused: Vec<u64> =
        feed.groups.iter().map(|group| group.run).filter(|run| !is_used(*run)).collect();
    feed.groups.retain(|group| !unused.contains(&group.run));
    for run in unused {
        snapshot::cancel(core, run);
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

/// What the turn wrote gathers with the groups.
fn gather(core: &mut Core) {
    let (hard, _, _) = core.config.output_limit("slave");
    let end = core.log.end();
    let mut overgrown = Vec::new();
    for group in &mut core.replication.feed.groups {
        core.log.copy(group.until..end, &mut group.since);
        group.until = end;
        if hard > 0 && group.since.len() > hard {
            overgrown.push(group.run);
        }
    }
    for run in overgrown {
        tracing::warn!("A full synchronisation is given up: too much was written meanwhile");
        close_members(core, run);
    }
}

/// Those who have loaded their snapshot get what was written since its cut.
fn catch_up(core: &mut Core) {
    let feed = &core.replication.feed;
    let loaded = |replica: &Replica| match replica.stage {
        Stage::Loaded(run) => Some((replica.client, run)),
        _ => None,
    };
    let ready: Vec<(ClientId, u64)> = feed.replicas.iter().filter_map(loaded).collect();
    if ready.is_empty() {
        return;
    }
    for (client, run) in ready {
        let feed = &mut core.replication.feed;
        let Some(group) = feed.groups.iter().find(|group| group.run == run) else { continue };
        let (bytes, until) = (group.since.clone(), group.until);
        if let Some(replica) = feed.get_mut(client) {
            replica.stage = Stage::Online;
            replica.given = until;
        }
        push(core, client, bytes);
        tracing::info!("Synchronization with replica {} succeeded", name(core, client));
    }
    forget_groups(core);
}

fn close_members(core: &mut Core, run: u64) {
    let mut clients = members(&core.replication.feed, run, Stage::Snapshot);
    clients.extend(members(&core.replication.feed, run, Stage::Loading));
    clients.extend(members(&core.replication.feed, run, Stage::Loaded));
    for client in clients {
        core.close(client);
    }
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

/// Takes a cut for those who wait, unless a transaction of the primary's stream is half received.
fn begin_waiting(core: &mut Core) {
    for knows_mark in [true, false] {
        let waits = |r: &&Replica| r.stage == Stage::Waiting && r.knows_mark == knows_mark;
        let waiting: Vec<ClientId> =
            core.replication.feed.replicas.iter().filter(waits).map(|r| r.client).collect();
        if waiting.is_empty() || crate::aof::is_inside_transaction(core) {
            continue;
        }
        if let Err(error) = begin_group(core, &waiting, knows_mark) {
            tracing::error!("failed to begin a full synchronisation: {error}");
            for client in waiting {
                core.close(client);
            }
        }
    }
}

fn begin_group(core: &mut Core, waiting: &[ClientId], knows_mark: bool) -> Result<(), String> {
    let mark = if knows_mark { Some(random_mark().map_err(|e| e.to_string())?) } else { None };
    let offset = core.log.end();
    let id = core.replication.history.id();
    // A chained replica's stream goes on where its primary's stands, without a SELECT of its own.
    core.log.forget_selected_db();
    let db = core.clients.get(core.primary_client).map_or(0, |client| client.db);
    let db = if core.replication.is_replica() { db } else { 0 };
    let aux = vec![
        ("repl-stream-db", db.to_string()),
        ("repl-id", id.to_string()),
        ("repl-offset", offset.to_string()),
    ];
    let run = snapshot::begin(core, Purpose::Sync, Target::Core, aux)?;
    core.replication.feed.groups.push(Group {
        run,
        offset,
        since: Vec::new(),
        until: offset,
        mark,
        begun: false,
        whole: Vec::new(),
    });
    for client in waiting {
        tracing::info!("Full resync requested by replica {}", name(core, *client));
        let Some(replica) = core.replication.feed.get_mut(*client) else { continue };
        replica.stage = Stage::Snapshot(run);
        if !replica.is_silent {
            push(core, *client, format!("+FULLRESYNC {id} {offset}\r\n").into_bytes());
        }
    }
    Ok(())
}

fn random_mark() -> io::Result<[u8; 40]> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let id = super::StreamId::from_random(bytes);
    id.as_bytes().try_into().map_err(io::Error::other)
}

/// True while a replica of this run has not read enough of what it was given.
pub fn is_congested(core: &Core, run: u64) -> bool {
    members(&core.replication.feed, run, Stage::Snapshot)
        .iter()
        .filter_map(|client| core.clients.get(*client))
        .any(|client| client.output.len() > CONGESTED_BYTES)
}

/// Bytes of a snapshot.
pub fn on_snapshot_piece(core: &mut Core, run: u64, bytes: Vec<u8>) {
    let clients = members(&core.replication.feed, run, Stage::Snapshot);
    let Some(group) = core.replication.feed.groups.iter_mut().find(|group| group.run == run) else {
        return;
    };
    let Some(mark) = group.mark else {
        group.whole.extend_from_slice(&bytes);
        return;
    };
    let header = (!std::mem::replace(&mut group.begun, true))
        .then(|| [b"$EOF:", &mark[..], b"\r\n"].concat());
    for client in clients {
        if let Some(header) = &header {
            push(core, client, header.clone());
        }
        push(core, client, bytes.clone());
    }
}

/// A snapshot is complete, or failed.
pub fn on_snapshot_ended(core: &mut Core, run: u64, result: Result<u64, String>) {
    if let Err(error) = result {
        tracing::error!("failed to make a snapshot for replicas: {error}");
        return close_members(core, run);
    }
    let clients = members(&core.replication.feed, run, Stage::Snapshot);
    let Some(group) = core.replication.feed.groups.iter_mut().find(|group| group.run == run) else {
        return;
    };
    let whole = std::mem::take(&mut group.whole);
    let (tail, offset) = match group.mark {
        Some(mark) => (mark.to_vec(), group.offset),
        None => ([format!("${}\r\n", whole.len()).as_bytes(), &whole].concat(), group.offset),
    };
    for client in clients {
        push(core, client, tail.clone());
        let now_ms = core.now_ms;
        let Some(replica) = core.replication.feed.get_mut(client) else { continue };
        replica.stage = Stage::Loading(run);
        replica.acked = offset;
        replica.acked_ms = now_ms;
        if replica.is_silent {
            replica.stage = Stage::Loaded(run);
        }
    }
    forget_groups(core);
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
    for client in silent {
        tracing::warn!("Disconnecting timedout replica: {}", name(core, client));
        core.close(client);
    }
}
