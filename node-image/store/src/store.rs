//! The keyspace: databases of entries, addressed by key.
//!
//!   Store -> database -> slot -> table -> entry (key, value, deadline, cut number, access word)
//!
//! In cluster mode each slot has a table of its own, so that counting, listing, moving, flushing
//! and saving one slot never looks at another; elsewhere a database is a single table. Time is an
//! argument everywhere. What a read or the active cycle finds expired is removed according to the
//! [`ExpiryRule`], and waits in [`Store::take_expired`] for the shell, which sends the DEL to
//! replicas before the effect of the command that met it.
//!
//! Memory is counted as it changes: [`ValueMut`] measures a value before and after.
//!
//! Invariants: the counters of a database are the sums over its tables; no list or hash without
//! elements stays in a table once a command is done.
//!
//! Not known here: commands, effects, who may run them; where the clock comes from.

use std::{
    ops::{Deref, DerefMut},
    sync::atomic::Ordering::Relaxed,
};

use holdfast_wire::slot::{SLOTS, Slot, key_slot};

use crate::{
    access::Tracking,
    cut::Cuts,
    entry::Entry,
    limits::{HashSeed, Limits},
    random::Random,
    table::NEVER,
    value::Value,
};

pub(crate) mod db;
mod expire;
mod flush;
mod walk;

use db::Db;
pub use expire::ExpireProgress;
use flush::Graveyard;
pub use walk::KeyView;

/// The shape of a store; fixed for its life.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// How many databases SELECT knows.
    pub databases: usize,
    /// Whether each slot has a table of its own.
    pub cluster: bool,
    /// The key of all hash tables, and the seed of samples.
    pub seed: HashSeed,
}

/// What happens to a key whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryRule {
    /// It is removed and reported: a primary.
    Delete,
    /// It stays, and looks absent: a replica's clients, or while writes are paused.
    Hide,
    /// It stays, and looks alive: the stream of the primary, and loading.
    Ignore,
}

/// Where a key belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: usize,
    hash: u32,
}

/// The keyspace. See the head of this file.
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    limits: Limits,
    rule: ExpiryRule,
    tracking: Tracking,
    pub(crate) dbs: Vec<Db>,
    pub(crate) cuts: Cuts,
    used_bytes: usize,
    random: Random,
    expired: Vec<(usize, Box<[u8]>)>,
    expired_total: u64,
    expire_cursor: expire::Cursor,
    pub(crate) graveyard: Graveyard,
}

/// A value under change. Its memory is measured again when this goes.
#[derive(Debug)]
pub struct ValueMut<'a> {
    value: &'a mut Value,
    bytes_before: usize,
    slot_bytes: &'a mut usize,
    used_bytes: &'a mut usize,
}

impl Deref for ValueMut<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value
    }
}

impl DerefMut for ValueMut<'_> {
    fn deref_mut(&mut self) -> &mut Value {
        self.value
    }
}

impl Drop for ValueMut<'_> {
    fn drop(&mut self) {
        let bytes_after = self.value.heap_bytes();
        *self.slot_bytes = *self.slot_bytes + bytes_after - self.bytes_before;
        *self.used_bytes = *self.used_bytes + bytes_after - self.bytes_before;
    }
}

impl Store {
    /// An empty store.
    pub fn new(config: StoreConfig) -> Self {
        let slots = if config.cluster { usize::from(SLOTS) } else { 1 };
        let [a, b, c, d, e, f, g, h, ..] = config.seed.0;
        Self {
            config,
            limits: Limits::new(config.seed),
            rule: ExpiryRule::Delete,
            tracking: Tracking::Recency,
            dbs: (0..config.databases).map(|_| Db::new(slots)).collect(),
            cuts: Cuts::default(),
            used_bytes: 0,
            random: Random::new(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            expired: Vec::new(),
            expired_total: 0,
            expire_cursor: expire::Cursor::default(),
            graveyard: Graveyard::default(),
        }
    }

    /// Its shape.
    pub fn config(&self) -> StoreConfig {
        self.config
    }

    /// The thresholds for writes.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the thresholds. The seed stays that of the store.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = Limits { seed: self.config.seed, ..limits };
    }

    /// What happens to expired keys from now on.
    pub fn set_expiry_rule(&mut self, rule: ExpiryRule) {
        self.rule = rule;
    }

    /// What happens to expired keys.
    pub fn expiry_rule(&self) -> ExpiryRule {
        self.rule
    }

    /// What access words mean from now on. Those of existing keys keep the old meaning until
    /// their next use.
    pub fn set_tracking(&mut self, tracking: Tracking) {
        self.tracking = tracking;
    }

