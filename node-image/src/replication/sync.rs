//! Full syncs: replicas that wait, the snapshot they share, and what is written meanwhile.
//!
//! ```text
//!   Waiting ──cut──> Snapshot ──complete──> Loading ──ACK──> Loaded ──end of turn──> Online
//! ```
//!
//! Replicas that wait when a cut is taken share one snapshot (a [`Group`]). What is written after
//! the cut gathers with the group until its replicas have loaded the snapshot; the first ACK says
//! so. The stream must not follow the snapshot at once, since a stock replica looks for the end
//! mark at the end of what it has read. A group is bounded by the replicas' output limit.
//! Not known here: sockets (output queues do that), the snapshot's format.

use std::io;
use std::sync::Arc;

use super::feed::{Feed, Replica, Stage, name, push};
use crate::clients::ClientId;
use crate::core::Core;
use crate::disk::encoder::Target;
use crate::disk::snapshot::{self, Purpose};

/// The walk of a snapshot rests while a replica has this much of it unread.
const CONGESTED_BYTES: usize = 4 << 20;

/// A replica that reads less than this within `repl-timeout` may not make writers wait.
const SUBSTANTIAL_BYTES: u64 = 1 << 20;

/// Bytes are gathered in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// Many bytes in pieces that several replicas share: nothing is ever copied as a whole, and a
/// buffer of hundreds of megabytes is never moved because it grows.
#[derive(Debug, Default)]
struct Gathered {
    pieces: Vec<Arc<Vec<u8>>>,
    last: Vec<u8>,
    bytes: usize,
}

impl Gathered {
    /// Lets `write` add bytes at the end.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.last.len();
        write(&mut self.last);
        self.bytes += self.last.len() - before;
        if self.last.len() >= PIECE_BYTES {
            self.pieces.push(Arc::new(std::mem::take(&mut self.last)));
        }
    }

    /// All of it, to be given to several replicas.
    fn share(&mut self) -> Vec<Arc<Vec<u8>>> {
        if !self.last.is_empty() {
            self.pieces.push(Arc::new(std::mem::take(&mut self.last)));
        }
        self.pieces.clone()
    }
}

fn push_shared(core: &mut Core, client: ClientId, bytes: Arc<Vec<u8>>) {
    if let Some(connection) = core.clients.get_mut(client) {
        connection.output.push_shared(bytes, 0);
        core.want_flush(client);
    }
}

/// Replicas that share a snapshot.
#[derive(Debug)]
pub(super) struct Group {
    run: u64,
    offset: u64,
    /// What was written since the cut.
    since: Gathered,
    /// Offset up to which `since` reaches.
    until: u64,
    mark: Option<[u8; 40]>,
    /// The header was sent.
    begun: bool,
    /// For replicas that need to know the length first.
    whole: Gathered,
}

fn members(feed: &Feed, run: u64, stage: impl Fn(u64) -> Stage) -> Vec<ClientId> {
    let wanted = stage(run);
    feed.replicas.iter().filter(|r| r.stage == wanted).map(|r| r.client).collect()
}

/// Groups that nobody belongs to any more end, with their snapshots.
pub(super) fn forget_groups(core: &mut Core) {
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

/// What the turn wrote gathers with the groups.
pub(super) fn gather(core: &mut Core) {
    let (hard, _, _) = core.config.output_limit("slave");
    let end = core.log.end();
    let mut overgrown = Vec::new();
    for group in &mut core.replication.feed.groups {
        let range = group.until..end;
        group.since.add(|bytes| {
            core.log.copy(range, bytes);
        });
        group.until = end;
        if hard > 0 && group.since.bytes > hard {
            overgrown.push(group.run);
        }
    }
    for run in overgrown {
        tracing::warn!("A full synchronisation is given up: too much was written meanwhile");
        close_members(core, run);
    }
}

/// Those who have loaded their snapshot get what was written since its cut.
pub(super) fn catch_up(core: &mut Core) {
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
        let Some(group) = feed.groups.iter_mut().find(|group| group.run == run) else { continue };
        let (pieces, until) = (group.since.share(), group.until);
        if let Some(replica) = feed.get_mut(client) {
            replica.stage = Stage::Online;
            replica.given = until;
        }
        pieces.into_iter().for_each(|piece| push_shared(core, client, piece));
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

/// Takes a cut for those who wait, unless a transaction of the primary's stream is half received.
pub(super) fn begin_waiting(core: &mut Core) {
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
        since: Gathered::default(),
        until: offset,
        mark,
        begun: false,
        whole: Gathered::default(),
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
    let id = super::history::StreamId::from_random(bytes);
    id.as_bytes().try_into().map_err(io::Error::other)
}

/// Gives up on replicas that read their snapshot so slowly that writers wait because of it: the
/// old values that it still needs may not hold the primary's clients up for ever.
pub(super) fn give_up_slow(core: &mut Core, timeout_ms: i64) {
    let (now_ms, is_crowded) = (core.now_ms, snapshot::is_crowded(core));
    let mut slow = Vec::new();
    for replica in &mut core.replication.feed.replicas {
        let Some(client) = core.clients.get(replica.client) else { continue };
        let read = client.written_bytes - replica.pace.0.min(client.written_bytes);
        // Who has read all that there was is not the one that the others wait for.
        let is_slow = matches!(replica.stage, Stage::Snapshot(_))
            && !client.output.is_empty()
            && read < SUBSTANTIAL_BYTES;
        if !is_slow {
            replica.pace = (client.written_bytes, now_ms);
        } else if is_crowded && now_ms - replica.pace.1 > timeout_ms {
            slow.push((replica.client, read));
        }
    }
    for (client, read) in slow {
        tracing::warn!(
            "The full synchronisation of replica {} is given up: writers wait because of it, and \
             it has read only {read} bytes in {} seconds",
            name(core, client),
            timeout_ms / 1000
        );
        core.close(client);
    }
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
        group.whole.add(|whole| whole.extend_from_slice(&bytes));
        let bytes_max = core.config.output_limit("slave").0;
        if bytes_max > 0 && group.whole.bytes > bytes_max {
            group.whole = Gathered::default();
            tracing::warn!(
                "A full synchronisation is given up: its replicas do not understand 'capa eof', \
                 and the snapshot that had to be gathered for them has more bytes than their \
                 output buffer limit ({bytes_max}) allows"
            );
            close_members(core, run);
        }
        return;
    };
    let bytes = Arc::new(bytes);
    let header = (!std::mem::replace(&mut group.begun, true))
        .then(|| [b"$EOF:", &mark[..], b"\r\n"].concat());
    for client in clients {
        if let Some(header) = &header {
            push(core, client, header.clone());
        }
        push_shared(core, client, Arc::clone(&bytes));
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
    let mut whole = std::mem::take(&mut group.whole);
    let offset = group.offset;
    let (head, rest) = match group.mark {
        Some(mark) => (mark.to_vec(), Vec::new()),
        None => (format!("${}\r\n", whole.bytes).into_bytes(), whole.share()),
    };
    for client in clients {
        push(core, client, head.clone());
        rest.iter().for_each(|piece| push_shared(core, client, Arc::clone(piece)));
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
