//! The table of keys: linear hashing, as `table.rs` tells it, over buckets of one cache line.
//!
//!   bucket, 64 bytes   | entry | entry | entry | entry | entry | entry | more: pointer, length |
//!                        8 bytes each: a tag and an address (`entry.rs`)        |
//!                                                               | entry | entry | ... exactly fits
//!
//! A lookup reads one line, compares tags, and follows a pointer only where the tag is right. What
//! does not fit stands in a second piece of exactly its size, so that a table is full nearly all
//! the time whatever chance does to its buckets; on average there are [`SPLIT_LOAD`] entries per
//! bucket. Buckets lie in segments of 64, the last of which grows a quarter at a time: no growth
//! ever moves more than 4 KiB of buckets. Each segment keeps a lower bound of the earliest
//! deadline in it.
//!
//! An entry knows only half of its hash. A split makes the rest anew from the key, so callers
//! bring the seed.
//!
//! Invariants: an entry is in the bucket that its hash names, once; a bucket has no gap, and
//! nothing stands in its second piece while the first has room; `len` counts the entries; a
//! segment's `earliest_ms` is never later than the earliest deadline in it; `bytes` is what the
//! segments and second pieces take of the heap.
//!
//! Not known here: cuts, databases, the time.

use super::{NEVER, bucket_of, depth_of, is_before};
use crate::{
    entry::{Entry, allocated},
    limits::HashSeed,
};

/// Entries in the first piece of a bucket.
const FIRST: usize = 6;

/// Buckets in a segment.
const SEGMENT: usize = 64;

/// Entries per bucket, on average, above which a bucket is split.
const SPLIT_LOAD: usize = 8;

/// Entries per bucket, on average, below which a split is undone.
const MERGE_LOAD: usize = 3;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    first: [Option<Entry>; FIRST],
    more: Option<Box<[Entry]>>,
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// Begins to fetch a line of memory. Any address will do: nothing is read.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch has no effect but on the cache, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Other processors have no stable way to ask.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: *const u8) {}

/// Bytes of a second piece of so many entries.
fn more_bytes(len: usize) -> usize {
    allocated(len * size_of::<Entry>())
}

impl Bucket {
    fn iter(&self) -> impl Iterator<Item = &Entry> {
        let more = self.more.as_deref().unwrap_or_default();
        self.first.iter().map_while(Option::as_ref).chain(more)
    }

    fn len(&self) -> usize {
        match &self.more {
            Some(more) => FIRST + more.len(),
            None => self.first.iter().filter(|place| place.is_some()).count(),
        }
    }

    fn get(&self, place: usize) -> Option<&Entry> {
        match place.checked_sub(FIRST) {
            Some(place) => self.more.as_deref()?.get(place),
            None => self.first.get(place)?.as_ref(),
        }
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut Entry> {
        match place.checked_sub(FIRST) {
            Some(place) => self.more.as_deref_mut()?.get_mut(place),
            None => self.first.get_mut(place)?.as_mut(),
        }
    }

    fn position(&self, tag: usize, key: &[u8]) -> Option<usize> {
        self.iter().position(|entry| entry.tag() == tag && entry.key() == key)
    }

    /// Adds an entry: by how many bytes the second piece has grown.
    fn push(&mut self, entry: Entry) -> usize {
        if let Some(place) = self.first.iter_mut().find(|place| place.is_none()) {
            *place = Some(entry);
            return 0;
        }
        let mut more = self.more.take().map_or_else(Vec::new, Vec::from);
        let before = more_bytes(more.len());
        more.reserve_exact(1);
        more.push(entry);
        let after = more_bytes(more.len());
        self.more = Some(more.into_boxed_slice());
        after - before
    }

    /// Takes the last entry, and tells by how many bytes the second piece has shrunk.
    fn pop(&mut self) -> (Option<Entry>, usize) {
        let Some(more) = self.more.take() else {
            let last = self.first.iter_mut().rev().find(|place| place.is_some());
            return (last.and_then(Option::take), 0);
        };
        let mut more = Vec::from(more);
        let before = more_bytes(more.len());
        let last = more.pop();
        let after = more_bytes(more.len());
        self.more = (!more.is_empty()).then(|| more.into_boxed_slice());
        (last, before - after)
    }

    /// Takes an entry out of its place; the last one fills the gap.
    fn remove(&mut self, place: usize) -> (Option<Entry>, usize) {
        let (last, freed) = self.pop();
        match (last, self.get_mut(place)) {
            (Some(last), Some(gap)) => (Some(std::mem::replace(gap, last)), freed),
            (last, _) => (last, freed),
        }
    }
}

#[derive(Debug)]
struct Segment {
    buckets: Vec<Bucket>,
    earliest_ms: i64,
}

impl Segment {
    fn bytes(&self) -> usize {
        allocated(self.buckets.capacity() * size_of::<Bucket>())
    }
}

/// A place in a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    bucket: usize,
    place: usize,
}