    /// What access words mean.
    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// The store's random numbers, for commands that sample.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// An estimate of all memory of keys and values.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// How many keys a database has, those included whose time has come unnoticed.
    pub fn len(&self, db: usize) -> usize {
        self.dbs.get(db).map_or(0, |db| db.len)
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.dbs.iter().all(|db| db.len == 0)
    }

    /// How many keys of a database have an expiry.
    pub fn expiring(&self, db: usize) -> usize {
        self.dbs.get(db).map_or(0, |db| db.expiring)
    }

    fn place(&self, key: &[u8]) -> Place {
        let slot = if self.config.cluster { usize::from(key_slot(key).0) } else { 0 };
        Place { slot, hash: self.config.seed.hash(key) }
    }

    fn entry(&self, db: usize, place: Place, key: &[u8]) -> Option<&Entry> {
        self.dbs.get(db)?.find(place.slot, place.hash, key)
    }

    /// Whether the key is there for the caller; removes it when its time has come and the rule
    /// says so.
    fn is_live(&mut self, db: usize, place: Place, key: &[u8], now_ms: i64) -> bool {
        let Some(entry) = self.entry(db, place, key) else { return false };
        if !entry.is_expired(now_ms) {
            return true;
        }
        match self.rule {
            ExpiryRule::Ignore => true,
            ExpiryRule::Hide => false,
            ExpiryRule::Delete => {
                self.expire(db, place, key);
                false
            }
        }
    }

    /// Whether a key exists. Not a use of it.
    pub fn contains(&mut self, db: usize, key: &[u8], now_ms: i64) -> bool {
        let place = self.place(key);
        self.is_live(db, place, key, now_ms)
    }

