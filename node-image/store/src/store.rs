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

use std::borrow::Cow;

use holdfast_wire::slot::{SLOTS, Slot, key_slot};

use crate::{
    access::Tracking,
    cut::Cuts,
    entry::{Content, Entry, Fresh},
    limits::{HashSeed, Limits},
    random::Random,
    string::StringValue,
    table::{NEVER, keys::At},
    value::Value,
};

pub(crate) mod db;
mod expire;
mod flush;
mod read;
mod value_mut;
mod walk;

use db::Db;
pub use expire::ExpireProgress;
use flush::Graveyard;
pub use read::{LOOK_AHEAD_MAX, NoString};
use value_mut::Held;
pub use value_mut::ValueMut;
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
    /// Of entries with their values.
    entry_bytes: usize,
    /// The copy of a string that lies in its entry, for who wants it as a value.
    copied: Value,
    random: Random,
    expired: Vec<(usize, Box<[u8]>)>,
    expired_total: u64,
    expire_cursor: expire::Cursor,
    pub(crate) graveyard: Graveyard,
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
            dbs: (0..config.databases).map(|id| Db::new(id, slots)).collect(),
            cuts: Cuts::default(),
            entry_bytes: 0,
            copied: StringValue::Int(0).into(),
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

    /// All memory of keys, values and the tables that hold them, as the allocator rounds it;
    /// within large values an estimate.
    pub fn used_bytes(&self) -> usize {
        self.entry_bytes + self.dbs.iter().map(|db| db.table_bytes).sum::<usize>()
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

    /// Where the key is, if it is there for the caller; removes it when its time has come and the
    /// rule says so.
    fn live(&mut self, db: usize, place: Place, key: &[u8], now_ms: i64) -> Option<At> {
        let target = self.dbs.get(db)?;
        let at = target.locate(place.slot, place.hash, key)?;
        if !target.at(place.slot, at)?.is_expired(now_ms) {
            return Some(at);
        }
        match self.rule {
            ExpiryRule::Ignore => Some(at),
            ExpiryRule::Hide => None,
            ExpiryRule::Delete => {
                self.expire(db, place, key);
                None
            }
        }
    }

    /// Whether a key exists. Not a use of it.
    pub fn contains(&mut self, db: usize, key: &[u8], now_ms: i64) -> bool {
        let place = self.place(key);
        self.live(db, place, key, now_ms).is_some()
    }

    /// The value of a key, which counts as used.
    pub fn get(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let place = self.place(key);
        let at = self.live(db, place, key, now_ms)?;
        let entry = self.dbs.get(db)?.at(place.slot, at)?;
        entry.set_access(self.tracking.used(entry.access(), now_ms, &mut self.random));
        Some(as_value(entry, &mut self.copied))
    }

    /// The value of a key, which does not count as used.
    pub fn get_quietly(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let place = self.place(key);
        let at = self.live(db, place, key, now_ms)?;
        let entry = self.dbs.get(db)?.at(place.slot, at)?;
        Some(as_value(entry, &mut self.copied))
    }

    /// The collection of a key through a shared reference, for commands that look at several keys
    /// at once after each was asked for by [`Store::get`]. Expired keys look absent, and so do
    /// strings, which may have no [`Value`] to be shown.
    pub fn peek(&self, db: usize, key: &[u8], now_ms: i64) -> Option<&Value> {
        let entry = self.entry(db, self.place(key), key)?;
        let hidden = entry.is_expired(now_ms) && self.rule != ExpiryRule::Ignore;
        match entry.content() {
            Content::Value(value) if !hidden && !matches!(value, Value::String(_)) => Some(value),
            _ => None,
        }
    }

    /// The value of a key, to be changed. The caller must remove the key when it leaves a list
    /// or a hash without elements.
    pub fn get_mut(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<ValueMut<'_>> {
        let place = self.place(key);
        let at = self.live(db, place, key, now_ms)?;
        let target = self.dbs.get_mut(db)?;
        let id = target.id;
        let slot = target.table_mut(place.slot)?;
        let entry = slot.table.at_mut(at)?;
        self.cuts.before_change(id, place.slot, place.hash, entry);
        entry.set_cut(self.cuts.now());
        entry.set_access(self.tracking.used(entry.access(), now_ms, &mut self.random));
        let bytes_before = entry.bytes();
        let own_bytes = entry.own_bytes();
        let (held, bytes_before) = match entry.value_mut() {
            Ok(value) => (Held::InPlace(value), bytes_before - own_bytes),
            Err(entry) => (Held::Copied(entry.value().into_owned(), entry), bytes_before),
        };
        let (slot_bytes, entry_bytes) = (&mut slot.bytes, &mut self.entry_bytes);
        Some(ValueMut { held, bytes_before, slot_bytes, entry_bytes })
    }

    /// Sets a key, whatever it held. The old value goes without a pause even when it is large.
    pub fn insert(
        &mut self,
        db: usize,
        key: &[u8],
        mut value: Value,
        expiry_ms: Option<i64>,
        now_ms: i64,
    ) {
        self.write(db, key, Fresh::of(&mut value), expiry_ms, now_ms);
    }

    /// The same for a string in its best form; a short one is copied into its entry at once.
    pub fn insert_text(
        &mut self,
        db: usize,
        key: &[u8],
        text: &[u8],
        expiry_ms: Option<i64>,
        now_ms: i64,
    ) {
        self.write(db, key, Fresh::text(text), expiry_ms, now_ms);
    }

    fn write(
        &mut self,
        db: usize,
        key: &[u8],
        fresh: Fresh<'_>,
        expiry_ms: Option<i64>,
        now_ms: i64,
    ) {
        let place = self.place(key);
        let deadline_ms = expiry_ms.unwrap_or(NEVER);
        let Some(target) = self.dbs.get_mut(db) else { return };
        let cut = self.cuts.now();
        if let Some(at) = target.locate(place.slot, place.hash, key) {
            if let Some(entry) = target.at(place.slot, at) {
                self.cuts.before_change(target.id, place.slot, place.hash, entry);
                entry.set_access(self.tracking.used(entry.access(), now_ms, &mut self.random));
                entry.set_cut(cut);
            }
            if let Some(replaced) = target.replace(place.slot, place.hash, at, fresh, deadline_ms) {
                self.entry_bytes = self.entry_bytes + replaced.after - replaced.before;
                if let Some(old) = replaced.value {
                    self.graveyard.bury_value(old);
                }
            }
            return;
        }
        let entry = Entry::new(key, fresh, deadline_ms, place.hash);
        entry.set_cut(cut);
        entry.set_access(self.tracking.fresh(now_ms));
        self.entry_bytes += entry.bytes();
        target.insert(place.slot, place.hash, entry, &self.config.seed);
    }

    fn remove_at(&mut self, db: usize, place: Place, key: &[u8]) -> Option<Entry> {
        let target = self.dbs.get_mut(db)?;
        if self.cuts.is_running()
            && let Some(entry) = target.find(place.slot, place.hash, key)
        {
            self.cuts.before_change(target.id, place.slot, place.hash, entry);
        }
        let entry = target.remove(place.slot, place.hash, key)?;
        self.entry_bytes -= entry.bytes();
        Some(entry)
    }

    /// Takes a key out, with its value and its expiry.
    pub fn take(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<(Value, Option<i64>)> {
        let place = self.place(key);
        self.live(db, place, key, now_ms)?;
        let entry = self.remove_at(db, place, key)?;
        let expiry_ms = entry.expiry_ms();
        Some((entry.into_value(), expiry_ms))
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
        let empty = self.entry(db, place, key).is_some_and(Entry::is_empty_collection);
        empty && self.remove_at(db, place, key).is_some()
    }

    /// When a key expires, in milliseconds of Unix time: `None` without the key, `Some(None)`
    /// without an expiry.
    #[allow(clippy::option_option)] // Both layers are answers of TTL.
    pub fn expiry_ms(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<Option<i64>> {
        let place = self.place(key);
        let at = self.live(db, place, key, now_ms)?;
        self.dbs.get(db)?.at(place.slot, at).map(Entry::expiry_ms)
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
        let Some(at) = self.live(db, place, key, now_ms) else { return false };
        let Some(target) = self.dbs.get_mut(db) else { return false };
        if let Some(entry) = target.at(place.slot, at) {
            self.cuts.before_change(target.id, place.slot, place.hash, entry);
            entry.set_cut(self.cuts.now());
        }
        let deadline_ms = expiry_ms.unwrap_or(NEVER);
        match target.set_deadline(place.slot, place.hash, at, deadline_ms) {
            Some((before, after)) => {
                self.entry_bytes = self.entry_bytes + after - before;
                true
            }
            None => false,
        }
    }

    /// Seconds since the last use of a key. Not a use of it.
    pub fn idle_s(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<u64> {
        let place = self.place(key);
        let tracking = self.tracking;
        let entry = self.entry(db, place, key)?;
        Some(tracking.idle_s(entry.access(), now_ms))
    }

    /// The logarithmic counter of uses of a key. Not a use of it.
    pub fn frequency(&mut self, db: usize, key: &[u8], now_ms: i64) -> Option<u8> {
        let entry = self.entry(db, self.place(key), key)?;
        Some(self.tracking.frequency(entry.access(), now_ms))
    }

    /// Makes a key look as if it had not been used for so long.
    pub fn set_idle_s(&mut self, db: usize, key: &[u8], idle_s: u64, now_ms: i64) {
        if let Some(entry) = self.entry(db, self.place(key), key) {
            entry.set_access(Tracking::with_idle(now_ms, idle_s));
        }
    }

    /// Sets the counter of uses of a key.
    pub fn set_frequency(&mut self, db: usize, key: &[u8], counter: u8, now_ms: i64) {
        if let Some(entry) = self.entry(db, self.place(key), key) {
            entry.set_access(Tracking::with_frequency(now_ms, counter));
        }
    }

    /// An estimate of the memory of one key with its value.
    pub fn entry_bytes(&self, db: usize, key: &[u8]) -> Option<usize> {
        self.entry(db, self.place(key), key).map(Entry::bytes)
    }

    /// True when changing the key now would put its old value into a cut's side buffer.
    pub fn is_unsaved(&self, db: usize, key: &[u8]) -> bool {
        let place = self.place(key);
        let Some(target) = self.dbs.get(db) else { return false };
        let entry = target.find(place.slot, place.hash, key);
        entry.is_some_and(|entry| self.cuts.would_take(target.id, place.slot, place.hash, entry))
    }

    /// How many keys a slot has, in all databases. 0 outside of cluster mode.
    pub fn slot_len(&self, slot: Slot) -> usize {
        self.slot_sum(slot, |table| table.table.len())
    }

    /// An estimate of the memory of a slot.
    pub fn slot_bytes(&self, slot: Slot) -> usize {
        self.slot_sum(slot, |table| table.bytes + table.own_bytes())
    }

    fn slot_sum(&self, slot: Slot, count: impl Fn(&db::SlotTable) -> usize) -> usize {
        if !self.config.cluster {
            return 0;
        }
        let tables = self.dbs.iter().filter_map(|db| db.table(usize::from(slot.0)));
        tables.map(count).sum()
    }
}

/// What an entry holds as a value; a string within the entry is copied to `copied`.
fn as_value<'a>(entry: &'a Entry, copied: &'a mut Value) -> &'a Value {
    match entry.value() {
        Cow::Borrowed(value) => value,
        Cow::Owned(value) => {
            *copied = value;
            copied
        }
    }
}

#[cfg(test)]
mod tests;
