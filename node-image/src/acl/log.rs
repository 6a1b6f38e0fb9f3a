//! What was refused, for ACL LOG: the newest first, equal refusals within a minute as one.
//!
//! Not known here: why something is refused.

use std::collections::VecDeque;

/// Refusals that are this near are counted together.
const GROUPED_MS_MAX: i64 = 60_000;

/// Newest entries that a refusal is compared with.
const COMPARED_MAX: usize = 10;

/// One refusal, or several alike.
#[derive(Debug, Clone)]
pub struct Entry {
    /// How often.
    pub count: u64,
    /// `command`, `key`, `channel` or `auth`.
    pub reason: &'static str,
    /// `toplevel`, `multi` or `lua`.
    pub context: &'static str,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// Whose attempt.
    pub username: Vec<u8>,
    /// Unix time in milliseconds of the last one.
    pub at_ms: i64,
    /// The client as CLIENT LIST shows it.
    pub client: String,
}

impl Entry {
    fn is_like(&self, other: &Entry) -> bool {
        (self.reason, self.context) == (other.reason, other.context)
            && (&self.object, &self.username) == (&other.object, &other.username)
            && other.at_ms - self.at_ms <= GROUPED_MS_MAX
    }
}

/// The log.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
}

impl AclLog {
    /// Adds a refusal, and forgets the oldest beyond `entries_max`.
    pub fn add(&mut self, entry: Entry, entries_max: usize) {
        let known = self.entries.iter().take(COMPARED_MAX).position(|old| old.is_like(&entry));
        let before = known.and_then(|at| self.entries.remove(at));
        let count = before.map_or(0, |before| before.count) + entry.count;
        self.entries.push_front(Entry { count, ..entry });
        self.entries.truncate(entries_max);
    }

    /// The newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, at_ms: i64) -> Entry {
        Entry {
            count: 1,
            reason: "key",
            context: "toplevel",
            object: object.into(),
            username: b"u".to_vec(),
            at_ms,
            client: String::new(),
        }
    }

    #[test]
    fn equal_refusals_within_a_minute_are_one_entry_and_the_oldest_go() {
        let mut log = AclLog::default();
        for (object, at_ms) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(entry(object, at_ms), 128);
        }
        let seen: Vec<_> = log.entries().map(|e| (e.object.clone(), e.count)).collect();
        assert_eq!(seen, [(b"a".to_vec(), 1), (b"a".to_vec(), 2), (b"b".to_vec(), 1)]);
        log.add(entry("c", 120_002), 2);
        assert_eq!(log.entries().len(), 2);
        log.add(entry("d", 120_003), 0);
        assert_eq!(log.entries().len(), 0);
    }
}