    /// The value of a key, which counts as used.
    pub fn get(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return None;
        }
        let entry = self.dbs.get(db)?.find(place.slot, place.hash, key)?;
        let word = entry.access.load(Relaxed);
        entry.access.store(self.tracking.used(word, now_ms, &mut self.random), Relaxed);
        Some(&entry.value)
    }

    /// The value of a key, which does not count as used.
    pub fn get_quietly(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return None;
        }
        self.entry(db, place, key).map(|entry| &entry.value)
    }

    /// The value of a key through a shared reference, for commands that look at several keys at
    /// once after each was asked for by [`Store::get`]. Expired keys look absent.
    pub fn peek(&self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let entry = self.entry(db, self.place(key), key)?;
        let hidden = entry.is_expired(now_ms) && self.rule != ExpiryRule::Ignore;
        (!hidden).then_some(&entry.value)
    }

    /// The value of a key, to be changed. The caller must remove the key when it leaves a list
    /// or a hash without elements.
    pub fn get_mut(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<ValueMut<'_>> {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return None;
        }
        let slot = self.dbs.get_mut(db)?.table_mut(place.slot)?;
        let entry = slot.table.find_mut(place.hash, |entry| *entry.key == *key)?;
        self.cuts.before_change(db, place.slot, entry);
        entry.cut = self.cuts.now();
        let word = self.tracking.used(entry.access.load(Relaxed), now_ms, &mut self.random);
        entry.access.store(word, Relaxed);
        Some(ValueMut {
            bytes_before: entry.value.heap_bytes(),
            value: &mut entry.value,
            slot_bytes: &mut slot.bytes,
            used_bytes: &mut self.used_bytes,
        })
    }

    /// Sets a key, whatever it held. The old value goes without a pause even when it is large.
    pub fn insert(
        &mut self,
        db: usize,
        key: &[u8],
        value: Value,
        expiry_ms: Option<i64>,
        now_ms: i64,
    ) {
        let place = self.place(key);
        let deadline_ms = expiry_ms.unwrap_or(NEVER);
        let Some(target) = self.dbs.get_mut(db) else { return };
        if let Some(entry) = target.find(place.slot, place.hash, key) {
            let used = self.tracking.used(entry.access.load(Relaxed), now_ms, &mut self.random);
            entry.access.store(used, Relaxed);
            self.cuts.before_change(db, place.slot, entry);
            self.used_bytes = self.used_bytes + value.heap_bytes() - entry.value.heap_bytes();
            let cut = self.cuts.now();
            target.set_deadline(place.slot, place.hash, key, deadline_ms, cut);
            if let Some(old) = target.replace(place.slot, place.hash, key, value) {
                self.graveyard.bury_value(old);
            }
            return;
        }
        let entry = Entry {
            key: key.into(),
            value,
            deadline_ms,
            hash: place.hash,
            cut: self.cuts.now(),
            access: self.tracking.fresh(now_ms).into(),
        };
        self.used_bytes += entry.bytes();
        target.insert(place.slot, entry);
    }

    fn remove_at(&mut self, db: usize, place: Place, key: &[u8]) -> Option<Entry> {
        if self.cuts.is_running()
            && let Some(entry) = self.dbs.get(db)?.find(place.slot, place.hash, key)
        {
            self.cuts.before_change(db, place.slot, entry);
        }
        let entry = self.dbs.get_mut(db)?.remove(place.slot, place.hash, key)?;
        self.used_bytes -= entry.bytes();
        Some(entry)
    }

    /// Takes a key out, with its value and its expiry.
    pub fn take(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<(Value, Option<i64>)> {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return None;
        }
        let entry = self.remove_at(db, place, key)?;
        let expiry_ms = entry.expiry_ms();
        Some((entry.value, expiry_ms))
    }

    /// Removes a key; false when there is none. Large values are freed by [`Store::reclaim`].
    pub fn remove(&mut self, db: usize, key: &[u8], now_ms: i64) -> bool {
        match self.take(db, key, now_ms) {
            Some((value, _)) => {
                self.graveyard.bury_value(value);
                true
            }
            None => false,
        }
    }

    /// Removes a key when it holds a list or a hash without elements; true when it did.
    pub fn remove_if_empty(&mut self, db: usize, key: &[u8]) -> bool {
        let place = self.place(key);
        let empty =
            self.entry(db, place, key).is_some_and(|entry| entry.value.is_empty_collection());
        empty && self.remove_at(db, place, key).is_some()
    }

    /// When a key expires, in milliseconds of Unix time: `None` without the key, `Some(None)`
    /// without an expiry.
    #[allow(clippy::option_option)] // Both layers are answers of TTL.
    pub fn expiry_ms(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<Option<i64>> {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return None;
        }
        self.entry(db, place, key).map(Entry::expiry_ms)
    }

    /// Sets or clears the expiry of a key; false when there is no such key. A time in the past is
    /// allowed: the key goes at the next look.
    pub fn set_expiry(
        &mut self,
        db: usize,
        key: &[u8],
        expiry_ms: Option<i64>,
        now_ms: i64,
    ) -> bool {
        let place = self.place(key);
        if !self.is_live(db, place, key, now_ms) {
            return false;
        }
        let Some(target) = self.dbs.get_mut(db) else { return false };
        if let Some(entry) = target.find(place.slot, place.hash, key) {
            self.cuts.before_change(db, place.slot, entry);
        }
        let deadline_ms = expiry_ms.unwrap_or(NEVER);
        target.set_deadline(place.slot, place.hash, key, deadline_ms, self.cuts.now())
    }

    /// Seconds since the last use of a key. Not a use of it.
    pub fn idle_s(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<u64> {
        let place = self.place(key);
        let tracking = self.tracking;
        let entry = self.entry(db, place, key)?;
        Some(tracking.idle_s(entry.access.load(Relaxed), now_ms))
    }

    /// The logarithmic counter of uses of a key. Not a use of it.
    pub fn frequency(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<u8> {
        let entry = self.entry(db, self.place(key), key)?;
        Some(self.tracking.frequency(entry.access.load(Relaxed), now_ms))
    }

    /// Makes a key look as if it had not been used for so long.
    pub fn set_idle_s(&mut self, db: usize, key: &[u8], idle_s: u64, now_ms: i64) {
        if let Some(entry) = self.entry(db, self.place(key), key) {
            entry.access.store(Tracking::with_idle(now_ms, idle_s), Relaxed);
        }
    }

    /// Sets the counter of uses of a key.
    pub fn set_frequency(&mut self, db: usize, key: &[u8], counter: u8, now_ms: i64) {
        if let Some(entry) = self.entry(db, self.place(key), key) {
            entry.access.store(Tracking::with_frequency(now_ms, counter), Relaxed);
        }
    }

    /// An estimate of the memory of one key with its value.
    pub fn entry_bytes(&self, db: usize, key: &[u8]) -> Option<usize> {
        self.entry(db, self.place(key), key).map(Entry::bytes)
    }

    /// How many keys a slot has, in all databases. 0 outside of cluster mode.
    pub fn slot_len(&self, slot: Slot) -> usize {
        self.slot_sum(slot, |table| table.table.len())
    }

    /// An estimate of the memory of a slot.
    pub fn slot_bytes(&self, slot: Slot) -> usize {
        self.slot_sum(slot, |table| table.bytes)
    }

    fn slot_sum(&self, slot: Slot, count: impl Fn(&db::SlotTable) -> usize) -> usize {
        if !self.config.cluster {
            return 0;
        }
        let tables = self.dbs.iter().filter_map(|db| db.table(usize::from(slot.0)));
        tables.map(count).sum()
    }
}

#[cfg(test)]
mod tests;
