//! What the promises on a real Kubernetes share: the world they act on, and the load they put on
//! a cluster while they break it.
//!
//! Everything goes through `kubectl`, the `redis` crate and the fault tools, as a user's hands
//! would. Not known here: how the operator works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

pub mod load;
pub mod redis_nodes;
pub mod world;

pub use load::{Load, Outcome};
pub use world::{Pod, World};
