//! An entry: a key with its value, its expiry and what is known about its use.
//!
//! The cut number tells during which cut the entry was last written; `cut.rs` says what follows
//! from it. The access word is an atomic only so that a read can note itself through a shared
//! reference; no second thread ever looks at it.
//!
//! Not known here: the table that holds the entry.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{
    table::{Item, NEVER},
    value::Value,
};

/// What an entry costs beyond its key and its value: itself, its share of a bucket's head, and
/// the allocator's rounding.
const ENTRY_BYTES: usize = size_of::<Entry>() + 24;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Value,
    /// [`NEVER`] for most.
    pub(crate) deadline_ms: i64,
    pub(crate) hash: u32,
    pub(crate) cut: u32,
    pub(crate) access: AtomicU32,
}

impl Entry {
    pub(crate) fn expiry_ms(&self) -> Option<i64> {
        (self.deadline_ms != NEVER).then_some(self.deadline_ms)
    }

    /// A key lives through the millisecond of its deadline, as in Redis.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        now_ms > self.deadline_ms
    }

    pub(crate) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.key.len() + self.value.heap_bytes()
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            value: self.value.clone(),
            deadline_ms: self.deadline_ms,
            hash: self.hash,
            cut: self.cut,
            access: AtomicU32::new(self.access.load(Relaxed)),
        }
    }
}

impl Item for Entry {
    fn hash(&self) -> u32 {
        self.hash
    }

    fn deadline_ms(&self) -> i64 {
        self.deadline_ms
    }
}
