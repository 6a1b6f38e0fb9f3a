//! Emptying and exchanging whole slots and databases without a pause.
//!
//! A flush unhooks whole tables in no time and buries them; the graveyard frees what is buried in
//! slices, when the shell has time for it. Large single values go the same way.
//!
//! Not known here: who asked for it.

use std::sync::Arc;

use holdfast_wire::slot::SlotSet;

use super::Store;
use crate::{
    entry::{Content, Entry},
    table::keys::KeyTable,
    value::Value,
};

/// Values with more pieces than this are freed later.
const PIECES_AT_ONCE: usize = 64;

fn is_large(entry: &Entry) -> bool {
    matches!(entry.content(), Content::Value(value) if value.pieces() > PIECES_AT_ONCE)
}

/// What is unhooked and still to be freed.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    /// A running cut may still read some of them; the last to hold one buries it.
    tables: Vec<Arc<KeyTable>>,
    values: Vec<Value>,
}

impl Graveyard {
    /// Frees a value, or keeps it for later when that would take long.
    pub(super) fn bury_value(&mut self, value: Value) {
        if value.pieces() > PIECES_AT_ONCE {
            self.values.push(value);
        }
    }

    /// The same for an entry with its value.
    pub(super) fn bury_entry(&mut self, entry: Entry) {
        if is_large(&entry) {
            self.values.push(entry.into_value());
        }
    }

    /// Keeps a table for later.
    pub(crate) fn bury_table(&mut self, table: Arc<KeyTable>) {
        self.tables.push(table);
    }
}

impl Store {
    /// Removes all keys of a database: how many.
    pub fn flush_db(&mut self, db: usize) -> usize {
        let slots = self.dbs.get(db).map_or(0, |db| db.slots.len());
        (0..slots).map(|slot| self.flush_table(db, slot)).sum()
    }

    /// Removes all keys: how many.
    pub fn flush_all(&mut self) -> usize {
        (0..self.dbs.len()).map(|db| self.flush_db(db)).sum()
    }

    /// Removes all keys of some slots, in all databases: how many. Cluster mode only.
    pub fn flush_slots(&mut self, slots: &SlotSet) -> usize {
        if !self.config.cluster {
            return 0;
        }
        let mut removed = 0;
        for slot in slots.iter() {
            for db in 0..self.dbs.len() {
                removed += self.flush_table(db, usize::from(slot.0));
            }
        }
        removed
    }

    fn flush_table(&mut self, db: usize, slot: usize) -> usize {
        let Some(target) = self.dbs.get_mut(db) else { return 0 };
        let Some(taken) = target.take(slot) else { return 0 };
        self.entry_bytes -= taken.bytes;
        let removed = taken.table.len();
        let table = Arc::new(taken.table);
        self.cuts.before_flush(target.id, slot, &table);
        self.graveyard.bury_table(table);
        removed
    }

    /// Exchanges the keys of two databases; false when one of them does not exist. Running cuts
    /// give out both as they were.
    pub fn swap_dbs(&mut self, left: usize, right: usize) -> bool {
        if left.max(right) >= self.dbs.len() {
            return false;
        }
        if left == right {
            return true;
        }
        self.dbs.swap(left, right);
        true
    }

    /// Takes over all keys of another store of the same shape, as a full sync ends. What was here
    /// goes; running cuts still give it out.
    pub fn adopt(&mut self, other: Self) {
        self.flush_all();
        self.cuts.end_walks();
        self.dbs = other.dbs;
        self.entry_bytes = other.entry_bytes;
        // The entries bring the numbers of the other store's cuts.
        self.cuts.count_on(&other.cuts);
    }

    /// Frees another store's keys later, in slices.
    pub fn bury(&mut self, mut other: Self) {
        other.flush_all();
        self.graveyard.tables.append(&mut other.graveyard.tables);
        self.graveyard.values.append(&mut other.graveyard.values);
    }

    /// Frees some of what was removed, in at most about `budget` pieces: true when there is more.
    pub fn reclaim(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while left > 0 {
            if let Some(value) = self.graveyard.values.last_mut() {
                let freed = value.crumble(left);
                if freed == 0 {
                    self.graveyard.values.pop();
                }
                left = left.saturating_sub(freed.max(1));
            } else if let Some(table) = self.graveyard.tables.last_mut() {
                let values = &mut self.graveyard.values;
                let keep_large = |entry: Entry| {
                    if is_large(&entry) {
                        values.push(entry.into_value());
                    }
                };
                match Arc::get_mut(table).and_then(|table| table.crumble_into(keep_large)) {
                    Some(freed) => left = left.saturating_sub(freed.max(1)),
                    // Nothing is left of it, or a cut reads it and will bury it.
                    None => {
                        self.graveyard.tables.pop();
                    }
                }
            } else {
                return false;
            }
        }
        true
    }
}
