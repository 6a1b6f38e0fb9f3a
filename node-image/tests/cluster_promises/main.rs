//! Promises of a cluster of real processes on loopback, seen from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

mod client;
mod failover;
mod formation;
mod garbage;
mod migration;
mod next_life;
mod nodes;
mod pubsub;
mod secured;
mod shutdown;
mod stock;
