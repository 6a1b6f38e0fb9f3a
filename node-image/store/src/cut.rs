//! Cuts: the state of the keyspace at one instant, read out while writes go on.
//!
//! Every entry carries the number of the cut during which it was last written, and a cut has a
//! cursor that walks the keyspace once:
//!
//!   database 0, slot 0 ....... cursor ....... last slot, database 1 ...
//!            saved, never looked at again | unsaved, if not written since the cut
//!
//! An entry is unsaved for a cut when it lies past the cursor and its number is not newer than
//! the cut's. Numbers have 20 bits and go round; of two the newer is the one that is ahead by less
//! than half of the circle. So no entry may fall behind by that much: each quarter of a million
//! cuts the old numbers of all entries are moved up, at once. Whoever is about to change, remove
//! or flush an unsaved entry first hands its old state to the cut's side buffer; the scanner gives
//! out the side buffer before it walks on. So each entry of the instant is given out exactly once,
//! with the value that it had then, and nothing that came later is.
//!
//! Inside a table the cursor is a point on the line of reversed hash bits (see `table.rs`), and
//! each entry is compared with that point, so splits and merges between two slices move nothing
//! across it. Flushed tables are handed over whole, with the cursor's place in them. Databases are
//! walked by an id that goes with their tables, and shown under the number that they had at the
//! cut, so exchanging two of them changes nothing for it.
//!
//! A value is handed over as a clone, which shares all nodes of a large collection.
//!
//! Not known here: files and sockets. Who scans decides how much per slice.

use std::{collections::VecDeque, sync::Arc};

use holdfast_wire::slot::{Slot, SlotSet, key_slot};

use crate::{
    entry::{CUT_BITS, Entry},
    store::{Store, StoreConfig, db::Db},
    table::{is_before, keys::KeyTable},
    value::Value,
};

const NUMBER_MASK: u32 = (1 << CUT_BITS) - 1;

/// Whether an entry with this number was written after the cut with that one.
fn is_newer(entry: u32, cut: u32) -> bool {
    cut.wrapping_sub(entry) & NUMBER_MASK > NUMBER_MASK / 2
}

/// Names a running cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CutId(u64);

/// Which entries a cut is about.
#[derive(Clone, Debug)]
pub enum CutFilter {
    /// All of them.
    All,
    /// The keys of these slots.
    Slots(SlotSet),
}

/// One entry as it was at the cut.
#[derive(Clone, Copy, Debug)]
pub struct CutEntry<'a> {
    /// Its database.
    pub db: usize,
    /// Its key.
    pub key: &'a [u8],
    /// Its value. A clone is cheap for large collections, so a sink may keep one and encode it in
    /// slices of its own.
    pub value: &'a Value,
    /// When it expires, in milliseconds of Unix time.
    pub expiry_ms: Option<i64>,
}

/// How far a cut is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutProgress {
    /// There is more to scan.
    Running,
    /// Everything was given out, and the cut is gone.
    Done,
}

/// A table that was flushed before the cursor had passed it.
#[derive(Debug)]
struct Orphan {
    db: usize,
    slot: usize,
    table: Arc<KeyTable>,
    cursor: u32,
}

#[derive(Debug)]
struct Cut {
    id: CutId,
    number: u32,
    filter: CutFilter,
    config: StoreConfig,
    /// The database by its id, the slot, and the place in its table.
    db: usize,
    slot: usize,
    cursor: u32,
    walked: bool,
    /// The number that each database had, by its id.
    labels: Vec<usize>,
    side: VecDeque<(usize, Entry)>,
    side_bytes: usize,
    orphans: Vec<Orphan>,
    /// Orphans that were given out whole, still to be freed in slices.
    spent: Vec<Arc<KeyTable>>,
}

impl Cut {
    /// Whether the cursor is past the place of that hash.
    fn has_passed(&self, db: usize, slot: usize, hash: u32) -> bool {
        self.walked
            || (db, slot) < (self.db, self.slot)
            || ((db, slot) == (self.db, self.slot) && is_before(hash, self.cursor))
    }

    fn wants_slot(&self, slot: usize) -> bool {
        match &self.filter {
            CutFilter::Slots(slots) if self.config.cluster => slots.contains(Slot(slot as u16)),
            _ => true,
        }
    }

