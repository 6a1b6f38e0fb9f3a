//! A hash table that grows one bucket at a time: linear hashing.
//!
//! There is never a rehash pause, and never a second table. With `n` buckets, `L = log2(n)`
//! rounded down, the buckets below `n - 2^L` have been split and use one hash bit more:
//!
//!   n = 6, L = 2     bucket   0    1    2   3    4    5
//!                    suffix  000  001   10  11  100  101      next to split: 2 -> 010 and 110
//!
//! So a bucket is a leaf in a binary tree of hash *suffixes*. Read with its bits reversed, a hash
//! is a point on a line, a bucket is an interval of that line, and a split cuts one interval in
//! two. A cursor is a point on the line: everything before it has been visited, whatever splits
//! and merges happened meanwhile. SCAN's guarantee and the cursor of a snapshot rest on this.
//!
//! Buckets live in segments of 64 behind reference counts. The directory grows by one pointer
//! per segment, and a clone of a table shares all segments until one of both writes to one.
//!
//! Invariants: every item is in the bucket that its hash names; `len` counts the items.
//!
//! This table is for what large values hold; keys have one of their own, `table/keys.rs`, that
//! grows in the same way.
//!
//! Not known here: what an item is, what its hash was made from, and what time it is.

pub(crate) mod keys;

use std::sync::Arc;

/// The deadline of what never expires.
pub(crate) const NEVER: i64 = i64::MAX;

/// Buckets in a segment.
const SEGMENT: usize = 64;

/// Items per bucket, on average, above which a bucket is split.
const SPLIT_LOAD: usize = 4;

/// What a table holds.
pub(crate) trait Item: Clone {
    /// The hash of its key; must not change while the item is in a table.
    fn hash(&self) -> u32;
}

#[derive(Clone, Debug)]
struct Segment<T> {
    buckets: Vec<Vec<T>>,
}

/// The table. See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    segments: Vec<Arc<Segment<T>>>,
    buckets: usize,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { segments: Vec::new(), buckets: 0, len: 0 }
    }
}

/// The bucket of a hash among `buckets`, which is not zero.
fn bucket_of(hash: u32, buckets: usize) -> usize {
    let low = 1_usize << buckets.ilog2();
    let wide = hash as usize & (2 * low - 1);
    if wide < buckets { wide } else { wide & (low - 1) }
}

/// How many hash bits tell the bucket from the others.
fn depth_of(bucket: usize, buckets: usize) -> u32 {
    let low = 1_usize << buckets.ilog2();
    let split = buckets - low;
    buckets.ilog2() + u32::from(bucket < split || bucket >= low)
}

/// Whether a cursor has passed an item of that hash.
pub(crate) fn is_before(hash: u32, cursor: u32) -> bool {
    hash.reverse_bits() < cursor.reverse_bits()
}

impl<T: Item> Table<T> {
    /// How many items it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many buckets it has.
    pub(crate) fn bucket_count(&self) -> usize {
        self.buckets
    }

    fn bucket(&self, index: usize) -> &Vec<T> {
        &self.segments[index / SEGMENT].buckets[index % SEGMENT]
    }

    fn segment_mut(&mut self, bucket: usize) -> &mut Segment<T> {
        Arc::make_mut(&mut self.segments[bucket / SEGMENT])
    }

