//! A database: a table for each slot, or a single one outside of cluster mode.
//!
//! A slot without keys costs a pointer. The counters of a database are the sums over its tables.
//!
//! Not known here: cuts and the expiry rule; whoever changes a table has taken care of both.

use crate::{
    entry::{Entry, Fresh, allocated},
    limits::HashSeed,
    table::{
        NEVER,
        keys::{At, KeyTable},
    },
    value::Value,
};

#[derive(Debug)]
pub(crate) struct SlotTable {
    pub(crate) table: KeyTable,
    /// Of its entries.
    pub(crate) bytes: usize,
    /// How many entries have a deadline.
    pub(crate) expiring: usize,
    /// Never later than the earliest deadline.
    pub(crate) earliest_ms: i64,
}

impl Default for SlotTable {
    fn default() -> Self {
        Self { table: KeyTable::default(), bytes: 0, expiring: 0, earliest_ms: NEVER }
    }
}

impl SlotTable {
    /// What the table takes of the heap beside its entries.
    pub(crate) fn own_bytes(&self) -> usize {
        allocated(size_of::<Self>()) + self.table.bytes()
    }
}

#[derive(Debug)]
pub(crate) struct Db {
    /// Stays with the tables when databases are exchanged, so that a cut finds them again.
    pub(crate) id: usize,
    pub(crate) slots: Vec<Option<Box<SlotTable>>>,
    pub(crate) len: usize,
    pub(crate) expiring: usize,
    /// Of the tables, without their entries.
    pub(crate) table_bytes: usize,
}

impl Db {
    pub(crate) fn new(id: usize, slots: usize) -> Self {
        let slots = (0..slots).map(|_| None).collect();
        Self { id, slots, len: 0, expiring: 0, table_bytes: 0 }
    }

    pub(crate) fn table(&self, slot: usize) -> Option<&SlotTable> {
        self.slots.get(slot)?.as_deref()
    }

    pub(crate) fn table_mut(&mut self, slot: usize) -> Option<&mut SlotTable> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    pub(crate) fn find(&self, slot: usize, hash: u32, key: &[u8]) -> Option<&Entry> {
        self.at(slot, self.locate(slot, hash, key)?)
    }

    /// Where a key is in the table of its slot, until that changes.
    pub(crate) fn locate(&self, slot: usize, hash: u32, key: &[u8]) -> Option<At> {
        self.table(slot)?.table.locate(hash, key)
    }

    pub(crate) fn at(&self, slot: usize, at: At) -> Option<&Entry> {
        self.table(slot)?.table.at(at)
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, slot: usize, hash: u32, entry: Entry, seed: &HashSeed) {
        let Some(place) = self.slots.get_mut(slot) else { return };
        let before = place.as_deref().map_or(0, SlotTable::own_bytes);
        let slot = place.get_or_insert_default();
        let deadline_ms = entry.deadline_ms();
        slot.bytes += entry.bytes();
        if deadline_ms != NEVER {
            slot.expiring += 1;
            slot.earliest_ms = slot.earliest_ms.min(deadline_ms);
            self.expiring += 1;
        }
        self.len += 1;
        slot.table.insert(hash, entry, seed);
        self.table_bytes = self.table_bytes + slot.own_bytes() - before;
    }

    /// Puts something else in the place of what an entry holds, with another deadline. Gives the
    /// old value, when it was kept as one, and the entry's bytes before and after.
    pub(crate) fn replace(
        &mut self,
        slot: usize,
        hash: u32,
        at: At,
        fresh: Fresh<'_>,
        deadline_ms: i64,
    ) -> Option<Replaced> {
        let table = self.slots.get_mut(slot)?.as_deref_mut()?;
        let entry = table.table.at_mut(at)?;
        let before = entry.bytes();
        let had_ms = entry.deadline_ms();
        let value = entry.replace(fresh);
        entry.set_deadline_ms(deadline_ms);
        let after = entry.bytes();
        table.bytes = table.bytes + after - before;
        self.moved_deadline(slot, hash, had_ms, deadline_ms);
        Some(Replaced { value, before, after })
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, slot: usize, hash: u32, key: &[u8]) -> Option<Entry> {
        let place = self.slots.get_mut(slot)?;
        let table = place.as_deref_mut()?;
        let before = table.own_bytes();
        let entry = table.table.remove(hash, key)?;
        table.bytes -= entry.bytes();
        self.len -= 1;
        if entry.deadline_ms() != NEVER {
            table.expiring -= 1;
            self.expiring -= 1;
        }
        let mut after = table.own_bytes();
        if table.table.is_empty() {
            *place = None;
            after = 0;
        }
        self.table_bytes = self.table_bytes + after - before;
        Some(entry)
    }

    /// Changes a deadline: the entry's bytes before and after; `None` without the key.
    pub(crate) fn set_deadline(
        &mut self,
        slot: usize,
        hash: u32,
        at: At,
        deadline_ms: i64,
    ) -> Option<(usize, usize)> {
        let table = self.slots.get_mut(slot)?.as_deref_mut()?;
        let entry = table.table.at_mut(at)?;
        let (before, had_ms) = (entry.bytes(), entry.deadline_ms());
        entry.set_deadline_ms(deadline_ms);
        let after = entry.bytes();
        table.bytes = table.bytes + after - before;
        self.moved_deadline(slot, hash, had_ms, deadline_ms);
        Some((before, after))
    }

    fn moved_deadline(&mut self, slot: usize, hash: u32, from_ms: i64, to_ms: i64) {
        if from_ms == to_ms {
            return;
        }
        let Some(table) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let had = usize::from(from_ms != NEVER);
        let has = usize::from(to_ms != NEVER);
        table.table.note_deadline(hash, to_ms);
        table.earliest_ms = table.earliest_ms.min(to_ms);
        table.expiring = table.expiring + has - had;
        self.expiring = self.expiring + has - had;
    }

    /// Takes the table of a slot out, whole.
    pub(crate) fn take(&mut self, slot: usize) -> Option<Box<SlotTable>> {
        let table = self.slots.get_mut(slot)?.take()?;
        self.len -= table.table.len();
        self.expiring -= table.expiring;
        self.table_bytes -= table.own_bytes();
        Some(table)
    }
}

/// What [`Db::replace`] did.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) value: Option<Value>,
    pub(crate) before: usize,
    pub(crate) after: usize,
}
