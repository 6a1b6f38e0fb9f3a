//! RESP, the protocol between a client and a node, in both versions.
//!
//! Three parts that do not know each other: what a server reads ([`request`]), what it writes
//! ([`reply`]), and what a client reads ([`value`]). All of them work on byte buffers that the
//! caller owns. Not known here: sockets, commands, who is authenticated.

pub mod reply;
pub mod request;
pub mod value;

pub use reply::{Protocol, ReplyBuf, format_double};
pub use value::Value;