    /// The item of that hash for which `same` holds.
    pub(crate) fn find(&self, hash: u32, same: impl Fn(&T) -> bool) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        let bucket = self.bucket(bucket_of(hash, self.buckets));
        bucket.iter().find(|item| item.hash() == hash && same(item))
    }

    /// The same, to be changed in place. Its hash must stay.
    pub(crate) fn find_mut(&mut self, hash: u32, same: impl Fn(&T) -> bool) -> Option<&mut T> {
        if self.len == 0 {
            return None;
        }
        let index = bucket_of(hash, self.buckets);
        // Looking first spares the copy of a shared segment when there is nothing to change.
        let place = self.bucket(index).iter().position(|item| item.hash() == hash && same(item))?;
        self.segment_mut(index).buckets[index % SEGMENT].get_mut(place)
    }

    /// Adds an item that is not in the table.
    pub(crate) fn insert(&mut self, item: T) {
        if self.buckets == 0 {
            self.add_bucket(Vec::new());
        }
        let index = bucket_of(item.hash(), self.buckets);
        self.segment_mut(index).buckets[index % SEGMENT].push(item);
        self.len += 1;
        if self.len > self.buckets * SPLIT_LOAD {
            self.split();
        }
    }

    /// Takes an item out.
    pub(crate) fn remove(&mut self, hash: u32, same: impl Fn(&T) -> bool) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let index = bucket_of(hash, self.buckets);
        let place = self.bucket(index).iter().position(|item| item.hash() == hash && same(item))?;
        let bucket = &mut self.segment_mut(index).buckets[index % SEGMENT];
        let item = bucket.swap_remove(place);
        if bucket.is_empty() {
            *bucket = Vec::new();
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len < self.buckets && self.buckets > 1 {
            self.merge();
        }
        Some(item)
    }

    fn add_bucket(&mut self, items: Vec<T>) {
        if self.buckets.is_multiple_of(SEGMENT) {
            self.segments.push(Arc::new(Segment { buckets: vec![items] }));
        } else {
            self.segment_mut(self.buckets).buckets.push(items);
        }
        self.buckets += 1;
    }

    /// Cuts the next bucket in two: what has the additional hash bit moves to a new last bucket.
    fn split(&mut self) {
        let low = 1_usize << self.buckets.ilog2();
        let source = self.buckets - low;
        let target = self.buckets;
        let bucket = &mut self.segment_mut(source).buckets[source % SEGMENT];
        let (moved, kept) = std::mem::take(bucket)
            .into_iter()
            .partition(|item| item.hash() as usize & (2 * low - 1) == target);
        *bucket = kept;
        self.add_bucket(moved);
    }

    /// Undoes the last split.
    fn merge(&mut self) {
        let last = self.buckets - 1;
        let target = last - (1_usize << last.ilog2());
        let segment = self.segment_mut(last);
        let Some(items) = segment.buckets.pop() else { return };
        if segment.buckets.is_empty() {
            self.segments.pop();
        }
        self.buckets = last;
        self.segment_mut(target).buckets[target % SEGMENT].extend(items);
    }

    /// Every item, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|segment| segment.buckets.iter().flatten())
    }

    /// Shows the bucket at the cursor, and tells the next cursor; 0 means that it was the last.
    /// Start with 0. The items before the cursor may be shown once more after a merge.
    pub(crate) fn scan(&self, cursor: u32, mut show: impl FnMut(&T)) -> u32 {
        if self.buckets == 0 {
            return 0;
        }
        let index = bucket_of(cursor, self.buckets);
        for item in self.bucket(index) {
            show(item);
        }
        let depth = depth_of(index, self.buckets);
        if depth == 0 {
            return 0;
        }
        // One further in the interval's own width, on the line of reversed bits.
        let width = 1_u32 << (32 - depth);
        let start = (index as u32).reverse_bits();
        start.wrapping_add(width).reverse_bits()
    }

    /// An item chosen evenly; `random` gives a fresh number with each call.
    pub(crate) fn random(&self, mut random: impl FnMut() -> u64) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        // A place in a bucket that has room for 16, drawn again when nothing is there: each item
        // of a bucket up to that size has the same chance.
        const ROOM: usize = 4 * SPLIT_LOAD;
        for _ in 0..512 {
            let drawn = random();
            let bucket = self.bucket((drawn >> 32) as usize % self.buckets);
            let room = ROOM.max(bucket.len());
            if let Some(item) = bucket.get(drawn as u32 as usize % room) {
                return Some(item);
            }
        }
        self.iter().next()
    }

    /// Frees one segment, so that a large table can go in pieces: how many items went. The table
    /// is good for nothing else afterwards. `None` when it is empty.
    pub(crate) fn crumble(&mut self) -> Option<usize> {
        let segment = self.segments.pop()?;
        self.buckets = 0;
        self.len = 0;
        Some(segment.buckets.iter().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests;
