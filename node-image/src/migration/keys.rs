//! The core's part of a migration: keys are packed and locked, then deleted and unlocked.
//!
//! Everything here is one bounded piece of work of the core's loop. A batch ends at a number of
//! keys, at a number of bytes or when its share of the turn is used up, whichever comes first, but
//! holds at least one key: a value that is larger than a batch travels alone.
//!
//! Not known here: sockets, and why keys move.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use holdfast_wire::slot::{SlotSet, key_slot};

use super::{Batch, Kept, KeyOrder, Packed};
use crate::clients::ClientId;
use crate::commands::{Command, CommandError};
use crate::core::Core;
use crate::keys;
use crate::waiting::runs_a_script;

/// Keys in one batch.
const BATCH_KEYS_MAX: usize = 256;

/// Bytes of values in one batch.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// What MIGRATE says of a key that something wrote while it was on its way.
const CHANGED: &str = "IOERR a key changed while it was on its way; it stays on this node";

/// Time for one batch.
const BATCH_TIME_MAX: Duration = Duration::from_millis(4);

/// Keys that are on their way to another node, and *suspects*: keys that were sent to a target
/// which then fell silent, so that it may have a copy or not.
///
/// A suspect is served here, also when it is deleted here: were its client sent to the target, it
/// might find the old copy alive. The next batch settles the matter: a suspect that is here
/// replaces the copy, one that is gone is deleted over there too.
///
/// Commands that say which keys they write wait for a lock. Some do not say: a script that writes
/// keys it did not name, a client that is woken to move an element to a locked list. What they
/// write becomes *dirty*: the copy that the target has is an old one, so that the key stays here,
/// as a suspect.
#[derive(Debug, Default)]
pub struct Locks {
    next: u64,
    held: BTreeMap<u64, Vec<(usize, Vec<u8>)>>,
    keys: HashSet<(usize, Vec<u8>)>,
    dirty: HashSet<(usize, Vec<u8>)>,
    suspects: HashSet<Vec<u8>>,
}

impl Locks {
    /// True when nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// True when the key is on its way.
    pub fn holds(&self, db: usize, key: &[u8]) -> bool {
        !self.keys.is_empty() && self.keys.contains(&(db, key.to_vec()))
    }

    /// The key has changed, although it may be on its way.
    pub fn touched(&mut self, db: usize, key: &[u8]) {
        if self.holds(db, key) {
            self.dirty.insert((db, key.to_vec()));
        }
    }

    /// All keys of a database have changed; `None`: of all databases.
    pub fn touched_all(&mut self, db: Option<usize>) {
        let hit = self.keys.iter().filter(|(of, _)| db.is_none_or(|db| db == *of));
        self.dirty.extend(hit.cloned());
    }

    /// True when another node may have a copy of the key although it belongs here.
    pub fn is_suspect(&self, key: &[u8]) -> bool {
        !self.suspects.is_empty() && self.suspects.contains(key)
    }

    /// This node is no primary any more: what it suspected means nothing now.
    pub fn forget_suspects(&mut self) {
        self.suspects.clear();
    }

    /// Suspects of these slots.
    fn suspects_in(&self, slots: &SlotSet) -> Vec<Vec<u8>> {
        self.suspects.iter().filter(|key| slots.contains(key_slot(key))).cloned().collect()
    }

    /// Locks keys; gives the number of the lock.
    pub fn lock(&mut self, db: usize, keys: impl Iterator<Item = Vec<u8>>) -> u64 {
        self.next += 1;
        let keys: Vec<(usize, Vec<u8>)> = keys.map(|key| (db, key)).collect();
        self.keys.extend(keys.iter().cloned());
        self.held.insert(self.next, keys);
        self.next
    }

    /// Unlocks; gives the keys in the order in which they were locked, and for each whether it is
    /// dirty.
    fn unlock(&mut self, lock: u64) -> Vec<(usize, Vec<u8>, bool)> {
        let mut unlocked = Vec::new();
        for key in self.held.remove(&lock).unwrap_or_default() {
            self.keys.remove(&key);
            let dirty = self.dirty.remove(&key);
            unlocked.push((key.0, key.1, dirty));
        }
        unlocked
    }
}

