//! Cuts: the state of the keyspace at one instant, read out while writes go on.
//!
//! Every entry carries the number of the cut during which it was last written, and a cut has a
//! cursor that walks the keyspace once:
//!
//!   database 0, slot 0 ....... cursor ....... last slot, database 1 ...
//!            saved, never looked at again | unsaved, if not written since the cut
//!
//! An entry is unsaved for a cut when it lies past the cursor and its number is not newer than
//! the cut's. Whoever is about to change, remove or flush an unsaved entry first hands its old
//! state to the cut's side buffer; the scanner gives out the side buffer before it walks on. So
//! each entry of the instant is given out exactly once, with the value that it had then, and
//! nothing that came later is.
//!
//! Inside a table the cursor is a point on the line of reversed hash bits (see `table.rs`), and
//! each entry is compared with that point, so splits and merges between two slices move nothing
//! across it. Flushed tables are handed over whole, with the cursor's place in them.
//!
//! A value is handed over as a clone, which shares all nodes of a large collection.
//!
//! Not known here: files and sockets. Who scans decides how much per slice.

use std::collections::VecDeque;

use holdfast_wire::slot::{SlotSet, key_slot};

use crate::{
    entry::Entry,
    store::{Store, db::Db},
    table::{Table, is_before},
    value::Value,
};

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
    table: Table<Entry>,
    cursor: u32,
}

#[derive(Debug)]
struct Cut {
    id: CutId,
    number: u32,
    filter: CutFilter,
    db: usize,
    slot: usize,
    cursor: u32,
    walked: bool,
    /// Databases that were handed over whole; what stands there now came later.
    left_out: Vec<usize>,
    side: VecDeque<(usize, Entry)>,
    side_bytes: usize,
    orphans: Vec<Orphan>,
    /// Orphans that were given out whole, still to be freed in slices.
    spent: Vec<Table<Entry>>,
}

impl Cut {
    /// Whether the cursor is past the place of that hash.
    fn has_passed(&self, db: usize, slot: usize, hash: u32) -> bool {
        self.walked
            || self.left_out.contains(&db)
            || (db, slot) < (self.db, self.slot)
            || ((db, slot) == (self.db, self.slot) && is_before(hash, self.cursor))
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.cut <= self.number
            && match &self.filter {
                CutFilter::All => true,
                CutFilter::Slots(slots) => slots.contains(key_slot(&entry.key)),
            }
    }

    fn hand_over(&mut self, db: usize, entry: Entry) {
        self.side_bytes += entry.bytes();
        self.side.push_back((db, entry));
    }

    fn drain_side(&mut self, budget: &mut usize, sink: &mut dyn FnMut(CutEntry<'_>)) {
        while *budget > 0
            && let Some((db, entry)) = self.side.pop_front()
        {
            self.side_bytes -= entry.bytes();
            *budget = budget.saturating_sub(1);
            sink(cut_entry(db, &entry));
        }
        if self.side.is_empty() {
            self.side = VecDeque::new();
        }
    }

    fn scan_orphans(&mut self, budget: &mut usize, sink: &mut dyn FnMut(CutEntry<'_>)) {
        while *budget > 0
            && let Some(mut orphan) = self.orphans.pop()
        {
            let before = orphan.cursor;
            let mut seen = 1;
            orphan.cursor = orphan.table.scan(before, |entry| {
                seen += 1;
                if !is_before(entry.hash, before) && self.wants(entry) {
                    sink(cut_entry(orphan.db, entry));
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
            let Some(db) = dbs.get(self.db) else {
                self.walked = true;
                return;
            };
            if self.left_out.contains(&self.db) {
                (self.db, self.slot, self.cursor) = (self.db + 1, 0, 0);
                continue;
            }
            let mut seen = 1;
            let mut next = 0;
            if let Some(slot) = db.slots.get(self.slot) {
                if let Some(slot) = slot {
                    let before = self.cursor;
                    next = slot.table.scan(before, |entry| {
                        seen += 1;
                        if !is_before(entry.hash, before) && self.wants(entry) {
                            sink(cut_entry(self.db, entry));
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

fn cut_entry(db: usize, entry: &Entry) -> CutEntry<'_> {
    CutEntry { db, key: &entry.key, value: &entry.value, expiry_ms: entry.expiry_ms() }
}

/// All running cuts, and the number that writes give to entries now.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    running: Vec<Cut>,
    now: u32,
    begun: u64,
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

    /// To be called before an entry changes in place, or goes.
    pub(crate) fn before_change(&mut self, db: usize, slot: usize, entry: &Entry) {
        for cut in &mut self.running {
            if !cut.has_passed(db, slot, entry.hash) && cut.wants(entry) {
                cut.hand_over(db, entry.clone());
            }
        }
    }

    /// To be called before a whole table is flushed.
    pub(crate) fn before_flush(&mut self, db: usize, slot: usize, table: &Table<Entry>) {
        for cut in &mut self.running {
            if cut.walked || cut.left_out.contains(&db) || (db, slot) < (cut.db, cut.slot) {
                continue;
            }
            let cursor = if (db, slot) == (cut.db, cut.slot) { cut.cursor } else { 0 };
            cut.orphans.push(Orphan { db, table: table.clone(), cursor });
        }
    }

    /// To be called when a database gets other tables, after its own were handed over.
    pub(crate) fn leave_out(&mut self, db: usize) {
        for cut in &mut self.running {
            if !cut.left_out.contains(&db) {
                cut.left_out.push(db);
            }
        }
    }

    /// To be called when all tables are replaced by others, after they were handed over.
    pub(crate) fn end_walks(&mut self) {
        self.running.iter_mut().for_each(|cut| cut.walked = true);
    }
}

impl Store {
    /// Begins a cut: the state of this instant, to be read out by [`Store::scan_cut`].
    pub fn begin_cut(&mut self, filter: CutFilter) -> CutId {
        let cuts = &mut self.cuts;
        let id = CutId(cuts.begun);
        cuts.begun += 1;
        cuts.running.push(Cut {
            id,
            number: cuts.now,
            filter,
            db: 0,
            slot: 0,
            cursor: 0,
            walked: false,
            left_out: Vec::new(),
            side: VecDeque::new(),
            side_bytes: 0,
            orphans: Vec::new(),
            spent: Vec::new(),
        });
        cuts.now += 1;
        id
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
        if cut.walked && cut.side.is_empty() && cut.orphans.is_empty() {
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

    /// Bytes that wait in side buffers. While they exceed what the shell allows, it should scan
    /// before it executes another write.
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
