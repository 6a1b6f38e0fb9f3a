//! Clients that wait for keys, in the order in which they came.
//!
//! For each key a queue; a client that waits for several keys stands in several queues. A touched
//! key that somebody waits for is remembered until the unit of work is over, then the core runs
//! the waiting commands again, the oldest first. Not known here: what the commands do.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::clients::ClientId;

type Key = (usize, Vec<u8>);

/// Who waits for what.
#[derive(Debug, Default)]
pub struct BlockedClients {
    queues: HashMap<Key, VecDeque<ClientId>>,
    touched: VecDeque<Key>,
    deadlines: BTreeSet<(i64, ClientId)>,
    count: usize,
}

impl BlockedClients {
    /// Number of clients that wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The client waits for these keys of a database.
    pub fn add(&mut self, id: ClientId, db: usize, keys: &[Vec<u8>], deadline_ms: Option<i64>) {
        self.count += 1;
        for key in keys {
            let queue = self.queues.entry((db, key.clone())).or_default();
            if !queue.contains(&id) {
                queue.push_back(id);
            }
        }
        if let Some(deadline_ms) = deadline_ms {
            self.deadlines.insert((deadline_ms, id));
        }
    }

    /// The client no longer waits.
    pub fn remove(&mut self, id: ClientId, db: usize, keys: &[Vec<u8>], deadline_ms: Option<i64>) {
        self.count = self.count.saturating_sub(1);
        for key in keys {
            let key = (db, key.clone());
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.retain(|waiting| *waiting != id);
                if queue.is_empty() {
                    self.queues.remove(&key);
                }
            }
        }
        if let Some(deadline_ms) = deadline_ms {
            self.deadlines.remove(&(deadline_ms, id));
        }
    }

    /// Remembers the key when somebody waits for it.
    pub fn touched(&mut self, db: usize, key: &[u8]) {
        if self.queues.is_empty() {
            return;
        }
        let key = (db, key.to_vec());
        if self.queues.contains_key(&key) && !self.touched.contains(&key) {
            self.touched.push_back(key);
        }
    }

    /// True when a key was touched that somebody waits for.
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The next touched key, and who waits for it, the oldest first.
    pub fn next_touched(&mut self) -> Option<(usize, Vec<ClientId>)> {
        let key = self.touched.pop_front()?;
        let waiting = self.queues.get(&key).map(|queue| queue.iter().copied().collect());
        Some((key.0, waiting.unwrap_or_default()))
    }

    /// A client whose time is over.
    pub fn next_expired(&self, now_ms: i64) -> Option<ClientId> {
        let (deadline_ms, id) = self.deadlines.first()?;
        (*deadline_ms <= now_ms).then_some(*id)
    }

    /// When the next client's time is over.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Number of waits with a deadline.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Everybody who waits for a key, with the key's database and name.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.queues.keys().map(|(db, key)| (*db, key.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> ClientId {
        ClientId { place: serial as usize, serial }
    }

    #[test]
    fn who_came_first_is_served_first() {
        let mut blocked = BlockedClients::default();
        blocked.add(id(2), 0, &[b"k".to_vec(), b"l".to_vec()], None);
        blocked.add(id(1), 0, &[b"k".to_vec()], Some(50));
        blocked.touched(0, b"k");
        blocked.touched(0, b"k");
        blocked.touched(1, b"k");
        assert_eq!(blocked.next_touched(), Some((0, vec![id(2), id(1)])));
        assert_eq!(blocked.next_touched(), None);
    }

    #[test]
    fn who_has_left_is_in_no_queue() {
        let mut blocked = BlockedClients::default();
        let keys = [b"k".to_vec(), b"l".to_vec()];
        blocked.add(id(1), 0, &keys, Some(50));
        assert_eq!(blocked.next_expired(49), None);
        assert_eq!(blocked.next_expired(50), Some(id(1)));
        blocked.remove(id(1), 0, &keys, Some(50));
        blocked.touched(0, b"l");
        assert_eq!(blocked.next_touched(), None);
        assert_eq!(blocked.next_expired(1000), None);
        assert!(blocked.is_empty());
    }
}