/// The table. See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    segments: Vec<Segment>,
    buckets: usize,
    len: usize,
    bytes: usize,
}

impl KeyTable {
    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it takes of the heap beside its entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + allocated(self.segments.capacity() * size_of::<Segment>())
    }

    fn bucket(&self, index: usize) -> Option<&Bucket> {
        self.segments.get(index / SEGMENT)?.buckets.get(index % SEGMENT)
    }

    fn bucket_mut(&mut self, index: usize) -> Option<&mut Bucket> {
        self.segments.get_mut(index / SEGMENT)?.buckets.get_mut(index % SEGMENT)
    }

    /// Where the entry of a key is; holds until an entry is added or taken out.
    pub(crate) fn locate(&self, hash: u32, key: &[u8]) -> Option<At> {
        if self.buckets == 0 {
            return None;
        }
        let bucket = bucket_of(hash, self.buckets);
        let place = self.bucket(bucket)?.position(Entry::tag_of(hash), key)?;
        Some(At { bucket, place })
    }

    /// The entry at a place.
    pub(crate) fn at(&self, at: At) -> Option<&Entry> {
        self.bucket(at.bucket)?.get(at.place)
    }

    /// The same, to be changed. Its key must stay, and an earlier deadline must be told by
    /// [`KeyTable::note_deadline`].
    pub(crate) fn at_mut(&mut self, at: At) -> Option<&mut Entry> {
        self.bucket_mut(at.bucket)?.get_mut(at.place)
    }

    /// Asks for the bucket of a hash, which is not waited for.
    pub(crate) fn prefetch_bucket(&self, hash: u32) {
        if self.buckets > 0
            && let Some(bucket) = self.bucket(bucket_of(hash, self.buckets))
        {
            prefetch(std::ptr::from_ref(bucket).cast());
        }
    }

    /// Asks for the entry of a hash, once its bucket is here.
    pub(crate) fn prefetch_entry(&self, hash: u32) {
        let tag = Entry::tag_of(hash);
        if self.buckets > 0
            && let Some(bucket) = self.bucket(bucket_of(hash, self.buckets))
            && let Some(entry) = bucket.iter().find(|entry| entry.tag() == tag)
        {
            prefetch(entry.address());
        }
    }

    /// Adds an entry whose key is not in the table.
    pub(crate) fn insert(&mut self, hash: u32, entry: Entry, seed: &HashSeed) {
        if self.buckets == 0 {
            self.add_bucket(Bucket::default(), NEVER);
        }
        let index = bucket_of(hash, self.buckets);
        let Some(segment) = self.segments.get_mut(index / SEGMENT) else { return };
        segment.earliest_ms = segment.earliest_ms.min(entry.deadline_ms());
        let Some(bucket) = segment.buckets.get_mut(index % SEGMENT) else { return };
        self.bytes += bucket.push(entry);
        self.len += 1;
        if self.len > self.buckets * SPLIT_LOAD {
            self.split(seed);
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<Entry> {
        let At { bucket, place } = self.locate(hash, key)?;
        let (entry, freed) = self.bucket_mut(bucket)?.remove(place);
        self.bytes -= freed;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len < self.buckets * MERGE_LOAD && self.buckets > 1 {
            self.merge();
        }
        entry
    }

    fn add_bucket(&mut self, bucket: Bucket, earliest_ms: i64) {
        if self.buckets.is_multiple_of(SEGMENT) {
            if self.segments.is_empty() {
                // Most tables of a cluster's slots stay with one segment.
                self.segments.reserve_exact(1);
            }
            self.segments.push(Segment { buckets: Vec::new(), earliest_ms: NEVER });
        }
        let Some(segment) = self.segments.last_mut() else { return };
        segment.earliest_ms = segment.earliest_ms.min(earliest_ms);
        if segment.buckets.len() == segment.buckets.capacity() {
            let before = segment.bytes();
            let len = segment.buckets.len();
            // Four steps a doubling, which is how the allocator rounds.
            let step = len.checked_ilog2().map_or(1, |bits| 1 << bits.saturating_sub(2));
            segment.buckets.reserve_exact(step);
            self.bytes = self.bytes + segment.bytes() - before;
        }
        segment.buckets.push(bucket);
        self.buckets += 1;
    }

    /// Cuts the next bucket in two: what has the additional hash bit moves to a new last bucket.
    fn split(&mut self, seed: &HashSeed) {
        let low = 1_usize << self.buckets.ilog2();
        let target = self.buckets;
        let Some(source) = self.bucket_mut(target - low) else { return };
        let whole = std::mem::take(source);
        let (mut kept, mut moved) = (Bucket::default(), Bucket::default());
        let mut earliest_ms = NEVER;
        let (mut grown, freed) = (0, whole.more.as_deref().map_or(0, |m| more_bytes(m.len())));
        let more = whole.more.map_or_else(Vec::new, Vec::from);
        for entry in whole.first.into_iter().flatten().chain(more) {
            if seed.hash(entry.key()) as usize & (2 * low - 1) == target {
                earliest_ms = earliest_ms.min(entry.deadline_ms());
                grown += moved.push(entry);
            } else {
                grown += kept.push(entry);
            }
        }
        *source = kept;
        self.bytes = self.bytes + grown - freed;
        self.add_bucket(moved, earliest_ms);
    }

    /// Undoes the last split.
    fn merge(&mut self) {
        let last = self.buckets - 1;
        let Some(segment) = self.segments.last_mut() else { return };
        let earliest_ms = segment.earliest_ms;
        let Some(mut bucket) = segment.buckets.pop() else { return };
        let before = segment.bytes();
        if segment.buckets.is_empty() {
            self.segments.pop();
            self.bytes -= before;
        } else if segment.buckets.len() * 2 < segment.buckets.capacity() {
            segment.buckets.shrink_to_fit();
            self.bytes = self.bytes + segment.bytes() - before;
        }
        self.buckets = last;
        let target = last - (1_usize << last.ilog2());
        let Some(segment) = self.segments.get_mut(target / SEGMENT) else { return };
        segment.earliest_ms = segment.earliest_ms.min(earliest_ms);
        let Some(into) = segment.buckets.get_mut(target % SEGMENT) else { return };
        while let (Some(entry), freed) = bucket.pop() {
            self.bytes = self.bytes + into.push(entry) - freed;
        }
    }

    /// Every entry, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| segment.buckets.iter().flat_map(Bucket::iter))
    }

    /// Shows the bucket at the cursor, and tells the next cursor; 0 means that it was the last.
    /// Start with 0. The entries before the cursor may be shown once more after a merge.
    pub(crate) fn scan(&self, cursor: u32, show: impl FnMut(&Entry)) -> u32 {
        if self.buckets == 0 {
            return 0;
        }
        let index = bucket_of(cursor, self.buckets);
        self.bucket(index).into_iter().flat_map(Bucket::iter).for_each(show);
        self.cursor_behind(index)
    }

    /// The same without the entries before the cursor: each one is shown once, whatever splits and
    /// merges happen between the calls.
    pub(crate) fn scan_on(
        &self,
        cursor: u32,
        seed: &HashSeed,
        mut show: impl FnMut(&Entry),
    ) -> u32 {
        if self.buckets == 0 {
            return 0;
        }
        let index = bucket_of(cursor, self.buckets);
        // Only a bucket that has been merged since begins before the cursor.
        let is_whole = (index as u32).reverse_bits() >= cursor.reverse_bits();
        for entry in self.bucket(index).into_iter().flat_map(Bucket::iter) {
            if is_whole || !is_before(seed.hash(entry.key()), cursor) {
                show(entry);
            }
        }
        self.cursor_behind(index)
    }

    fn cursor_behind(&self, index: usize) -> u32 {
        let depth = depth_of(index, self.buckets);
        if depth == 0 {
            return 0;
        }
        // One further in the interval's own width, on the line of reversed bits.
        let width = 1_u32 << (32 - depth);
        (index as u32).reverse_bits().wrapping_add(width).reverse_bits()
    }

    /// An entry chosen evenly; `random` gives a fresh number with each call.
    pub(crate) fn random(&self, mut random: impl FnMut() -> u64) -> Option<&Entry> {
        if self.len == 0 {
            return None;
        }
        // A place in a bucket that has room for many, drawn again when nothing is there: each
        // entry of a bucket up to that size has the same chance.
        const ROOM: usize = 4 * SPLIT_LOAD;
        for _ in 0..512 {
            let drawn = random();
            let bucket = self.bucket((drawn >> 32) as usize % self.buckets)?;
            let room = ROOM.max(bucket.len());
            if let Some(entry) = bucket.get(drawn as u32 as usize % room) {
                return Some(entry);
            }
        }
        self.iter().next()
    }

    /// Tells that the entry of that hash now has this deadline.
    pub(crate) fn note_deadline(&mut self, hash: u32, deadline_ms: i64) {
        if self.buckets > 0 {
            let index = bucket_of(hash, self.buckets);
            if let Some(segment) = self.segments.get_mut(index / SEGMENT) {
                segment.earliest_ms = segment.earliest_ms.min(deadline_ms);
            }
        }
    }

    /// How many segments it has.
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// A lower bound of the deadlines in a segment.
    pub(crate) fn segment_earliest_ms(&self, segment: usize) -> i64 {
        self.segments.get(segment).map_or(NEVER, |segment| segment.earliest_ms)
    }

    /// The entries of one segment.
    pub(crate) fn segment_entries(&self, segment: usize) -> impl Iterator<Item = &Entry> {
        let buckets = self.segments.get(segment).into_iter().flat_map(|s| s.buckets.iter());
        buckets.flat_map(Bucket::iter)
    }

    /// Makes a segment's bound exact again.
    pub(crate) fn refresh_segment_earliest(&mut self, segment: usize) {
        let earliest = self.segment_entries(segment).map(Entry::deadline_ms).min();
        if let Some(segment) = self.segments.get_mut(segment) {
            segment.earliest_ms = earliest.unwrap_or(NEVER);
        }
    }

    /// Takes one segment apart, so that a large table can go in pieces: how many entries it gave
    /// to `take`. The table is good for nothing else afterwards. `None` when it is empty.
    pub(crate) fn crumble_into(&mut self, mut take: impl FnMut(Entry)) -> Option<usize> {
        let segment = self.segments.pop()?;
        self.buckets = 0;
        self.len = 0;
        self.bytes = 0;
        let mut count = 0;
        for bucket in segment.buckets {
            let more = bucket.more.map_or_else(Vec::new, Vec::from);
            for entry in bucket.first.into_iter().flatten().chain(more) {
                count += 1;
                take(entry);
            }
        }
        Some(count)
    }
}

#[cfg(test)]
mod tests;
