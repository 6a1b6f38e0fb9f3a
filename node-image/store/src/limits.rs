//! Where a collection changes its form, and the seed of every hash table.
//!
//! The thresholds are configuration and may change while the store runs, so they travel as an
//! argument of each write; a collection that was built under other thresholds keeps its form
//! until the next write that crosses one.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The key of SipHash-1-3. It comes from the operating system, so that nobody can prepare keys
/// that collide; in simulation it is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSeed(pub [u8; 16]);

impl HashSeed {
    /// The hash of a key or a field.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish() as u32
    }
}

/// Thresholds of `*-max-listpack-*`, under their names in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A hash with more fields than this becomes a table.
    pub hash_max_listpack_entries: usize,
    /// A hash with a longer field or value than this becomes a table.
    pub hash_max_listpack_value: usize,
    /// Positive: elements of a list's node. -1 to -5: bytes of a node, 4 KiB to 64 KiB.
    pub list_max_listpack_size: i32,
    /// A set of numbers with more members than this becomes a table.
    pub set_max_intset_entries: usize,
    /// A set with more members than this becomes a table, unless all are numbers; 0 as in Redis
    /// 7.0.
    pub set_max_listpack_entries: usize,
    /// A set with a longer member than this becomes a table.
    pub set_max_listpack_value: usize,
    /// A sorted set with more members than this becomes large.
    pub zset_max_listpack_entries: usize,
    /// A sorted set with a longer member than this becomes large.
    pub zset_max_listpack_value: usize,
    /// Bytes of a stream's node; 0 for no bound.
    pub stream_node_max_bytes: usize,
    /// Entries of a stream's node; 0 for no bound.
    pub stream_node_max_entries: usize,
    /// The seed of hash tables inside values.
    pub seed: HashSeed,
}

impl Limits {
    /// The defaults of Redis 7.
    pub fn new(seed: HashSeed) -> Self {
        Self {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            seed,
        }
    }
}
