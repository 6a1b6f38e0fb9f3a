//! What to do next, as a pure function.
//!
//! Same input, same plan, byte for byte: no clock, no client, no log, no randomness. The steps
//! of one plan are independent: each is right whichever of the others failed or was never run,
//! and whatever needs the effect of another step waits for the next observation to show it.
//! That is what makes a crash between any two steps harmless.

mod bootstrap;
mod context;
mod deletion;
mod failover;
mod fate;
mod join;
mod objects;
mod presence;
mod replicas;
mod rollout;
mod scale;
mod slots;
mod step;
pub(crate) mod topology;
mod waiting;

pub use step::{Address, FailoverMode, Proof, Step};
pub use waiting::{Waiting, WaitingFor};

pub(crate) use step::slots_text;

use context::Context;

use crate::observed::Observed;
use crate::validate::ValidatedCluster;

/// What to do, and what to wait for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps, in the order in which they shall be tried. A step that fails does not keep the
    /// following ones from being tried.
    pub steps: Vec<Step>,
    /// What keeps the world from being as wished, beside the steps.
    pub waiting_on: Vec<Waiting>,
}

impl Plan {
    fn wait(&mut self, reason: WaitingFor, about: &str, message: String) {
        self.waiting_on.push(Waiting { reason, about: about.to_owned(), message });
    }
}

/// What to do next for this cluster.
pub fn plan(cluster: &ValidatedCluster, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    if cluster.paused {
        return plan;
    }
    if observed.deleting && deletion::delete(cluster, observed, &mut plan) {
        return plan;
    }
    let Some(context) = Context::new(cluster, observed) else {
        plan.steps.push(context::decide_identity(cluster, observed));
        return plan;
    };
    failover::failover(&context, &mut plan);
    presence::presence(&context, &mut plan);
    objects::objects(&context, &mut plan);
    bootstrap::hand_out_slots(&context, &mut plan);
    join::join(&context, &mut plan);
    join::forget_ghosts(&context, &mut plan);
    replicas::replicas(&context, &mut plan);
    slots::slots(&context, &mut plan);
    scale::scale_in(&context, &mut plan);
    rollout::rollout(&context, &mut plan);
    presence::label_roles(&context, &mut plan);
    plan.waiting_on.sort();
    plan.waiting_on.dedup();
    plan
}
