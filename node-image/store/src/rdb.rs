//! RDB: the snapshot format of files, full syncs and DUMP payloads.
//!
//! ```text
//!   "REDIS0010"  (AUX key value)*  (SELECTDB n  RESIZEDB keys expires  entry*)*  EOF  crc64
//!   entry: [EXPIRETIME_MS at]  type  key  value
//! ```
//!
//! [`Writer`] is fed entry by entry and gives bytes away in pieces; [`Reader`] is fed bytes in
//! pieces and gives entries away. Neither needs a whole snapshot in memory, and neither allocates
//! on a header's word. We write version 10, the newest that Redis 7.0 accepts, and read 1 to 11.
//! What the store cannot hold is an error that names key and type: nothing is dropped silently.
//! Not known here: files, sockets, and which entries are due ([`crate::rdb::Content`] is neutral).

mod cursor;
mod legacy;
mod payload;
mod reader;
mod scores;
mod stream;
mod values;
mod writer;

use thiserror::Error;

use crate::stream::Stream;

pub use payload::{payload_content, seal_payload};
pub use reader::{Item, Reader};
pub use values::{dump_payload, restore_payload};
pub use writer::{Writer, WriterOptions};

/// The version that we write.
pub const VERSION_WRITTEN: u16 = 10;
/// The newest version of Redis' dialect that we read.
pub const VERSION_READ_MAX: u16 = 11;
/// The version of Valkey's own dialect, told by the magic `VALKEY`.
pub const VERSION_VALKEY: u16 = 80;

pub(crate) mod kind {
    //! Value types that we read or write.
    pub(crate) const STRING: u8 = 0;
    pub(crate) const LIST: u8 = 1;
    pub(crate) const SET: u8 = 2;
    pub(crate) const SORTED_SET: u8 = 3;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const SORTED_SET_2: u8 = 5;
    pub(crate) const HASH_ZIPMAP: u8 = 9;
    pub(crate) const LIST_ZIPLIST: u8 = 10;
    pub(crate) const SET_INTSET: u8 = 11;
    pub(crate) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(crate) const HASH_ZIPLIST: u8 = 13;
    pub(crate) const STREAM: u8 = 15;
    pub(crate) const LIST_QUICKLIST: u8 = 14;
    pub(crate) const HASH_LISTPACK: u8 = 16;
    pub(crate) const SORTED_SET_LISTPACK: u8 = 17;
    pub(crate) const LIST_QUICKLIST_2: u8 = 18;
    pub(crate) const SET_LISTPACK: u8 = 20;
    pub(crate) const STREAM_2: u8 = 19;
    pub(crate) const STREAM_3: u8 = 21;
}

pub(crate) mod opcode {
    //! Bytes that stand where a type could.
    pub(crate) const SLOT_SIZES: u8 = 244;
    pub(crate) const FUNCTION: u8 = 245;
    pub(crate) const FUNCTION_BEFORE_7: u8 = 246;
    pub(crate) const MODULE_AUX: u8 = 247;
    pub(crate) const IDLE: u8 = 248;
    pub(crate) const FREQUENCY: u8 = 249;
    pub(crate) const AUX: u8 = 250;
    pub(crate) const RESIZE_DB: u8 = 251;
    pub(crate) const EXPIRE_MS: u8 = 252;
    pub(crate) const EXPIRE_SECONDS: u8 = 253;
    pub(crate) const SELECT_DB: u8 = 254;
    pub(crate) const END: u8 = 255;
}

/// A quicklist node that is one element, not a listpack.
pub(crate) const NODE_PLAIN: u64 = 1;
/// A quicklist node that is a listpack.
pub(crate) const NODE_PACKED: u64 = 2;

/// A value as the format has it, without the store's layout.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A string.
    String(Vec<u8>),
    /// A list from head to tail; never empty.
    List(Vec<Vec<u8>>),
    /// A hash as fields with values, in the order of the file; never empty, no field twice.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// The members of a set, in the order of the file; never empty, none twice.
    Set(Vec<Vec<u8>>),
    /// Members with scores, in the order of the file; never empty, no member twice, no score
    /// that is not a number.
    SortedSet(Vec<(Vec<u8>, f64)>),
    /// A stream, whose nodes are those of the format.
    Stream(Box<Stream>),
}

/// Why a snapshot or a payload cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// It does not start like one.
    #[error("it has no RDB header")]
    NotRdb,
    /// A version from after this program.
    #[error("version {0} is not supported")]
    Version(u32),
    /// A well-formed value that this node cannot hold.
    #[error("this node cannot hold a {name} (RDB type {code})")]
    Type {
        /// The kind of value in words.
        name: &'static str,
        /// Its code in the format.
        code: u8,
    },
    /// Something between the entries that this node cannot hold.
    #[error("this node cannot hold {0}")]
    Content(&'static str),
    /// Bytes that mean nothing.
    #[error("{0}")]
    Damaged(&'static str),
    /// The sum at the end does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// The input ended too early.
    #[error("it ends too early")]
    Truncated,
}

/// A [`Problem`] and where it was met.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to read RDB at offset {offset}{}: {problem}", at_key(key.as_deref()))]
pub struct RdbError {
    /// Bytes of the snapshot before the item that failed.
    pub offset: u64,
    /// The key whose value failed.
    pub key: Option<Vec<u8>>,
    /// What it is.
    pub problem: Problem,
}

fn at_key(key: Option<&[u8]>) -> String {
    key.map(|key| format!(", key '{}'", key.escape_ascii())).unwrap_or_default()
}

pub(crate) fn unknown_type(code: u8) -> Problem {
    let name = match code {
        6 | 7 => "module value",
        22..=25 => "hash with field expiry",
        _ => return Problem::Damaged("there is no such value type"),
    };
    Problem::Type { name, code }
}

#[cfg(test)]
mod tests;
