//! What a report promises: it is steady at rest, and `Ready` is every node's own word.

use holdfast_wire::state::{BootState, NodeRole, NodeState, PeerState};
use serde_json::json;

use super::*;
use crate::api::Carried;
use crate::observed::{ContainerFact, NodeView, PodFact, StatefulSetFact};
use crate::plan::{Waiting, WaitingFor};
use crate::validate::{Defaults, validate};

const PRIMARY: &str = "00000000000000000000000000000000000000aa";
const REPLICA: &str = "00000000000000000000000000000000000000bb";

struct World {
    object: RedisCluster,
    observed: Observed,
    plan: Plan,
    outcome: Outcome,
}

impl World {
    fn report(&self) -> Report {
        let defaults = Defaults { node_repository: "node".into(), node_tag: "1".into() };
        let cluster = validate(&self.object, &defaults).unwrap();
        report(&self.object, &cluster, &self.observed, &self.plan, &self.outcome)
    }

    fn state(&mut self, pod: usize) -> &mut NodeState {
        match &mut self.observed.pods[pod].view {
            NodeView::Answered { state, .. } => state,
            _ => panic!("the pod does not answer"),
        }
    }
}

fn node(id: &str, address: &str) -> NodeState {
    NodeState {
        node_id: id.into(),
        cluster_id: "c".repeat(40),
        boot: BootState::Ready,
        cluster_ok: true,
        slots_assigned: 16384,
        address: address.into(),
        ..NodeState::default()
    }
}

fn pod(ordinal: u16, state: NodeState) -> PodFact {
    PodFact {
        name: format!("cache-0-{ordinal}"),
        shard: 0,
        ordinal,
        uid: format!("uid-{ordinal}"),
        ip: state.address.clone(),
        machine: "machine".into(),
        revision: "r".into(),
        role_label: String::new(),
        deleting: false,
        ready: true,
        created_at_ms: 0,
        container: ContainerFact::default(),
        view: NodeView::Answered { state: Box::new(state), for_ms: 1000 },
        incarnation: None,
    }
}

/// One shard with a replica, at rest.
fn at_rest() -> World {
    let object = serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "RedisCluster",
        "metadata": {"name": "cache", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": {"shards": 1},
    }));
    let mut primary = node(PRIMARY, "10.0.0.1");
    primary.slots = vec![(0, 16383)];
    primary.keys = 7;
    let mut replica = node(REPLICA, "10.0.0.2");
    replica.role = NodeRole::Replica;
    replica.primary_id = PRIMARY.into();
    replica.link_up = true;
    let seen = |state: &NodeState| PeerState {
        node_id: state.node_id.clone(),
        role: state.role,
        primary_id: state.primary_id.clone(),
        slots: state.slots.clone(),
        connected: true,
        ..PeerState::default()
    };
    primary.peers = vec![seen(&replica)];
    replica.peers = vec![seen(&primary)];
    let observed = Observed {
        at_ms: 1_700_000_000_000,
        carried: Carried {
            cluster_id: Some("c".repeat(40)),
            template_version: Some(1),
            formed: true,
        },
        stateful_sets: vec![StatefulSetFact {
            name: "cache-0".into(),
            shard: 0,
            uid: "set".into(),
            replicas: 2,
            applied_hash: String::new(),
            revision: "r".into(),
            deleting: false,
        }],
        pods: vec![pod(0, primary), pod(1, replica)],
        ..Observed::default()
    };
    let (plan, outcome) = (Plan::default(), Outcome::default());
    World { object: object.unwrap(), observed, plan, outcome }
}

fn condition(status: &RedisClusterStatus, kind: &str) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn is_ready(world: &World) -> bool {
    condition(&world.report().status, "Ready").0 == "True"
}

#[test]
fn a_whole_cluster_is_ready_and_counted() {
    let status = at_rest().report().status;
    assert_eq!(condition(&status, "Ready"), ("True".into(), "AllViewsAgree".into()));
    assert_eq!((status.phase.as_str(), status.shards_ready.as_str()), ("Ready", "1/1"));
    assert_eq!((status.nodes_ready.as_str(), status.slots.ok), ("2/2", 16384));
    assert_eq!(status.observed_generation, 3);
    assert_eq!(status.operation, None);
    assert_eq!(status.selector, "holdfast.dev/cluster=cache,holdfast.dev/role=primary");
}

