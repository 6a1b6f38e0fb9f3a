//! One job of CLUSTER MIGRATESLOTS, from its first slot to its last, on a thread of its own.
//!
//! The slots move a *group* at a time: as many neighbours as have about a thousand keys together.
//! A group is small, because keys of a half-moved slot stand on two nodes, and it is more than one
//! slot, because each group costs four writes to disk:
//!
//!   1 target: IMPORTING   2 source: MIGRATING   3 keys   4 target: claim   5 source: give up
//!
//! Whatever dies between two steps, the slots have one owner, and a new job repeats the steps:
//! marks that stand are set again, keys that arrived twice are replaced by the source's (which is
//! right, for a key that is still at the source has not changed anywhere else), and slots that the
//! target owns already are passed over. Connections that break are opened again for a while, with
//! the batch locked, so that no key changes while nobody knows whether it has arrived.
//!
//! Not known here: how the core packs keys, how the value changes owners.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use holdfast_cluster::command::{ClusterCommand, SlotChange};
use holdfast_cluster::{CommandFacts, Reply};
use holdfast_wire::resp::Value;
use holdfast_wire::slot::{Slot, SlotSet};

use super::jobs::{Job, JobState};
use super::mover::restore;
use super::peer::{Credentials, Peer, PeerError};
use super::{Batch, KeyOrder, contexts};
use crate::bus::{Asker, FromBus, ToBus};
use crate::clock::unix_ms;
use crate::config::Name;
use crate::messages::{Outbox, ToCore};
use crate::shared::Shared;

/// Why a batch is refused while the cluster or a client has paused writes: it will pass.
pub(super) const PAUSED: &str = "writes are paused";

/// The order by which the target becomes the owner.
const CLAIM: &str = "CLAIMSLOTS";

/// Keys of a group of slots, about.
const GROUP_KEYS: u64 = 1000;

/// Slots of a group, at most: each is a mark in two nodes' nodes.conf.
const GROUP_SLOTS_MAX: u16 = 256;

/// How long an answer of the target is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// How long the target may take to make a change of slots durable: no key is locked meanwhile, and
/// a disk that others use may keep it waiting for longer than a client would.
const SLOTS_PATIENCE: Duration = Duration::from_secs(20);

/// How long the routing may take to show what the cluster value has decided.
const ROUTING_PATIENCE: Duration = Duration::from_secs(1);

/// How long a broken connection is opened again.
const RECONNECT_FOR: Duration = Duration::from_secs(3);

/// How long this node's own threads may take to answer: a core may load or run a script.
const OWN_PATIENCE: Duration = Duration::from_mins(1);

/// How long the target's replica may take to have what the target has.
const REPLICA_PATIENCE_MS: &str = "300";

/// After a replica was too slow it is not waited for during so many batches.
const REPLICA_REST: u32 = 50;

/// The ways to this node's threads.
pub(super) struct Road {
    pub(super) shared: Arc<Shared>,
    pub(super) to_core: Outbox<ToCore>,
    pub(super) to_bus: Outbox<ToBus>,
}

/// Why a job ended early.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("cancelled")]
    Cancelled,
    #[error("{0}")]
    Peer(#[from] PeerError),
    #[error("failed to {what}: {reason}")]
    Refused { what: &'static str, reason: String },
    #[error("failed to hear from this node's own threads")]
    Deaf,
}

/// Starts the job's thread.
pub(super) fn start(job: Arc<Job>, road: Road) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("migrate-slots".to_owned());
    thread.spawn(move || run(&job, road)).map(drop)
}

fn run(job: &Arc<Job>, road: Road) {
    tracing::info!(
        "Slot migration {} begins: {} slots to node {}.",
        job.name,
        job.slots.len(),
        job.target
    );
    let mut runner = Runner { job, road, peer: None, replica_rest: 0, must_keep_marks: false };
    let (state, reason) = match runner.move_all() {
        Ok(()) => (JobState::Success, String::new()),
        Err(JobError::Cancelled) => (JobState::Cancelled, String::new()),
        Err(error) => (JobState::Failed, error.to_string()),
    };
    if state == JobState::Failed {
        tracing::warn!("Slot migration {} failed: {reason}.", job.name);
    } else {
        let moved = job.keys_moved.load(Relaxed);
        tracing::info!("Slot migration {} ended after {moved} keys.", job.name);
    }
    job.ended(state, reason);
}

