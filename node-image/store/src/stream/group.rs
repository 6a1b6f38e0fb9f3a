//! Groups of consumers: who was given which entry and has not yet acknowledged it.
//!
//!   group    last id 7-0     pending  1-0 -> ann   2-0 -> bob   7-0 -> ann
//!   ann      pending  1-0 7-0
//!   bob      pending  2-0
//!
//! Every pending entry stands twice: in the group's map, with its consumer, and in that consumer's.
//! Both change in the same function here, never one alone.
//!
//! Not known here: the entries themselves, which may be gone while they are still pending.

use std::{collections::BTreeMap, sync::Arc};

use super::{id::StreamId, id_map::IdMap};

/// What a pending entry costs in both maps.
const PENDING_BYTES: usize = 72;

/// What a group or a consumer costs beyond its name.
const NAMED_BYTES: usize = 120;

/// An entry that was given to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// To whom.
    pub consumer: Arc<[u8]>,
    /// When, in milliseconds of Unix time; the last time.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

/// Who reads in the name of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    /// When it was last heard of, in milliseconds of Unix time.
    pub seen_ms: i64,
    pending: IdMap<()>,
}

impl Consumer {
    /// How many entries it has not acknowledged.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The entries that it has not acknowledged, from an id on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.iter_from(start).map(|(id, ())| id)
    }
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The last entry that was given to anybody.
    pub last_id: StreamId,
    /// How many entries of the stream were read up to there; `None` where that is not known.
    pub entries_read: Option<u64>,
    pending: IdMap<Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
    names_bytes: usize,
}

impl Group {
    /// A group that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    fn bytes(&self) -> usize {
        NAMED_BYTES + self.names_bytes + self.pending.len() * PENDING_BYTES
    }

    /// The entries that nobody has acknowledged yet.
    pub fn pending(&self) -> &IdMap<Pending> {
        &self.pending
    }

    /// Its consumers by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&[u8], &Consumer)> {
        self.consumers.iter().map(|(name, consumer)| (&**name, consumer))
    }

    /// The consumer of that name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// Notes that a consumer was heard of; true when it is a new one.
    pub fn see(&mut self, name: &[u8], now_ms: i64) -> bool {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now_ms;
            return false;
        }
        self.add_consumer(name, now_ms)
    }

    /// Adds a consumer; false when it was there already.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> bool {
        if self.consumers.contains_key(name) {
            return false;
        }
        self.names_bytes += NAMED_BYTES + name.len();
        let consumer = Consumer { seen_ms: now_ms, pending: IdMap::default() };
        self.consumers.insert(name.into(), consumer);
        true
    }

    /// Removes a consumer with everything that it has not acknowledged: how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.names_bytes -= NAMED_BYTES + name.len();
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer, whoever had it before. Nothing happens without the consumer.
    pub fn assign(&mut self, id: StreamId, name: &[u8], delivered_ms: i64, deliveries: u64) {
        let Some((name, _)) = self.consumers.get_key_value(name) else { return };
        let consumer = Arc::clone(name);
        let pending = Pending { consumer: Arc::clone(&consumer), delivered_ms, deliveries };
        let before = self.pending.insert(id, pending).map(|before| before.consumer);
        if before.as_ref() == Some(&consumer) {
            return;
        }
        if let Some(owner) = before.and_then(|name| self.consumers.get_mut(&name)) {
            owner.pending.remove(id);
        }
        if let Some(owner) = self.consumers.get_mut(&consumer) {
            owner.pending.insert(id, ());
        }
    }

    /// Notes that its consumer was given an entry once more.
    pub fn deliver_again(&mut self, id: StreamId, now_ms: i64) {
        if let Some(pending) = self.pending.get_mut(id) {
            pending.delivered_ms = now_ms;
            pending.deliveries = pending.deliveries.wrapping_add(1);
        }
    }

    /// An entry is no longer pending; false when it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        if let Some(owner) = self.consumers.get_mut(&pending.consumer) {
            owner.pending.remove(id);
        }
        true
    }
}