#[test]
fn one_node_that_sees_it_otherwise_is_enough_not_to_be_ready() {
    let mut world = at_rest();
    world.state(1).peers[0].slots = vec![(0, 16000)];
    assert!(!is_ready(&world));
    let mut world = at_rest();
    world.state(1).cluster_ok = false;
    assert!(!is_ready(&world));
    let mut world = at_rest();
    world.state(0).peers[0].pfail = true;
    assert!(!is_ready(&world));
    let mut world = at_rest();
    world.state(0).peers.clear();
    assert!(!is_ready(&world));
    let mut world = at_rest();
    world.observed.pods[1].view = NodeView::Silent { for_ms: 5 };
    assert!(!is_ready(&world));
}

#[test]
fn nothing_is_ready_while_something_is_to_be_done() {
    let mut world = at_rest();
    world.plan.steps.push(Step::AddFinalizer);
    assert!(!is_ready(&world));
    let mut world = at_rest();
    world.outcome.failed.push((Step::AddFinalizer, "refused".into()));
    let report = world.report();
    assert_eq!(condition(&report.status, "Ready").0, "False");
    assert_eq!(report.events[0].reason, "StepFailed");
}

#[test]
fn the_same_world_at_rest_gives_the_same_status_however_late_and_however_many_keys() {
    let mut world = at_rest();
    let first = world.report().status;
    world.object.status = Some(first.clone());
    world.observed.at_ms += 3_600_000;
    world.state(0).keys = 8_000_000;
    world.state(0).used_bytes = 1 << 30;
    let second = world.report();
    assert_eq!(second.status, first);
    assert!(second.events.is_empty(), "{:?}", second.events);
}

#[test]
fn figures_are_fresh_once_something_else_changes() {
    let mut world = at_rest();
    world.object.status = Some(world.report().status);
    world.state(0).keys = 8;
    world.state(1).link_up = false;
    let status = world.report().status;
    assert_eq!(status.shard_status[0].keys, 8);
    assert_eq!(status.shard_status[0].health, "Syncing");
    assert_eq!(condition(&status, "Degraded"), ("True".into(), "ReplicaMissing".into()));
}

#[test]
fn a_condition_that_turns_gets_a_new_time_and_others_keep_theirs() {
    let mut world = at_rest();
    let first = world.report().status;
    world.object.status = Some(first.clone());
    world.observed.at_ms += 60_000;
    world.state(1).link_up = false;
    let second = world.report().status;
    let time = |status: &RedisClusterStatus, kind: &str| {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        found.unwrap().last_transition_time.clone()
    };
    assert_ne!(time(&first, "Degraded"), time(&second, "Degraded"));
    assert_eq!(time(&first, "SlotsCovered"), time(&second, "SlotsCovered"));
}

#[test]
fn what_was_recorded_in_this_pass_is_in_the_status() {
    let mut world = at_rest();
    world.observed.carried.formed = false;
    let carried = Carried { formed: true, ..world.observed.carried.clone() };
    world.outcome.done.push(Step::Record(carried));
    assert!(world.report().status.formed);
}

#[test]
fn a_cluster_is_being_created_until_it_is_ready_for_the_first_time() {
    let mut world = at_rest();
    world.state(1).link_up = false;
    assert_eq!(world.report().status.phase, "Creating");
    for (standing, then) in [("Creating", "Creating"), ("Ready", "Healing")] {
        let status = RedisClusterStatus { phase: standing.into(), ..Default::default() };
        world.object.status = Some(status);
        assert_eq!(world.report().status.phase, then);
    }
}

#[test]
fn lost_slots_are_a_risk_and_a_warning_once() {
    let mut world = at_rest();
    world.plan.waiting_on.push(Waiting {
        reason: WaitingFor::LostSlots,
        about: "cache-0".into(),
        message: "every copy is gone".into(),
    });
    let report = world.report();
    assert_eq!(condition(&report.status, "DataLossRisk"), ("True".into(), "CopiesLost".into()));
    assert_eq!(report.status.phase, "Blocked");
    assert!(report.events.iter().any(|event| event.warning && event.reason == "CopiesLost"));
    world.object.status = Some(report.status);
    assert!(world.report().events.is_empty());
}

#[test]
fn an_invalid_wish_changes_nothing_but_what_is_said_of_it() {
    let mut world = at_rest();
    let standing = world.report().status;
    world.object.status = Some(standing.clone());
    let fault = InvalidSpec { path: "spec.maxMemory".into(), message: "is odd".into() };
    let report = report_invalid(&world.object, 0, &[fault]);
    assert_eq!(condition(&report.status, "Ready"), ("False".into(), "InvalidSpec".into()));
    assert_eq!(condition(&report.status, "SlotsCovered"), condition(&standing, "SlotsCovered"));
    assert_eq!(report.status.cluster_id, standing.cluster_id);
    assert!(report.events[0].note.contains("spec.maxMemory: is odd"));
}
