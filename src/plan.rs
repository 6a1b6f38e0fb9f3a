//! What to do next, as a pure function.
//!
//! Same input, same plan, byte for byte: no clock, no client, no log, no randomness. The steps
//! of one plan are independent: each is right whichever of the others failed or was never run,
//! and whatever needs the effect of another step waits for the next observation to show it.
//! That is what makes a crash between any two steps harmless.

mod step;
mod waiting;

pub use step::{Address, Danger, FailoverMode, Proof, Step};
pub use waiting::{Waiting, WaitingFor};

use crate::observed::Observed;
use crate::validate::ValidatedCluster;

/// What to do, and what to wait for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps, in the order in which they shall be tried.
    pub steps: Vec<Step>,
    /// What keeps the world from being as wished, beside the steps.
    pub waiting_on: Vec<Waiting>,
}

/// How soon to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// Something is under way: within a fraction of a second.
    Fast,
    /// Only a person or a slow machine can change anything: within some seconds.
    Slow,
    /// Nothing to do: a watch will tell.
    Rest,
}

/// What to do next for this cluster.
pub fn plan(cluster: &ValidatedCluster, observed: &Observed) -> Plan {
    let _ = (cluster, observed);
    Plan::default()
}
