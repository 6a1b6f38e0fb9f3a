//! Looking at many keys: SCAN, KEYS, a slot's keys, a random key.
//!
//! A cursor of SCAN is a slot and a place in its table:
//!
//!   bits 0..14  the slot (cluster mode only)      above  the table's cursor, see `table.rs`
//!
//! Not known here: patterns and types; commands filter what they are shown.

use std::borrow::Cow;

use holdfast_wire::slot::Slot;

use super::{ExpiryRule, Store};
use crate::{
    entry::{Content, Entry},
    value::{Value, ValueType},
};

const SLOT_BITS: u32 = 14;

/// A key as a walk shows it.
#[derive(Clone, Copy, Debug)]
pub struct KeyView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// When it expires, in milliseconds of Unix time.
    pub expiry_ms: Option<i64>,
    entry: &'a Entry,
}

impl<'a> From<&'a Entry> for KeyView<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self { key: entry.key(), expiry_ms: entry.expiry_ms(), entry }
    }
}

impl<'a> KeyView<'a> {
    /// Its value; a short string is copied, a collection never.
    pub fn value(&self) -> Cow<'a, Value> {
        self.entry.value()
    }

    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match self.entry.content() {
            Content::Value(value) => value.value_type(),
            Content::Int(_) | Content::Text(..) => ValueType::String,
        }
    }
}

impl KeyView<'_> {
    /// Whether its time has come.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expiry_ms.is_some_and(|expiry_ms| now_ms > expiry_ms)
    }
}

impl Store {
    /// Shows the keys at a cursor, at least one bucket and about `steps` buckets in all, and tells
    /// the next cursor; 0 after the last. Start with 0. Every key that is there from the first
    /// call to the last is shown at least once; expired ones are shown as well.
    pub fn scan(
        &self,
        db: usize,
        cursor: u64,
        steps: usize,
        mut show: impl FnMut(KeyView<'_>),
    ) -> u64 {
        let Some(db) = self.dbs.get(db) else { return 0 };
        let slot_bits = if self.config.cluster { SLOT_BITS } else { 0 };
        let mut slot = (cursor & ((1 << slot_bits) - 1)) as usize;
        let mut place = (cursor >> slot_bits) as u32;
        let mut left = steps;
        while slot < db.slots.len() {
            if let Some(table) = db.table(slot) {
                if left == 0 {
                    return u64::from(place) << slot_bits | slot as u64;
                }
                left -= 1;
                place = table.table.scan(place, |entry| show(entry.into()));
            } else {
                place = 0;
            }
            if place == 0 {
                slot += 1;
            }
        }
        0
    }

    /// Every key of a database, expired ones included.
    pub fn keys(&self, db: usize) -> impl Iterator<Item = KeyView<'_>> {
        let tables = self.dbs.get(db).into_iter().flat_map(|db| db.slots.iter().flatten());
        tables.flat_map(|table| table.table.iter()).map(KeyView::from)
    }

    /// Every key of a slot in one database, expired ones included. Nothing outside of cluster
    /// mode.
    pub fn keys_of_slot(&self, db: usize, slot: Slot) -> impl Iterator<Item = KeyView<'_>> {
        let db = if self.config.cluster { self.dbs.get(db) } else { None };
        let table = db.and_then(|db| db.table(usize::from(slot.0)));
        table.into_iter().flat_map(|table| table.table.iter()).map(KeyView::from)
    }

    /// At most `count` keys of a slot of database 0, as CLUSTER GETKEYSINSLOT gives them.
    pub fn keys_in_slot(&self, slot: Slot, count: usize) -> Vec<Box<[u8]>> {
        self.keys_of_slot(0, slot).take(count).map(|view| view.key.into()).collect()
    }

    /// A key of a database, each with the same chance; expired ones are passed by, as far as a
    /// bounded search can tell.
    pub fn random_key(&mut self, db: usize, now_ms: i64) -> Option<Box<[u8]>> {
        let mut drawn = None;
        for _ in 0..100 {
            let mut random = self.random.clone();
            let target = self.dbs.get(db)?;
            let mut index = random.below(target.len.max(1) as u64) as usize;
            let table = target.slots.iter().flatten().find(|table| {
                let here = index < table.table.len();
                index = index.saturating_sub(if here { 0 } else { table.table.len() });
                here
            })?;
            let entry = table.table.random(|| random.next_u64())?;
            let key: Box<[u8]> = entry.key().into();
            let expired = entry.is_expired(now_ms) && self.rule != ExpiryRule::Ignore;
            self.random = random;
            if !expired {
                return Some(key);
            }
            if self.rule == ExpiryRule::Delete {
                let place = self.place(&key);
                self.expire(db, place, &key);
            }
            drawn = Some(key);
        }
        // A replica full of expired keys: better an expired one than a search without end.
        (self.rule == ExpiryRule::Hide).then_some(drawn).flatten()
    }
}