struct Runner<'a> {
    job: &'a Job,
    road: Road,
    peer: Option<Peer>,
    replica_rest: u32,
    /// The target may have keys of the group, or own its slots: marks here must stay.
    must_keep_marks: bool,
}

impl Runner<'_> {
    fn move_all(&mut self) -> Result<(), JobError> {
        let here = self.slots_here();
        let counts = self.ask_core(|reply| KeyOrder::Count { slots: here, reply })?;
        let total = counts.iter().map(|(_, keys)| keys).sum();
        self.job.keys_total.store(total, Relaxed);
        for group in group(&counts) {
            if self.job.is_cancelled() {
                return Err(JobError::Cancelled);
            }
            // Those that stand are of a job whose last word the target may have, and not answered.
            self.must_keep_marks = self.any_marked(&group);
            if let Err(error) = self.move_group(&group) {
                self.leave_in_order(&group);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Slots of the job that this node still owns.
    fn slots_here(&self) -> SlotSet {
        let routing = self.road.shared.bus.routing();
        self.job.slots.intersection(&routing.slots_of(self.job.source))
    }

    fn any_marked(&self, slots: &SlotSet) -> bool {
        let routing = self.road.shared.bus.routing();
        slots.iter().any(|slot| routing.migrating_to(slot).is_some())
    }

    /// Marks slots here; gives those that are marked. A claim that an earlier job sent without
    /// hearing an answer may count at any time: slots that are over there are done.
    fn mark(&self, slots: &SlotSet) -> Result<SlotSet, JobError> {
        let begin = Instant::now();
        loop {
            let slots = slots.intersection(&self.slots_here());
            if slots.is_empty() {
                return Ok(slots);
            }
            let Err(error) = self.change_here(&slots, SlotChange::Migrating(self.job.target))
            else {
                return Ok(slots);
            };
            while slots.difference(&self.slots_here()).is_empty() {
                if begin.elapsed() >= ROUTING_PATIENCE {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn move_group(&mut self, slots: &SlotSet) -> Result<(), JobError> {
        let (source, target) = (self.job.source, self.job.target);
        self.tell_target("IMPORTSLOTS", slots)?;
        let slots = &self.mark(slots)?;
        if slots.is_empty() {
            return Ok(());
        }
        let paused_since = Instant::now();
        loop {
            let batch: Batch = {
                let slots = slots.clone();
                self.ask_core(|reply| KeyOrder::Take { slots, reply })?
            };
            match &batch.refused {
                Some(reason) if reason == PAUSED && paused_since.elapsed() < OWN_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some(reason) => {
                    let reason = reason.clone();
                    return Err(JobError::Refused { what: "pack keys", reason });
                }
                None if batch.keys.is_empty() && batch.gone.is_empty() => break,
                None => self.move_batch(batch)?,
            }
        }
        tracing::debug!("Node {target} claims {} slots of node {source}.", slots.len());
        self.tell_target(CLAIM, slots)?;
        self.must_keep_marks = true;
        self.change_here(slots, SlotChange::Node(target))
    }

    /// Sends a batch until the target has it, then lets the core delete it. Whatever happens, the
    /// lock is opened.
    fn move_batch(&mut self, batch: Batch) -> Result<(), JobError> {
        let mut arrived = Vec::new();
        let outcome = self.send_batch(&batch, &mut arrived);
        let bytes = |at: &usize| batch.keys.get(*at).map_or(0, |one| one.bytes() as u64);
        let keys = arrived.iter().filter(|at| **at < batch.keys.len()).count() as u64;
        let bytes = arrived.iter().map(bytes).sum();
        let (lock, unsure) = (batch.lock, outcome.is_err());
        self.ask_core(|reply| KeyOrder::Finish { lock, arrived, unsure, reply })?;
        self.must_keep_marks |= keys > 0;
        self.job.keys_moved.fetch_add(keys, Relaxed);
        self.job.bytes_moved.fetch_add(bytes, Relaxed);
        let now_ms = unix_ms();
        self.job.updated_ms.store(now_ms, Relaxed);
        if keys > 0 {
            self.job.acked_ms.store(now_ms, Relaxed);
        }
        match outcome? {
            None => Ok(()),
            Some(reason) => Err(JobError::Refused { what: "restore a key at the target", reason }),
        }
    }

    fn send_batch(
        &mut self,
        batch: &Batch,
        arrived: &mut Vec<usize>,
    ) -> Result<Option<String>, PeerError> {
        let begin = Instant::now();
        loop {
            arrived.clear();
            let result = self.peer().and_then(|peer| {
                let refusal = restore(peer, &batch.keys, true, arrived)?;
                erase(peer, &batch.gone, batch.keys.len(), arrived)?;
                Ok(refusal)
            });
            match result {
                Ok(refusal) => {
                    self.wait_for_a_replica();
                    return Ok(refusal);
                }
                Err(error) => {
                    self.peer = None;
                    arrived.clear();
                    if begin.elapsed() >= RECONNECT_FOR {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// A key that was safe on two nodes should not be on one alone: before it is deleted here, a
    /// replica of the target has it, if there is one that keeps up.
    fn wait_for_a_replica(&mut self) {
        let routing = self.road.shared.bus.routing();
        let has_replica =
            routing.nodes.iter().any(|n| n.primary == Some(self.job.target) && !n.failed);
        if !has_replica || self.replica_rest > 0 {
            self.replica_rest = self.replica_rest.saturating_sub(1);
            return;
        }
        let Some(peer) = &mut self.peer else { return };
        let waited = peer.call(&["WAIT", "1", REPLICA_PATIENCE_MS]);
        if !matches!(waited, Ok(Value::Integer(1..))) {
            self.replica_rest = REPLICA_REST;
        }
        if matches!(waited, Err(PeerError::Broken(_))) {
            self.peer = None;
        }
    }

    /// The connection to the target's client port, at the address that the cluster knows now.
    fn peer(&mut self) -> Result<&mut Peer, PeerError> {
        if self.peer.is_none() {
            let unknown = |reason: &str| PeerError::Connect {
                address: self.job.target.to_string(),
                reason: reason.to_owned(),
            };
            let state = self.road.shared.bus.state();
            let target = self.job.target.to_string();
            let known = state.peers.iter().find(|peer| peer.node_id == target);
            let known = known.ok_or_else(|| unknown("the node is not known any more"))?;
            if known.fail {
                return Err(unknown("the node is marked as failed"));
            }
            let credentials = credentials(&self.road.shared);
            let contexts = contexts(&self.road.shared);
            let names = (known.address.as_str(), known.hostname.as_str());
            let peer =
                Peer::open(names, known.port, contexts.as_deref(), &credentials, ANSWER_PATIENCE)?;
            return Ok(self.peer.insert(peer));
        }
        self.peer.as_mut().ok_or_else(|| PeerError::Broken("the connection is gone".to_owned()))
    }

    /// An internal command about slots, repeated while the connection breaks: it may be sent twice.
    fn tell_target(&mut self, name: &str, slots: &SlotSet) -> Result<(), JobError> {
        let mut words: Vec<String> =
            vec!["HOLDFAST".to_owned(), name.to_owned(), self.job.source.to_string()];
        for (start, end) in slots.ranges() {
            words.extend([start.to_string(), end.to_string()]);
        }
        let begin = Instant::now();
        loop {
            let called = self.peer().and_then(|peer| {
                peer.set_patience(SLOTS_PATIENCE);
                let answer = peer.call(&words);
                peer.set_patience(ANSWER_PATIENCE);
                answer
            });
            let error = match called {
                Ok(_) => return Ok(()),
                Err(error @ PeerError::Refused(_)) => return Err(error.into()),
                Err(error) => error,
            };
            // A claim without an answer may count later: what was written here meanwhile, had the
            // marks gone, would be lost with the slots.
            self.must_keep_marks |= name == CLAIM && matches!(error, PeerError::Broken(_));
            self.peer = None;
            if begin.elapsed() >= RECONNECT_FOR || self.job.is_cancelled() {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn change_here(&self, slots: &SlotSet, change: SlotChange) -> Result<(), JobError> {
        let (sender, answers) = channel();
        self.road.to_bus.send(ToBus::Command {
            asker: Asker::Thread(sender),
            command: ClusterCommand::SetSlots { slots: slots.clone(), change },
            // The core has said that the slots are empty, and the marks keep them so.
            facts: CommandFacts::default(),
        });
        let answer: Result<Reply, String> =
            answers.recv_timeout(OWN_PATIENCE).map_err(|_| JobError::Deaf)?;
        answer
            .map(drop)
            .map_err(|reason| JobError::Refused { what: "change the slots here", reason })
    }

    /// A group of which no key has moved needs no marks: without them the source alone serves it,
    /// new keys included. With keys on both sides, or a claim on its way, the marks must stay, and
    /// a new job goes on.
    fn leave_in_order(&mut self, slots: &SlotSet) {
        if self.must_keep_marks {
            return;
        }
        let still_here = slots.intersection(&self.slots_here());
        if let Err(error) = self.change_here(&still_here, SlotChange::Stable) {
            tracing::warn!("Slot migration {} left its marks: {error}.", self.job.name);
        }
        // Over there the marks do no harm; they go if the target can be told.
        for slot in still_here.iter() {
            let Some(peer) = &mut self.peer else { return };
            let words = ["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"];
            if let Err(PeerError::Broken(_)) = peer.call(&words) {
                self.peer = None;
            }
        }
    }

    fn ask_core<T>(&self, order: impl FnOnce(Sender<T>) -> KeyOrder) -> Result<T, JobError> {
        let (sender, answers) = channel();
        self.road.to_core.send(ToCore::Bus(FromBus::Keys(order(sender))));
        match answers.recv_timeout(OWN_PATIENCE) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(JobError::Deaf),
        }
    }
}

/// Deletes copies of keys that are gone here; their places in the batch begin at `first`.
fn erase(
    peer: &mut Peer,
    gone: &[Vec<u8>],
    first: usize,
    arrived: &mut Vec<usize>,
) -> Result<(), PeerError> {
    for (n, key) in gone.iter().enumerate() {
        peer.call(&["ASKING"])?;
        peer.call(&[b"DEL", &key[..]])?;
        arrived.push(first + n);
    }
    Ok(())
}

/// How this node proves itself to other nodes' client ports.
pub(crate) fn credentials(shared: &Shared) -> Credentials {
    let config = shared.config.load();
    let (user, password) = (config.text(Name::Masteruser), config.text(Name::Masterauth));
    Credentials {
        user: user.as_bytes().to_vec(),
        password: (!password.is_empty()).then(|| password.as_bytes().to_vec()),
    }
}

/// Neighbours in the list until they have enough keys together.
fn group(counts: &[(Slot, u64)]) -> Vec<SlotSet> {
    let mut groups = Vec::new();
    let (mut slots, mut keys) = (SlotSet::new(), 0);
    for (slot, count) in counts {
        let full = keys + count > GROUP_KEYS || slots.len() >= GROUP_SLOTS_MAX;
        if full && !slots.is_empty() {
            groups.push(std::mem::take(&mut slots));
            keys = 0;
        }
        slots.insert(*slot);
        keys += count;
    }
    if !slots.is_empty() {
        groups.push(slots);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_small_in_keys_and_in_slots_and_leave_no_slot_out() {
        let counts: Vec<(Slot, u64)> = (0..1000)
            .map(|n| (Slot(n), if n == 7 { 5000 } else { u64::from(n % 3) * 100 }))
            .collect();
        let groups = group(&counts);
        let keys = |slots: &SlotSet| -> u64 {
            slots.iter().map(|slot| counts[usize::from(slot.0)].1).sum()
        };
        for slots in &groups {
            assert!(slots.len() <= GROUP_SLOTS_MAX);
            assert!(slots.len() == 1 || keys(slots) <= GROUP_KEYS, "{:?}", slots.ranges());
        }
        let all = groups.iter().fold(SlotSet::new(), |all, slots| all.union(slots));
        assert_eq!(all.ranges(), [(0, 999)]);
        assert_eq!(groups.iter().map(|slots| u32::from(slots.len())).sum::<u32>(), 1000);
    }
}