/// True when the request would write a key that is on its way, or all keys while some are.
pub(super) fn writes_locked(
    core: &Core,
    id: ClientId,
    command: &'static Command,
    args: &[&[u8]],
) -> bool {
    let Some(client) = core.clients.get(id) else { return false };
    let locks = &core.migrations.locks;
    let touches = |command: &Command, args: &[&[u8]]| {
        let mut hit = matches!(command.name, "flushall" | "flushdb" | "swapdb");
        if (command.is_write() || runs_a_script(command)) && !hit {
            keys::visit(command, args, |at, _| {
                hit |= args.get(at).is_some_and(|key| locks.holds(client.db, key));
            });
        }
        hit
    };
    match &client.multi {
        Some(multi) if command.name == "exec" => multi.queued.iter().any(|(command, args)| {
            touches(command, &args.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }),
        // What only joins a transaction writes nothing yet.
        Some(_) => false,
        None => touches(command, args),
    }
}

/// Carries out what a migration wants of the keyspace.
pub(crate) fn on_order(core: &mut Core, order: KeyOrder) {
    match order {
        KeyOrder::Count { slots, reply } => {
            let counts =
                slots.iter().map(|slot| (slot, core.store.slot_len(slot) as u64)).collect();
            let _ = reply.send(counts);
        }
        KeyOrder::Take { slots, reply } => {
            let batch = take(core, &slots);
            let lock = batch.lock;
            if reply.send(batch).is_err() {
                finish(core, lock, &[], false);
            }
        }
        KeyOrder::Finish { lock, arrived, unsure, reply } => {
            finish(core, lock, &arrived, unsure);
            let _ = reply.send(());
        }
        KeyOrder::Delivered { lock, arrived, token, result, connection } => {
            let changed = finish(core, lock, &arrived, false);
            let result = if changed { result.and(Err(CHANGED.to_owned())) } else { result };
            if let Some(Kept(target, peer)) = connection {
                core.migrations.movers.keep(target, *peer);
            }
            core.migrations.movers.ended();
            core.answer(token, |out| match result {
                Ok(()) => out.ok(),
                Err(text) => out.error(&text),
            });
        }
    }
}

fn take(core: &mut Core, slots: &SlotSet) -> Batch {
    let refuse = |reason: &str| Batch { refused: Some(reason.to_owned()), ..Batch::default() };
    if core.replication.is_replica() {
        return refuse("this node became a replica");
    }
    let me = core.routing.my_id;
    if slots.iter().any(|slot| core.routing.owner(slot).is_none_or(|owner| owner.id != me)) {
        return refuse("this node does not own the slots any more");
    }
    if core.pauses.writes_paused(core.now_ms) {
        return refuse(super::job::PAUSED);
    }
    let (begin, mut bytes) = (Instant::now(), 0);
    let mut packed: Vec<Packed> = Vec::new();
    let mut others = false;
    'slots: for slot in slots.iter() {
        for key in core.store.keys_in_slot(slot, BATCH_KEYS_MAX) {
            if core.migrations.locks.holds(0, &key) {
                others = true;
                continue;
            }
            let Some(one) = pack(core, 0, &key) else { continue };
            bytes += one.bytes();
            packed.push(one);
            let full = packed.len() >= BATCH_KEYS_MAX || bytes >= BATCH_BYTES_MAX;
            if full || begin.elapsed() >= BATCH_TIME_MAX {
                break 'slots;
            }
        }
    }
    // Keys whose time was over went while we looked.
    core.end_unit();
    let (now_ms, suspects) = (core.now_ms, core.migrations.locks.suspects_in(slots));
    let gone: Vec<Vec<u8>> =
        suspects.into_iter().filter(|key| !core.store.contains(0, key, now_ms)).collect();
    if packed.is_empty() && gone.is_empty() {
        // A MIGRATE has the last keys on their way: they may yet come back.
        return if others { refuse(super::job::PAUSED) } else { Batch::default() };
    }
    let keys = packed.iter().map(|one| one.key.clone()).chain(gone.iter().cloned());
    let lock = core.migrations.locks.lock(0, keys);
    Batch { lock, keys: packed, gone, refused: None }
}

/// A key as it travels; none when there is no such key.
pub(crate) fn pack(core: &mut Core, db: usize, key: &[u8]) -> Option<Packed> {
    let (now_ms, limits) = (core.now_ms, core.store.limits());
    let expiry = core.store.expiry_ms(db, key, now_ms)?;
    let ttl_ms = expiry.map_or(0, |at| u64::try_from(at - now_ms).unwrap_or(0).max(1));
    let value = core.store.get_quietly(db, key, now_ms)?.clone();
    Some(Packed { key: key.to_vec(), ttl_ms, value, limits })
}

