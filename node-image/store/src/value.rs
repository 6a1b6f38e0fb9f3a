//! A value: what a key holds.
//!
//! Cloning a value is cheap where it is large. Large collections are made of nodes and segments
//! behind reference counts; a clone shares them all, and a later write copies only the node that
//! it touches. Snapshots and COPY build on this.
//!
//! Not known here: keys, expiry, databases.

use crate::{
    hash::Hash, list::List, set::Set, sorted_set::SortedSet, stream::Stream, string::StringValue,
};

/// What OBJECT ENCODING tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A string that is kept as a number.
    Int,
    /// A short string that has never been changed in place.
    Embstr,
    /// Any other string.
    Raw,
    /// A list.
    Quicklist,
    /// A small hash, set or sorted set.
    Listpack,
    /// A large hash or set.
    Hashtable,
    /// A set of numbers.
    Intset,
    /// A large sorted set, named after what Redis has in its place.
    Skiplist,
    /// A stream.
    Stream,
}

impl Encoding {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Quicklist => "quicklist",
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
            Self::Intset => "intset",
            Self::Skiplist => "skiplist",
            Self::Stream => "stream",
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Bytes or a number.
    String,
    /// A sequence of strings.
    List,
    /// Fields with values.
    Hash,
    /// Members, each once.
    Set,
    /// Members with scores.
    SortedSet,
    /// A log of entries.
    Stream,
}

impl ValueType {
    /// The name in replies of TYPE and in SCAN's TYPE option.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bytes or a number.
    String(StringValue),
    /// A sequence of strings.
    List(Box<List>),
    /// Fields with values.
    Hash(Box<Hash>),
    /// Members, each once.
    Set(Box<Set>),
    /// Members with scores.
    SortedSet(Box<SortedSet>),
    /// A log of entries.
    Stream(Box<Stream>),
}

impl Value {
    /// Its type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::List(_) => ValueType::List,
            Self::Hash(_) => ValueType::Hash,
            Self::Set(_) => ValueType::Set,
            Self::SortedSet(_) => ValueType::SortedSet,
            Self::Stream(_) => ValueType::Stream,
        }
    }

    /// How it is kept, in Redis 7.0's words.
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::String(string) => string.encoding(),
            Self::List(_) => Encoding::Quicklist,
            Self::Hash(hash) => hash.encoding(),
            Self::Set(set) => set.encoding(),
            Self::SortedSet(set) => set.encoding(),
            Self::Stream(_) => Encoding::Stream,
        }
    }

    /// An estimate of its memory beyond the entry itself, in bytes; constant time.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::String(string) => string.heap_bytes(),
            Self::List(list) => list.heap_bytes(),
            Self::Hash(hash) => hash.heap_bytes(),
            Self::Set(set) => set.heap_bytes(),
            Self::SortedSet(set) => set.heap_bytes(),
            Self::Stream(stream) => stream.heap_bytes(),
        }
    }

    /// How many pieces must be freed when it goes: 1 for a string, the elements of anything else.
    pub fn pieces(&self) -> usize {
        match self {
            Self::String(_) => 1,
            Self::List(list) => list.len(),
            Self::Hash(hash) => hash.len(),
            Self::Set(set) => set.len(),
            // The table's and the tree's go one after the other.
            Self::SortedSet(set) => set.len() * 2,
            Self::Stream(stream) => stream.pieces(),
        }
    }

    /// Frees some of it, at least `pieces` if there are as many: how many pieces went, 0 when only
    /// an empty shell is left.
    pub(crate) fn crumble(&mut self, pieces: usize) -> usize {
        match self {
            Self::String(_) => 0,
            Self::List(list) => list.crumble(pieces),
            Self::Hash(hash) => hash.crumble(),
            Self::Set(set) => set.crumble(),
            Self::SortedSet(set) => set.crumble(),
            Self::Stream(stream) => stream.crumble(pieces),
        }
    }

    /// Whether it is a collection without elements, which must not stay in the keyspace. A stream
    /// may, so it never is one.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::String(_) | Self::Stream(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::SortedSet(set) => set.is_empty(),
        }
    }
}

impl From<StringValue> for Value {
    fn from(string: StringValue) -> Self {
        Self::String(string)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(Box::new(list))
    }
}

impl From<SortedSet> for Value {
    fn from(set: SortedSet) -> Self {
        Self::SortedSet(Box::new(set))
    }
}

impl From<Set> for Value {
    fn from(set: Set) -> Self {
        Self::Set(Box::new(set))
    }
}

impl From<Hash> for Value {
    fn from(hash: Hash) -> Self {
        Self::Hash(Box::new(hash))
    }
}

impl From<Stream> for Value {
    fn from(stream: Stream) -> Self {
        Self::Stream(Box::new(stream))
    }
}
