//! What goes over the wire, and the small values that everybody names: node ids, slots, slot sets.
//!
//! No I/O and no clock. Not known here: what a command does, what a packet changes.

pub mod bus;
pub mod crc16;
pub mod id;
pub mod resp;
pub mod slot;
pub mod state;
