//! Streams: a log of entries that only grows at its end, and groups of consumers that read it.
//!
//!   id of first entry   1-0                5-0                8-2
//!   node (shared)       [1-0 1-1 x 3-0]    [5-0 5-1 6-0]      [8-2 9-0 ...    appended here
//!                            |
//!                            deleted: marked, gone with its node
//!
//! Entries lie in nodes of about 4 KiB, each a listpack as Redis has it (`stream/node.rs`), in a
//! tree by the id of the first entry. An id is found by the last node at or below it and a walk
//! through that node. Trimming drops nodes from the front; trimming that may be approximate drops
//! nothing else. A node is behind a reference count: a clone of a stream shares every node, and a
//! write copies the one node that it touches, which makes a snapshot of a long stream affordable.
//!
//! Invariants: every node has an entry that is not deleted; ids grow from node to node; `len`
//! counts the live entries; `first_id` is the id of the first of them, 0-0 without any; `last_id`
//! is at or above every id. A stream without entries is a value like any other.
//!
//! Not known here: the clock, commands, and what replicas are told.

use std::{collections::BTreeMap, sync::Arc};

use crate::limits::Limits;

mod group;
mod id;
mod id_map;
mod node;

pub use group::{Consumer, Group, Groups, Pending};
pub use id::StreamId;
pub use id_map::IdMap;
pub(crate) use node::BadNode;
pub use node::{Entry, Node};

/// No node and no entry is larger; the file format has 32 bits for it.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// What a tree of nodes costs for each of them.
const LINK_BYTES: usize = 40;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The entries.
    pub log: Log,
    /// Who reads them together.
    pub groups: Groups,
}

impl Stream {
    /// A stream without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// An estimate of its memory.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.log.bytes + self.groups.bytes()
    }

    /// How many pieces must be freed when it goes.
    pub fn pieces(&self) -> usize {
        1 + self.log.nodes.len() + self.groups.pending()
    }

    /// Frees some pieces: how many went.
    pub(crate) fn crumble(&mut self, pieces: usize) -> usize {
        let mut freed = 0;
        while freed < pieces
            && let Some((_, node)) = self.log.nodes.pop_last()
        {
            self.log.bytes = self.log.bytes.saturating_sub(node.bytes() + LINK_BYTES);
            self.log.len = self.log.len.saturating_sub(node.live);
            freed += 1;
        }
        if freed < pieces {
            freed += self.groups.crumble(pieces - freed);
        }
        freed
    }
}

/// Which entries XTRIM keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// The last ones, so many.
    MaxLen(u64),
    /// Those from this id on.
    MinId(StreamId),
}

/// The entries of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    nodes: BTreeMap<StreamId, Arc<Node>>,
    len: u64,
    /// The newest id that was ever given; the next one is above it.
    pub last_id: StreamId,
    first_id: StreamId,
    /// The greatest id that was deleted by name.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
    bytes: usize,
}

impl Log {
    /// How many entries it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; 0-0 without any.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last entry that is still there; 0-0 without any.
    pub fn last_entry_id(&self) -> StreamId {
        match self.nodes.last_key_value() {
            // Nothing at the end was deleted by name, and trimming begins at the front.
            Some((_, last)) if last.last_id > self.max_deleted_id => last.last_id,
            _ => {
                let last = self.iter_back(StreamId::MIN, StreamId::MAX).next();
                last.map_or(StreamId::MIN, |entry| entry.id)
            }
        }
    }

