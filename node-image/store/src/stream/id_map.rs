//! A map from ids to small values, cheap to clone and to change after that.
//!
//!   first id of a chunk   1-0            7-3           9-0
//!   chunk (shared)        [1-0 2-0 5-1]  [7-3 8-0]     [9-0 9-1 9-2 ...]
//!
//! Pending entries of a consumer group may be millions. They lie in sorted chunks behind reference
//! counts: a clone copies the pointers, a write after that copies the one chunk that it touches.
//! Ids mostly come in order, so a full last chunk is left full and a new one begun; in the middle
//! a full chunk is split in half.
//!
//! Invariants: no chunk is empty; a chunk's key is at or below its first id and above all ids of
//! the chunk before; `len` counts the ids.
//!
//! Not known here: what the values mean.

use std::{collections::BTreeMap, sync::Arc};

use super::id::StreamId;

/// Ids of a chunk at most, so that a copy of one stays short.
const CHUNK_MAX: usize = 128;

type Chunk<V> = Arc<Vec<(StreamId, V)>>;

/// A sorted map with shared chunks.
#[derive(Clone, Debug)]
pub struct IdMap<V> {
    chunks: BTreeMap<StreamId, Chunk<V>>,
    len: usize,
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self { chunks: BTreeMap::new(), len: 0 }
    }
}

impl<V: Clone> IdMap<V> {
    /// How many ids it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunk in which an id is, or would be.
    fn chunk(&self, id: StreamId) -> Option<(StreamId, &Chunk<V>)> {
        let below = self.chunks.range(..=id).next_back();
        below.map(|(first, chunk)| (*first, chunk))
    }

    fn chunk_mut(&mut self, id: StreamId) -> Option<(StreamId, &mut Vec<(StreamId, V)>)> {
        let below = self.chunks.range_mut(..=id).next_back();
        below.map(|(first, chunk)| (*first, Arc::make_mut(chunk)))
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let (_, chunk) = self.chunk(id)?;
        let at = chunk.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// The value of an id, to be changed.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        self.get(id)?;
        let (_, chunk) = self.chunk_mut(id)?;
        let at = chunk.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        chunk.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of an id: the one that it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(id) {
            return Some(std::mem::replace(old, value));
        }
        self.len += 1;
        let is_last = self.chunks.last_key_value().is_none_or(|(_, last)| {
            last.last().is_none_or(|(last, _)| *last < id) && last.len() >= CHUNK_MAX
        });
        if is_last {
            self.chunks.insert(id, Arc::new(vec![(id, value)]));
            return None;
        }
        if self.chunk(id).is_none()
            && let Some((_, first)) = self.chunks.pop_first()
        {
            self.chunks.insert(id, first);
        }
        let upper = self.chunk_mut(id).and_then(|(_, chunk)| {
            let at = chunk.partition_point(|(before, _)| *before < id);
            chunk.insert(at, (id, value));
            (chunk.len() > CHUNK_MAX).then(|| chunk.split_off(CHUNK_MAX / 2))
        });
        if let Some(upper) = upper
            && let Some((first, _)) = upper.first()
        {
            self.chunks.insert(*first, Arc::new(upper));
        }
        None
    }

    /// Takes an id out: the value that it had.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        self.get(id)?;
        let (key, chunk) = self.chunk_mut(id)?;
        let at = chunk.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let (_, value) = chunk.remove(at);
        if chunk.is_empty() {
            self.chunks.remove(&key);
        }
        self.len -= 1;
        Some(value)
    }

    /// Every id from `start` on, with its value.
    pub fn iter_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let first = self.chunk(start).map_or(start, |(key, _)| key);
        self.chunks
            .range(first..)
            .flat_map(|(_, chunk)| chunk.iter())
            .skip_while(move |(id, _)| *id < start)
            .map(|(id, value)| (*id, value))
    }

    /// Every id with its value.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (StreamId, &V)> {
        self.chunks.values().flat_map(|chunk| chunk.iter()).map(|(id, value)| (*id, value))
    }

    /// Frees chunks until `count` ids are gone: how many went.
    pub(crate) fn crumble(&mut self, count: usize) -> usize {
        let mut freed = 0;
        while freed < count
            && let Some((_, chunk)) = self.chunks.pop_last()
        {
            freed += chunk.len();
        }
        self.len -= freed;
        freed
    }
}

/// Maps are equal when their ids and values are, wherever the borders of chunks lie.
impl<V: Clone + PartialEq> PartialEq for IdMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: Clone + Eq> Eq for IdMap<V> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_sound(map: &IdMap<u32>) -> bool {
        let sorted = map.iter().map(|(id, _)| id).is_sorted_by(|a, b| a < b);
        let full = map.chunks.iter().all(|(key, chunk)| {
            chunk.first().is_some_and(|(first, _)| key <= first) && chunk.len() <= CHUNK_MAX
        });
        sorted && full && map.iter().count() == map.len()
    }

    #[test]
    fn a_clone_does_not_see_what_comes_later() {
        let mut map = IdMap::default();
        for ms in 0..1000 {
            map.insert(StreamId::new(ms, 0), ms as u32);
        }
        let before = map.clone();
        for ms in (0..1000).step_by(3) {
            map.remove(StreamId::new(ms, 0));
        }
        *map.get_mut(StreamId::new(1, 0)).unwrap() = 77;
        assert_eq!(before.len(), 1000);
        assert!(before.iter().all(|(id, value)| id.ms == u64::from(*value)));
        assert!(is_sound(&map) && is_sound(&before));
    }

    #[test]
    fn ids_in_order_fill_their_chunks() {
        let mut map = IdMap::default();
        for ms in 0..1280 {
            map.insert(StreamId::new(ms, 0), 0);
        }
        assert_eq!(map.chunks.len(), 10);
    }

    proptest! {
        #[test]
        fn it_is_the_map_that_a_plain_tree_is(
            steps in proptest::collection::vec((0u64..600, 0u8..3, any::<u32>()), 0..1500),
            start in 0u64..600,
        ) {
            let mut map = IdMap::default();
            let mut model = BTreeMap::new();
            for (ms, action, value) in steps {
                let id = StreamId::new(ms, ms % 2);
                if action == 0 {
                    prop_assert_eq!(map.remove(id), model.remove(&id));
                } else {
                    prop_assert_eq!(map.insert(id, value), model.insert(id, value));
                }
            }
            prop_assert!(is_sound(&map));
            let start = StreamId::new(start, 0);
            let rest: Vec<_> = map.iter_from(start).map(|(id, value)| (id, *value)).collect();
            let wanted: Vec<_> = model.range(start..).map(|(id, value)| (*id, *value)).collect();
            prop_assert_eq!(rest, wanted);
        }
    }
}
