//! A task for each cluster, and when it looks at it.
//!
//! A change in Kubernetes wakes the task at once. Without one, it looks again soon while something
//! is under way, ever more rarely while nothing changes, and at rest only to see whether the
//! nodes still say the same:
//!
//!   just changed      200 ms
//!   no change for t   t / 8, at most 5 s     steps that fail, things that are waited for
//!   at rest           15 s                   one question to each node, none to the API server
//!
//! A plan that comes back is no change: orders that are given again and again in vain, even in
//! turns, grow rarer, and then not even an event hurries them by more than a second.
//!
//! Clusters do not wait for each other. Not known here: what a look does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::act::Told;
use crate::metrics::{ClusterLabels, ConditionLabels};
use crate::observe::Memory;
use crate::observe::watch::ClusterKey;
use crate::plan::Plan;
use crate::reconcile::{Pass, ReconcileError, reconcile};
use crate::world::{World, now_ms};

/// Time to the next look while something has just changed.
const SOON: Duration = Duration::from_millis(200);

/// Longest time to the next look while something is not as wished.
const LATER: Duration = Duration::from_secs(5);

/// Time to the next look at rest.
const AT_REST: Duration = Duration::from_secs(15);

/// Shortest time between the starts of two looks, so that a burst of events becomes one look.
const BREATH: Duration = Duration::from_millis(20);

/// The same while steps are repeated in vain.
const BREATH_IN_VAIN: Duration = Duration::from_secs(1);

/// Plans that are remembered, to see that one comes back.
const RECENT: usize = 4;

/// Keeps a task for each cluster that somebody wakes. Never ends by itself.
pub(super) async fn keep_all(world: &Arc<World>, mut woken: mpsc::UnboundedReceiver<ClusterKey>) {
    let mut bells: BTreeMap<ClusterKey, Arc<Notify>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            key = woken.recv() => {
                let Some(key) = key else { return };
                if let Some(bell) = bells.get(&key) {
                    bell.notify_one();
                } else if world.shelves.clusters.get(&key, &key.name).is_some() {
                    let bell = Arc::new(Notify::new());
                    bells.insert(key.clone(), Arc::clone(&bell));
                    tasks.spawn(keep(Arc::clone(world), key, bell));
                }
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok(key) => {
                    bells.remove(&key);
                    // It may have been made again while its task was ending.
                    if world.shelves.clusters.get(&key, &key.name).is_some() {
                        let _ = world.wake.send(key);
                    }
                }
                Err(e) => {
                    tracing::error!(error = %e, "The task of a cluster has ended; starting anew.");
                    return;
                }
            },
        }
    }
}

/// Looks at one cluster again and again, until there is no such object.
async fn keep(world: Arc<World>, key: ClusterKey, bell: Arc<Notify>) -> ClusterKey {
    let (mut memory, mut told) = (Memory::default(), Told::default());
    let mut pace = Pace::default();
    loop {
        let started = Instant::now();
        let result = reconcile(&world, &key, &mut memory, &mut told).await;
        count(&world, &key, &result, started.elapsed());
        let wait = match &result {
            Ok(None) => break,
            Ok(Some(pass)) => pace.after(&pass.plan, memory.is_settling() || told.pending, started),
            Err(e) => {
                tracing::warn!(
                    namespace = key.namespace, cluster = key.name, error = %e,
                    "A look at a cluster ended early."
                );
                pace.after_error(started)
            }
        };
        sleep_until(started + pace.breath()).await;
        tokio::select! {
            () = bell.notified() => {}
            () = sleep_until(Instant::now() + wait) => {}
        }
    }
    forget(&world, &key);
    key
}

/// How soon to look again.
#[derive(Default)]
struct Pace {
    recent: VecDeque<Plan>,
    unchanged_since: Option<Instant>,
    errors_since: Option<Instant>,
    breath: Duration,
}

impl Pace {
    /// Time to the next look, if nothing wakes the cluster before.
    fn after(&mut self, plan: &Plan, soon: bool, now: Instant) -> Duration {
        self.errors_since = None;
        if plan.steps.is_empty() && plan.waiting_on.is_empty() {
            // What comes after a rest is new, though it may look like what was before.
            *self = Self::default();
            return if soon { SOON } else { AT_REST };
        }
        if !self.recent.contains(plan) {
            self.recent.push_back(plan.clone());
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            self.unchanged_since = Some(now);
        }
        let unchanged = self.unchanged_since.map_or(Duration::ZERO, |since| now - since);
        let in_vain = if plan.steps.is_empty() { Duration::ZERO } else { unchanged / 32 };
        self.breath = in_vain.clamp(BREATH, BREATH_IN_VAIN);
        (unchanged / 8).clamp(SOON, LATER)
    }