    /// Its nodes, each under its base.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Node)> {
        self.nodes.iter().map(|(base, node)| (*base, &**node))
    }

    /// Appends an entry; `fields` are fields and values in turn. False, and nothing changed, when
    /// the id is not above the last one.
    pub fn append(&mut self, id: StreamId, fields: &[&[u8]], limits: &Limits) -> bool {
        if id <= self.last_id {
            return false;
        }
        let size = fields.iter().map(|part| part.len()).sum();
        let open = self.nodes.last_entry().filter(|last| has_room(last.get(), size, limits));
        match open {
            Some(mut last) => {
                let base = *last.key();
                let node = Arc::make_mut(last.get_mut());
                let before = node.bytes();
                node.push(base, id, fields);
                self.bytes += node.bytes() - before;
            }
            None => {
                let mut node = Node::new(fields);
                node.push(id, id, fields);
                self.bytes += node.bytes() + LINK_BYTES;
                self.nodes.insert(id, Arc::new(node));
            }
        }
        self.last_id = id;
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        true
    }

    /// Entries from `start` to `end`, both included.
    pub fn iter(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        let first = self.nodes.range(..=start).next_back().map_or(start, |(base, _)| *base);
        self.nodes
            .range(first..)
            .flat_map(|(base, node)| node.entries(*base))
            .skip_while(move |entry| entry.id < start)
            .take_while(move |entry| entry.id <= end)
    }

    /// Entries from `end` back to `start`, both included.
    pub fn iter_back(&self, start: StreamId, end: StreamId) -> impl Iterator<Item = Entry<'_>> {
        self.nodes
            .range(..=end)
            .rev()
            .flat_map(|(base, node)| {
                let mut entries: Vec<_> = node.entries(*base).collect();
                entries.reverse();
                entries
            })
            .skip_while(move |entry| entry.id > end)
            .take_while(move |entry| entry.id >= start)
    }

    /// The entry of an id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.iter(id, id).next()
    }

    /// Deletes an entry; false when there is none of that id.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let Some(place) = self.get(id).map(|entry| entry.place()) else { return false };
        let Some((base, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        if node.live == 1 {
            let base = *base;
            self.drop_node(base);
        } else {
            Arc::make_mut(node).delete(place);
            self.len -= 1;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if self.first_id == id {
            self.find_first();
        }
        true
    }

    fn find_first(&mut self) {
        let first = self.iter(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or(StreamId::MIN);
    }

    fn drop_node(&mut self, base: StreamId) {
        if let Some(node) = self.nodes.remove(&base) {
            self.len -= node.live;
            self.bytes -= node.bytes() + LINK_BYTES;
        }
    }

    /// Removes entries from the front: how many went. `limit` bounds that number, whole nodes at
    /// a time. Approximate trimming removes whole nodes only.
    pub fn trim(&mut self, to: Trim, approximate: bool, limit: Option<u64>) -> u64 {
        let before = self.len;
        while let Some((base, node)) = self.nodes.first_key_value() {
            let whole = match to {
                Trim::MaxLen(len) if self.len <= len => break,
                Trim::MaxLen(len) => self.len - node.live >= len,
                Trim::MinId(id) => node.last_id < id,
            };
            if limit.is_some_and(|limit| before - self.len + node.live > limit) {
                break;
            }
            if !whole {
                if !approximate {
                    self.trim_first_node(to);
                }
                break;
            }
            let base = *base;
            self.drop_node(base);
        }
        if self.len != before {
            self.find_first();
        }
        before - self.len
    }

    fn trim_first_node(&mut self, to: Trim) {
        let Some(mut first) = self.nodes.first_entry() else { return };
        let base = *first.key();
        let count = match to {
            Trim::MaxLen(len) => usize::try_from(self.len - len).unwrap_or(usize::MAX),
            Trim::MinId(_) => usize::MAX,
        };
        let goes = |id: StreamId| !matches!(to, Trim::MinId(min) if id >= min);
        let entries = first.get().entries(base).take_while(|entry| goes(entry.id));
        let places: Vec<_> = entries.take(count).map(|entry| entry.place()).collect();
        if places.is_empty() {
            return;
        }
        if places.len() as u64 == first.get().live {
            return self.drop_node(base);
        }
        self.len -= places.len() as u64;
        let node = Arc::make_mut(first.get_mut());
        places.into_iter().for_each(|place| node.delete(place));
    }

    /// Adds a node that was read from a file.
    pub(crate) fn push_listpack(&mut self, base: StreamId, bytes: &[u8]) -> Result<(), BadNode> {
        let after = self.nodes.last_key_value().map(|(_, node)| node.last_id);
        if after.is_some_and(|after| after >= base) {
            return Err(BadNode("nodes of a stream are not in order"));
        }
        let node = Node::from_listpack(bytes, base, after)?;
        self.last_id = self.last_id.max(node.last_id);
        if node.live > 0 {
            // A node with nothing but deleted entries is of no use to anybody.
            self.len += node.live;
            self.bytes += node.bytes() + LINK_BYTES;
            self.nodes.insert(base, Arc::new(node));
            if self.first_id == StreamId::MIN {
                self.find_first();
            }
        }
        Ok(())
    }

    /// Whether an entry at or above `id`, and above the first one, was deleted by name.
    pub fn has_tombstone_from(&self, id: StreamId) -> bool {
        self.len > 0 && self.first_id <= self.max_deleted_id && id <= self.max_deleted_id
    }

    /// How many entries were ever added up to this id, where that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.len == 0 && id < self.last_id) {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.wrapping_sub(self.len);
            if id < self.first_id {
                return Some(before_first);
            }
            if id == self.first_id {
                return Some(before_first.wrapping_add(1));
            }
        }
        None
    }

    /// How many nodes a radix tree over the bytes of the bases has, with chains of single children
    /// in one node each: what XINFO tells.
    pub fn radix_nodes(&self) -> usize {
        let keys: Vec<[u8; 16]> = self.nodes.keys().map(|base| base.to_bytes()).collect();
        let shared = |pair: &[[u8; 16]]| match pair {
            [a, b] => a.iter().zip(b).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        let common: Vec<usize> = keys.windows(2).map(shared).collect();
        // Branches on the path to the current key, by their depth, the deepest last.
        let mut path: Vec<usize> = Vec::new();
        let mut count = usize::from(keys.is_empty());
        let chain = |parent: Option<&usize>, depth: usize| {
            usize::from(depth > parent.map_or(0, |parent| parent + 1))
        };
        for at in 0..keys.len() {
            let before = at.checked_sub(1).and_then(|at| common.get(at)).copied();
            let after = common.get(at).copied();
            while let Some(depth) = path.last().copied()
                && before.is_some_and(|before| depth > before)
            {
                path.pop();
                count += 1 + chain(path.last().max(before.as_ref()), depth);
            }
            if let Some(before) = before
                && path.last() != Some(&before)
            {
                path.push(before);
            }
            count += 1 + chain(before.max(after).as_ref(), 16);
        }
        while let Some(depth) = path.pop() {
            count += 1 + chain(path.last(), depth);
        }
        count
    }
}

fn has_room(node: &Node, more: usize, limits: &Limits) -> bool {
    let bytes_max = match limits.stream_node_max_bytes {
        0 => ENTRY_BYTES_MAX,
        bytes => bytes.min(ENTRY_BYTES_MAX),
    };
    let count = usize::try_from(node.live + node.deleted).unwrap_or(usize::MAX);
    let count_max = limits.stream_node_max_entries;
    node.listpack_bytes().saturating_add(more) < bytes_max && (count_max == 0 || count < count_max)
}

#[cfg(test)]
mod tests;