/// The groups of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    groups: BTreeMap<Box<[u8]>, Group>,
    bytes: usize,
}

impl Groups {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that wait for an acknowledgement, in all groups.
    pub(super) fn pending(&self) -> usize {
        self.groups.values().map(|group| group.pending.len()).sum()
    }

    /// Adds a group; false when there is one of that name.
    pub fn add(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.bytes += group.bytes() + name.len();
        self.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; false when there is none of that name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self.groups.remove(name) {
            Some(group) => {
                self.bytes -= group.bytes() + name.len();
                true
            }
            None => false,
        }
    }

    /// The group of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Changes the group of that name: what the closure gave, `None` without the group.
    pub fn change<R>(&mut self, name: &[u8], change: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let group = self.groups.get_mut(name)?;
        let before = group.bytes();
        let result = change(group);
        self.bytes = self.bytes + group.bytes() - before;
        Some(result)
    }

    /// All of them by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// Frees pending entries, then groups: how many pieces went.
    pub(super) fn crumble(&mut self, pieces: usize) -> usize {
        let mut freed = 0;
        while freed < pieces
            && let Some(mut last) = self.groups.last_entry()
        {
            let group = last.get_mut();
            let before = group.bytes();
            let mut went = group.pending.crumble(pieces - freed);
            self.bytes = self.bytes + group.bytes() - before;
            if let Some(mut consumer) = group.consumers.last_entry() {
                went += consumer.get_mut().pending.crumble(pieces - freed);
                if consumer.get().pending.is_empty() {
                    let (name, _) = consumer.remove_entry();
                    group.names_bytes -= NAMED_BYTES + name.len();
                    self.bytes -= NAMED_BYTES + name.len();
                    went += 1;
                }
            } else if went == 0 {
                let (name, group) = last.remove_entry();
                self.bytes -= group.bytes() + name.len();
                went = 1;
            }
            freed += went;
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    fn group() -> Group {
        let mut group = Group::new(id(0), Some(0));
        group.add_consumer(b"ann", 5);
        group.add_consumer(b"bob", 5);
        group.assign(id(1), b"ann", 10, 1);
        group.assign(id(2), b"bob", 10, 1);
        group.assign(id(7), b"ann", 10, 1);
        group
    }

    fn ids(group: &Group, name: &[u8]) -> Vec<u64> {
        let consumer = group.consumer(name).unwrap();
        consumer.pending_from(StreamId::MIN).map(|id| id.ms).collect()
    }

    #[test]
    fn an_entry_is_pending_with_one_consumer_at_a_time() {
        let mut group = group();
        group.assign(id(1), b"bob", 20, 2);
        assert_eq!((ids(&group, b"ann"), ids(&group, b"bob")), (vec![7], vec![1, 2]));
        assert_eq!(group.pending().get(id(1)).unwrap().deliveries, 2);
        assert!(group.acknowledge(id(1)));
        assert!(!group.acknowledge(id(1)));
        assert_eq!(ids(&group, b"bob"), vec![2]);
    }

    #[test]
    fn a_consumer_takes_along_what_it_has_not_acknowledged() {
        let mut group = group();
        assert_eq!(group.remove_consumer(b"ann"), Some(2));
        assert_eq!(group.remove_consumer(b"ann"), None);
        assert_eq!(group.pending().len(), 1);
    }

    #[test]
    fn memory_is_counted_down_to_nothing() {
        let mut groups = Groups::default();
        groups.add(b"g", group());
        groups.add(b"empty", Group::default());
        groups.change(b"g", |group| group.assign(id(9), b"bob", 1, 1));
        assert!(groups.bytes() > 0);
        let mut rest = groups.clone();
        rest.remove(b"g");
        rest.remove(b"empty");
        assert_eq!(rest.bytes(), 0);
        while groups.crumble(1) > 0 {}
        assert_eq!((groups.bytes(), groups.len()), (0, 0));
    }
}
