//! Finding keys whose time has come.
//!
//! There is no second table of deadlines. Each slot's table and each of its segments knows a
//! lower bound of the earliest deadline in it; the cycle walks the tables in turn, passes by what
//! cannot be due, and makes the bounds exact where it looked. It stops when its budget is spent
//! and goes on from there the next time.
//!
//! Not known here: how often the cycle runs, and how a DEL reaches replicas.

use super::{ExpiryRule, Place, Store};

/// Tables passed by for the price of one step.
const TABLES_PER_STEP: usize = 32;

/// Where the cycle goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    db: usize,
    slot: usize,
    segment: usize,
}

/// What a cycle did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireProgress {
    /// How many keys were removed.
    pub expired: usize,
    /// Whether the budget ended before the round through all tables did.
    pub more: bool,
}

impl Store {
    /// Removes a key whose time has come, and remembers to report it.
    pub(super) fn expire(&mut self, db: usize, place: Place, key: &[u8]) {
        if let Some(entry) = self.remove_at(db, place, key) {
            self.expired.push((db, entry.key().into()));
            self.graveyard.bury_entry(entry);
            self.expired_total += 1;
        }
    }

    /// The keys that were removed since the last call because their time had come, in order. For
    /// each of them a DEL must reach the effect log before anything that happened later.
    pub fn take_expired(&mut self) -> Vec<(usize, Box<[u8]>)> {
        std::mem::take(&mut self.expired)
    }

    /// Whether [`Store::take_expired`] has something to tell.
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// How many keys have expired since the start.
    pub fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// Removes keys whose time has come, for at most `budget` steps; an entry looked at is one.
    /// Does nothing unless the rule is to delete.
    pub fn expire_cycle(&mut self, now_ms: i64, budget: usize) -> ExpireProgress {
        let mut progress = ExpireProgress { expired: 0, more: false };
        if self.rule != ExpiryRule::Delete {
            return progress;
        }
        let mut left = budget * TABLES_PER_STEP;
        loop {
            left = left.saturating_sub(1);
            self.expire_table(now_ms, &mut left, &mut progress);
            if left == 0 {
                progress.more = true;
                return progress;
            }
            if self.next_table() {
                return progress;
            }
        }
    }

    /// Moves the cycle to the next table; true when a round is complete.
    fn next_table(&mut self) -> bool {
        let cursor = &mut self.expire_cursor;
        cursor.segment = 0;
        cursor.slot += 1;
        let db = self.dbs.get(cursor.db);
        if db.is_none_or(|db| db.expiring == 0 || cursor.slot >= db.slots.len()) {
            cursor.slot = 0;
            cursor.db += 1;
        }
        let complete = cursor.db >= self.dbs.len();
        if complete {
            *cursor = Cursor::default();
        }
        complete
    }

    fn expire_table(&mut self, now_ms: i64, left: &mut usize, progress: &mut ExpireProgress) {
        let Cursor { db, slot, .. } = self.expire_cursor;
        let mut due: Vec<(Place, Box<[u8]>)> = Vec::new();
        while *left > 0 {
            let segment = self.expire_cursor.segment;
            let Some(table) = self.dbs.get_mut(db).and_then(|db| db.table_mut(slot)) else {
                return;
            };
            if table.earliest_ms >= now_ms {
                return;
            }
            if segment >= table.table.segment_count() {
                let segments = 0..table.table.segment_count();
                let bounds = segments.map(|segment| table.table.segment_earliest_ms(segment));
                table.earliest_ms = bounds.min().unwrap_or(i64::MAX);
                // What is still due here became so behind the cursor; the next round finds it.
                return;
            }
            self.expire_cursor.segment += 1;
            *left = left.saturating_sub(1);
            if table.table.segment_earliest_ms(segment) >= now_ms {
                continue;
            }
            for entry in table.table.segment_entries(segment) {
                *left = left.saturating_sub(TABLES_PER_STEP);
                if entry.is_expired(now_ms) {
                    let hash = self.config.seed.hash(entry.key());
                    due.push((Place { slot, hash }, entry.key().into()));
                }
            }
            progress.expired += due.len();
            for (place, key) in due.drain(..) {
                self.expire(db, place, &key);
            }
            if let Some(table) = self.dbs.get_mut(db).and_then(|db| db.table_mut(slot)) {
                table.table.refresh_segment_earliest(segment);
            }
        }
    }
}