/// Deletes what arrived and unlocks everything; true when something that arrived has changed
/// since and stays. Clients that waited are looked at again by the event loop later in this turn.
fn finish(core: &mut Core, lock: u64, arrived: &[usize], unsure: bool) -> bool {
    let keys = core.migrations.locks.unlock(lock);
    let suspects = &mut core.migrations.locks.suspects;
    if unsure {
        suspects.extend(keys.iter().map(|(_, key, _)| key.clone()));
    }
    let arrived = arrived.iter().filter_map(|at| keys.get(*at));
    let (stay, go): (Vec<_>, Vec<_>) = arrived.partition(|(_, _, dirty)| *dirty);
    for (_, key, _) in &go {
        suspects.remove(key);
    }
    // Slots are there only in a cluster: elsewhere nothing would ever settle a suspicion.
    if core.is_cluster() {
        core.migrations.locks.suspects.extend(stay.iter().map(|(_, key, _)| key.clone()));
    }
    // A node that lost its role meanwhile must not delete: its primary knows better.
    if !core.replication.is_replica() {
        for (db, key, _) in go {
            if core.store.remove(*db, key, core.now_ms) {
                core.record_own_effect(*db, key, &[b"DEL", &key[..]]);
                core.touched(*db, key);
            }
            core.end_unit();
        }
    }
    !stay.is_empty()
}

/// Packs and locks the keys of a MIGRATE. None when none of them exists; an error when one is on
/// its way already.
pub(crate) fn take_named(
    core: &mut Core,
    db: usize,
    keys: &[&[u8]],
) -> Result<Option<Batch>, CommandError> {
    if keys.iter().any(|key| core.migrations.locks.holds(db, key)) {
        return Err(CommandError::new("TRYAGAIN A key is on its way to another node already"));
    }
    let packed: Vec<Packed> = keys.iter().filter_map(|key| pack(core, db, key)).collect();
    if packed.is_empty() {
        return Ok(None);
    }
    let lock = core.migrations.locks.lock(db, packed.iter().map(|one| one.key.clone()));
    Ok(Some(Batch { lock, keys: packed, ..Batch::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_locked_in_its_own_database_until_its_own_lock_is_opened() {
        let mut locks = Locks::default();
        let first = locks.lock(0, [b"a".to_vec(), b"b".to_vec()].into_iter());
        let second = locks.lock(1, [b"a".to_vec()].into_iter());
        assert!(locks.holds(0, b"a") && locks.holds(1, b"a") && !locks.holds(1, b"b"));
        let both = [(0, b"a".to_vec(), false), (0, b"b".to_vec(), false)];
        assert_eq!(locks.unlock(first), both);
        assert!(!locks.holds(0, b"a") && locks.holds(1, b"a"));
        assert_eq!(locks.unlock(first), []);
        locks.unlock(second);
        assert!(locks.is_empty());
    }

    #[test]
    fn a_key_that_changes_under_its_lock_is_dirty_until_the_lock_is_opened() {
        let mut locks = Locks::default();
        locks.touched(0, b"a");
        let lock = locks.lock(0, [b"a".to_vec(), b"b".to_vec()].into_iter());
        locks.touched(0, b"b");
        locks.touched(1, b"a");
        let keys = [(0, b"a".to_vec(), false), (0, b"b".to_vec(), true)];
        assert_eq!(locks.unlock(lock), keys);
        let lock = locks.lock(0, [b"b".to_vec()].into_iter());
        assert_eq!(locks.unlock(lock), [(0, b"b".to_vec(), false)]);
        let lock = locks.lock(3, [b"b".to_vec()].into_iter());
        locks.touched_all(Some(2));
        assert!(locks.dirty.is_empty());
        locks.touched_all(None);
        assert_eq!(locks.unlock(lock), [(3, b"b".to_vec(), true)]);
    }

    #[test]
    fn suspects_are_named_by_slot_until_they_mean_nothing() {
        let mut locks = Locks::default();
        locks.suspects.insert(b"foo".to_vec());
        assert!(locks.is_suspect(b"foo") && !locks.is_suspect(b"bar"));
        assert_eq!(locks.suspects_in(&SlotSet::from_ranges(&[(12182, 12182)])), [b"foo"]);
        assert_eq!(locks.suspects_in(&SlotSet::from_ranges(&[(0, 100)])), Vec::<Vec<u8>>::new());
        locks.forget_suspects();
        assert!(!locks.is_suspect(b"foo"));
    }
}