    /// Shortest time between the starts of two looks, whatever wakes the cluster.
    fn breath(&self) -> Duration {
        self.breath.max(BREATH)
    }

    fn after_error(&mut self, now: Instant) -> Duration {
        let since = *self.errors_since.get_or_insert(now);
        ((now - since) / 2).clamp(SOON, LATER)
    }
}

fn labels(key: &ClusterKey) -> ClusterLabels {
    ClusterLabels { namespace: key.namespace.clone(), name: key.name.clone() }
}

fn count(
    world: &World,
    key: &ClusterKey,
    result: &Result<Option<Pass>, ReconcileError>,
    took: Duration,
) {
    let (metrics, cluster) = (&world.metrics, labels(key));
    metrics.reconciles.get_or_create(&cluster).inc();
    metrics.reconcile_seconds.observe(took.as_secs_f64());
    match result {
        Err(_) => {
            metrics.reconcile_errors.get_or_create(&cluster).inc();
        }
        Ok(None) => {}
        Ok(Some(pass)) => {
            metrics.silent_nodes.get_or_create(&cluster).set(pass.silent_nodes);
            metrics.last_success.get_or_create(&cluster).set(now_ms() as f64 / 1000.0);
        }
    }
    let Some(object) = world.shelves.clusters.get(key, &key.name) else { return };
    let Some(status) = &object.status else { return };
    metrics.slots_assigned.get_or_create(&cluster).set(i64::from(status.slots.assigned));
    for condition in &status.conditions {
        let value = match condition.status.as_str() {
            "True" => 1,
            "False" => 0,
            _ => -1,
        };
        metrics.conditions.get_or_create(&condition_labels(key, &condition.type_)).set(value);
    }
}

fn condition_labels(key: &ClusterKey, condition: &str) -> ConditionLabels {
    ConditionLabels {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        condition: condition.to_owned(),
    }
}

fn forget(world: &World, key: &ClusterKey) {
    world.metrics.forget(&labels(key));
    world.shelves.take_ended(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Step, Waiting, WaitingFor};

    fn waiting(message: &str) -> Plan {
        let waiting = Waiting {
            reason: WaitingFor::Sync,
            about: "cache-0-1".into(),
            message: message.into(),
        };
        Plan { steps: Vec::new(), waiting_on: vec![waiting] }
    }

    #[test]
    fn at_rest_a_cluster_is_left_in_peace() {
        let mut pace = Pace::default();
        assert_eq!(pace.after(&Plan::default(), false, Instant::now()), AT_REST);
    }

    #[test]
    fn what_does_not_change_is_looked_at_ever_more_rarely_and_a_change_starts_anew() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.after(&waiting("10%"), false, at(0)), SOON);
        assert_eq!(pace.after(&waiting("10%"), false, at(8)), Duration::from_secs(1));
        assert_eq!(pace.after(&waiting("10%"), false, at(800)), LATER);
        assert_eq!(pace.after(&waiting("11%"), false, at(801)), SOON);
    }

    #[test]
    fn a_step_brings_the_next_look_soon() {
        let plan = Plan { steps: vec![Step::AddFinalizer], waiting_on: Vec::new() };
        assert_eq!(Pace::default().after(&plan, false, Instant::now()), SOON);
    }

    #[test]
    fn orders_that_are_given_in_turns_in_vain_grow_rarer_even_when_events_come() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let one = Plan { steps: vec![Step::AddFinalizer], waiting_on: Vec::new() };
        let other = Plan { steps: vec![Step::RemoveFinalizer], waiting_on: Vec::new() };
        pace.after(&one, false, start);
        pace.after(&other, false, start);
        assert_eq!(pace.breath(), BREATH);
        let later = start + Duration::from_secs(100);
        assert_eq!(pace.after(&one, false, later), LATER);
        assert_eq!(pace.breath(), BREATH_IN_VAIN);
        // What is only waited for may be hurried by an event.
        pace.after(&waiting("10%"), false, later);
        assert_eq!(pace.breath(), BREATH);
    }

    #[test]
    fn what_comes_after_a_rest_is_new() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.after(&waiting("no answer"), false, start);
        pace.after(&Plan::default(), false, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(pace.after(&waiting("no answer"), false, later), SOON);
    }

    #[test]
    fn errors_slow_down_and_are_forgotten_by_success() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.after_error(start), SOON);
        assert_eq!(pace.after_error(start + Duration::from_secs(100)), LATER);
        pace.after(&Plan::default(), false, start);
        assert_eq!(pace.after_error(start + Duration::from_secs(200)), SOON);
    }
}
