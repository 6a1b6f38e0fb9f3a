//! A database: a table for each slot, or a single one outside of cluster mode.
//!
//! A slot without keys costs a pointer. The counters of a database are the sums over its tables.
//!
//! Not known here: cuts and the expiry rule; whoever changes a table has taken care of both.

use crate::{
    entry::Entry,
    table::{NEVER, Table},
    value::Value,
};

#[derive(Debug)]
pub(crate) struct SlotTable {
    pub(crate) table: Table<Entry>,
    pub(crate) bytes: usize,
    /// How many entries have a deadline.
    pub(crate) expiring: usize,
    /// Never later than the earliest deadline.
    pub(crate) earliest_ms: i64,
}

impl Default for SlotTable {
    fn default() -> Self {
        Self { table: Table::default(), bytes: 0, expiring: 0, earliest_ms: NEVER }
    }
}

#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) slots: Vec<Option<Box<SlotTable>>>,
    pub(crate) len: usize,
    pub(crate) expiring: usize,
}

impl Db {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect(), len: 0, expiring: 0 }
    }

    pub(crate) fn table(&self, slot: usize) -> Option<&SlotTable> {
        self.slots.get(slot)?.as_deref()
    }

    pub(crate) fn table_mut(&mut self, slot: usize) -> Option<&mut SlotTable> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    pub(crate) fn find(&self, slot: usize, hash: u32, key: &[u8]) -> Option<&Entry> {
        self.table(slot)?.table.find(hash, |entry| *entry.key == *key)
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, slot: usize, entry: Entry) {
        let Some(place) = self.slots.get_mut(slot) else { return };
        let slot = place.get_or_insert_default();
        slot.bytes += entry.bytes();
        if entry.deadline_ms != NEVER {
            slot.expiring += 1;
            slot.earliest_ms = slot.earliest_ms.min(entry.deadline_ms);
            self.expiring += 1;
        }
        self.len += 1;
        slot.table.insert(entry);
    }

    /// Puts another value in the place of an entry's: the old one.
    pub(crate) fn replace(
        &mut self,
        slot: usize,
        hash: u32,
        key: &[u8],
        value: Value,
    ) -> Option<Value> {
        let table = self.table_mut(slot)?;
        let entry = table.table.find_mut(hash, |entry| *entry.key == *key)?;
        table.bytes = table.bytes + value.heap_bytes() - entry.value.heap_bytes();
        Some(std::mem::replace(&mut entry.value, value))
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, slot: usize, hash: u32, key: &[u8]) -> Option<Entry> {
        let place = self.slots.get_mut(slot)?;
        let table = place.as_deref_mut()?;
        let entry = table.table.remove(hash, |entry| *entry.key == *key)?;
        table.bytes -= entry.bytes();
        self.len -= 1;
        if entry.deadline_ms != NEVER {
            table.expiring -= 1;
            self.expiring -= 1;
        }
        if table.table.is_empty() {
            *place = None;
        }
        Some(entry)
    }

    /// Changes a deadline; false when the key is not there.
    pub(crate) fn set_deadline(
        &mut self,
        slot: usize,
        hash: u32,
        key: &[u8],
        deadline_ms: i64,
        cut: u32,
    ) -> bool {
        let Some(table) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else {
            return false;
        };
        let Some(entry) = table.table.find_mut(hash, |entry| *entry.key == *key) else {
            return false;
        };
        let had = usize::from(entry.deadline_ms != NEVER);
        let has = usize::from(deadline_ms != NEVER);
        entry.deadline_ms = deadline_ms;
        entry.cut = cut;
        table.table.note_deadline(hash, deadline_ms);
        table.earliest_ms = table.earliest_ms.min(deadline_ms);
        table.expiring = table.expiring + has - had;
        self.expiring = self.expiring + has - had;
        true
    }

    /// Takes the table of a slot out, whole.
    pub(crate) fn take(&mut self, slot: usize) -> Option<Box<SlotTable>> {
        let table = self.slots.get_mut(slot)?.take()?;
        self.len -= table.table.len();
        self.expiring -= table.expiring;
        Some(table)
    }
}
