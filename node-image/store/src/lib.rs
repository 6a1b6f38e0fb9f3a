//! Keyspace, data types, expiry, RDB and AOF codecs; no I/O, no clock.

pub mod aof;
pub mod crc64;
pub mod hash;
pub mod limits;
pub mod list;
pub mod listpack;
pub mod lzf;
pub mod number;
pub mod rdb;
pub mod string;
mod table;
pub mod value;
