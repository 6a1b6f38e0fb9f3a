//! Promises of one real process on loopback: connections, transactions, waiting, configuration.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

mod blocking;
mod client_limits;
mod configuration;
mod connections;
mod effects;
mod harness;
mod input;
mod notifications;
mod pubsub;
mod replicas;
mod scripts;
mod tls;
mod tracking;
mod transactions;
