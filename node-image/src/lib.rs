//! The cluster node: a Redis-Cluster-compatible server.
//!
//! This crate is the shell around three values that know no I/O: the store (`holdfast-store`), the
//! cluster protocol (`holdfast-cluster`) and the wire formats (`holdfast-wire`). In reading order:
//!
//! - [`start`]: from arguments to running threads; [`config`], [`shared`], [`messages`]
//! - [`event_loop`]: one turn of the core; [`core`]: what a core is; [`clients`], [`output`],
//!   [`client_memory`]; [`transport`] and [`tls`]: connections in the clear and secured
//! - [`execute`]: from a request to a reply; [`commands`]: the table and each command;
//!   [`keys`], [`blocked`], [`watch`], [`pause`]; [`pubsub`], [`notify`],
//!   [`tracking`], [`monitor`]
//! - [`scripts`]: Lua, and what its scripts may reach
//! - [`effect_log`]: what changed, for [`replication`], [`aof`] and [`migration`]
//! - the other threads: [`bus`], [`disk`], [`admin`]; the control port is served by the bus thread
//! - the end: [`shutdown`]

pub mod acl;
pub mod admin;
pub mod aof;
pub mod blocked;
pub mod bus;
pub mod client_memory;
pub mod clients;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod core;
pub mod disk;
pub mod effect_log;
pub mod event_loop;
pub mod execute;
pub mod keys;
pub mod latency;
pub mod logging;
pub mod memory;
pub mod messages;
pub mod migration;
pub mod monitor;
pub mod notify;
pub mod observed;
pub mod output;
pub mod pause;
pub mod pubsub;
pub mod replication;
pub mod resolver;
pub mod scripts;
pub mod shared;
pub mod shutdown;
pub mod start;
pub mod stats;
pub mod tls;
pub mod tracking;
pub mod transport;
pub mod waiting;
pub mod watch;

pub use start::main_with_args;

/// The version of Redis whose dialect is spoken; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.4";

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
