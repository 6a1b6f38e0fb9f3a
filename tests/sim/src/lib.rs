//! Whole clusters of the real `cluster` value in virtual time, with seeded faults.
//!
//! One seed is one life: the shape of the cluster, which faults happen when, every delay. A safety
//! phase breaks things while the invariants are checked after every step; then everything heals
//! and the cluster must be whole again within a stated bound. A failure names its seed, and the
//! seed replays it to the letter. Not known here: sockets, files, keys.

pub mod checks;
pub mod coverage;
pub mod dice;
pub mod faults;
pub mod host;
pub mod life;
pub mod network;
pub mod replication;
pub mod world;

pub use coverage::Coverage;
pub use life::{Failure, live};