    fn wants(&self, slot: usize, entry: &Entry) -> bool {
        !is_newer(entry.cut(), self.number)
            && match &self.filter {
                CutFilter::Slots(slots) if !self.config.cluster => {
                    slots.contains(key_slot(entry.key()))
                }
                _ => self.wants_slot(slot),
            }
    }

    fn label(&self, db: usize) -> usize {
        self.labels.get(db).copied().unwrap_or(db)
    }

    fn hand_over(&mut self, db: usize, entry: Entry) {
        self.side_bytes += entry.bytes();
        self.side.push_back((self.label(db), entry));
    }

    fn drain_side(&mut self, budget: &mut usize, sink: &mut dyn FnMut(CutEntry<'_>)) {
        while *budget > 0
            && let Some((db, entry)) = self.side.pop_front()
        {
            self.side_bytes -= entry.bytes();
            *budget = budget.saturating_sub(1);
            show(db, &entry, sink);
        }
        if self.side.is_empty() {
            self.side = VecDeque::new();
        }
    }

    fn scan_orphans(&mut self, budget: &mut usize, sink: &mut dyn FnMut(CutEntry<'_>)) {
        while *budget > 0
            && let Some(mut orphan) = self.orphans.pop()
        {
            let mut seen = 1;
            orphan.cursor = orphan.table.scan_on(orphan.cursor, &self.config.seed, |entry| {
                seen += 1;
                if self.wants(orphan.slot, entry) {
                    show(orphan.db, entry, sink);
                }
            });
            *budget = budget.saturating_sub(seen);
            if orphan.cursor == 0 {
                self.spent.push(orphan.table);
            } else {
                self.orphans.push(orphan);
            }
        }
    }

    fn walk(&mut self, dbs: &[Db], budget: &mut usize, sink: &mut dyn FnMut(CutEntry<'_>)) {
        while *budget > 0 {
            let Some(db) = dbs.iter().find(|db| db.id == self.db) else {
                self.walked = true;
                return;
            };
            let mut seen = 1;
            let mut next = 0;
            if let Some(slot) = db.slots.get(self.slot) {
                if let Some(table) = slot.as_deref().filter(|_| self.wants_slot(self.slot)) {
                    next = table.table.scan_on(self.cursor, &self.config.seed, |entry| {
                        seen += 1;
                        if self.wants(self.slot, entry) {
                            show(self.label(self.db), entry, sink);
                        }
                    });
                }
                if next == 0 {
                    self.slot += 1;
                }
            } else {
                self.slot = 0;
                self.db += 1;
            }
            self.cursor = next;
            *budget = budget.saturating_sub(seen);
        }
    }
}

fn show(db: usize, entry: &Entry, sink: &mut dyn FnMut(CutEntry<'_>)) {
    let value = entry.value();
    sink(CutEntry { db, key: entry.key(), value: &value, expiry_ms: entry.expiry_ms() });
}

/// All running cuts, and the number that writes give to entries now.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    running: Vec<Cut>,
    now: u32,
    begun: u64,
    /// No entry's number is further behind than this.
    oldest_age: u32,
}

impl Cuts {
    /// The number for an entry that is written now.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// Whether any cut is running.
    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether a change of the entry would be handed to a cut first.
    pub(crate) fn would_take(&self, db: usize, slot: usize, hash: u32, entry: &Entry) -> bool {
        let takes = |cut: &Cut| !cut.has_passed(db, slot, hash) && cut.wants(slot, entry);
        self.running.iter().any(takes)
    }

    /// To be called before an entry changes in place, or goes. The database is named by its id.
    pub(crate) fn before_change(&mut self, db: usize, slot: usize, hash: u32, entry: &Entry) {
        for cut in &mut self.running {
            if !cut.has_passed(db, slot, hash) && cut.wants(slot, entry) {
                cut.hand_over(db, entry.clone());
            }
        }
    }

    /// To be called when a whole table is flushed.
    pub(crate) fn before_flush(&mut self, db: usize, slot: usize, table: &Arc<KeyTable>) {
        for cut in &mut self.running {
            if cut.walked || (db, slot) < (cut.db, cut.slot) || !cut.wants_slot(slot) {
                continue;
            }
            let cursor = if (db, slot) == (cut.db, cut.slot) { cut.cursor } else { 0 };
            let db = cut.label(db);
            cut.orphans.push(Orphan { db, slot, table: Arc::clone(table), cursor });
        }
    }

    /// To be called when all tables are replaced by others, after they were handed over.
    pub(crate) fn end_walks(&mut self) {
        self.running.iter_mut().for_each(|cut| cut.walked = true);
    }

    /// Goes on with the numbers of another store, whose entries are taken over.
    pub(crate) fn count_on(&mut self, other: &Self) {
        self.now = other.now;
        self.oldest_age = other.oldest_age;
    }
}

impl Store {
    /// Begins a cut: the state of this instant, to be read out by [`Store::scan_cut`].
    pub fn begin_cut(&mut self, filter: CutFilter) -> CutId {
        if self.cuts.oldest_age >= NUMBER_MASK / 4 {
            self.move_numbers_up();
        }
        let config = self.config();
        let mut labels = vec![0; self.dbs.len()];
        for (number, db) in self.dbs.iter().enumerate() {
            if let Some(label) = labels.get_mut(db.id) {
                *label = number;
            }
        }
        let cuts = &mut self.cuts;
        let id = CutId(cuts.begun);
        cuts.begun += 1;
        cuts.running.push(Cut {
            id,
            number: cuts.now,
            filter,
            config,
            db: 0,
            slot: 0,
            cursor: 0,
            walked: false,
            labels,
            side: VecDeque::new(),
            side_bytes: 0,
            orphans: Vec::new(),
            spent: Vec::new(),
        });
        cuts.now = cuts.now.wrapping_add(1) & NUMBER_MASK;
        cuts.oldest_age += 1;
        id
    }

    /// Gives entries that were last written long ago a younger number, which is older than every
    /// running cut all the same.
    fn move_numbers_up(&mut self) {
        let now = self.cuts.now;
        let age_max = NUMBER_MASK / 8;
        let tables = self.dbs.iter().flat_map(|db| db.slots.iter().flatten());
        for entry in tables.flat_map(|slot| slot.table.iter()) {
            if now.wrapping_sub(entry.cut()) & NUMBER_MASK > age_max {
                entry.set_cut(now.wrapping_sub(age_max) & NUMBER_MASK);
            }
        }
        self.cuts.oldest_age = age_max;
    }

    /// Gives the next entries of a cut to the sink. `budget` is a number of steps: an entry, a
    /// bucket or an empty slot each. A cut that is done, or was cancelled, is `Done`.
    pub fn scan_cut(
        &mut self,
        id: CutId,
        mut budget: usize,
        sink: &mut dyn FnMut(CutEntry<'_>),
    ) -> CutProgress {
        let Some(place) = self.cuts.running.iter().position(|cut| cut.id == id) else {
            return CutProgress::Done;
        };
        let Some(cut) = self.cuts.running.get_mut(place) else { return CutProgress::Done };
        cut.drain_side(&mut budget, sink);
        cut.scan_orphans(&mut budget, sink);
        cut.spent.drain(..).for_each(|table| self.graveyard.bury_table(table));
        if !cut.walked {
            cut.walk(&self.dbs, &mut budget, sink);
        }
        let is_done = cut.walked && cut.side.is_empty() && cut.orphans.is_empty();
        if is_done {
            self.cuts.running.swap_remove(place);
            return CutProgress::Done;
        }
        CutProgress::Running
    }

    /// Gives a cut up.
    pub fn cancel_cut(&mut self, id: CutId) {
        let running = &mut self.cuts.running;
        let Some(place) = running.iter().position(|cut| cut.id == id) else { return };
        // What it kept alive is freed in slices.
        for orphan in running.swap_remove(place).orphans {
            self.graveyard.bury_table(orphan.table);
        }
    }

    /// Bytes that wait in side buffers. While they exceed what the shell allows, commands that
    /// would change an unsaved key ([`Store::is_unsaved`]) should wait.
    pub fn side_buffer_bytes(&self) -> usize {
        self.cuts.running.iter().map(|cut| cut.side_bytes).sum()
    }

    /// How many cuts are running.
    pub fn running_cuts(&self) -> usize {
        self.cuts.running.len()
    }
}

#[cfg(test)]
mod tests;
