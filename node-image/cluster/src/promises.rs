//! What the protocol promises, shown on a few nodes in one thread; see `harness.rs`.

mod elections;
mod failures;
mod hostile;
mod joining;
mod slots;
