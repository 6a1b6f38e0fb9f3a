//! What is remembered between two looks, and for how long.

use super::*;
use std::ops::SubAssign;

use crate::observed::{ContainerFact, EndedContainer};
use holdfast_wire::state::PeerState;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn state(node_id: &str, boot_id: &str) -> NodeState {
    NodeState { node_id: node_id.into(), boot_id: boot_id.into(), ..NodeState::default() }
}

fn pod(uid: &str, container: &str, state: Option<NodeState>) -> PodFact {
    PodFact {
        name: format!("cache-0-{uid}"),
        shard: 0,
        ordinal: 0,
        uid: uid.into(),
        ip: "10.0.0.1".into(),
        machine: "node1".into(),
        revision: String::new(),
        role_label: String::new(),
        deleting: false,
        ready: true,
        created_at_ms: 0,
        container: ContainerFact { running_id: container.into(), ..ContainerFact::default() },
        view: match state {
            Some(state) => NodeView::Answered { state: Box::new(state), for_ms: 0 },
            None => NodeView::Silent { for_ms: 0 },
        },
        incarnation: None,
    }
}

fn pass(memory: &mut Memory, pods: Vec<PodFact>) -> Observed {
    let mut observed = Observed { pods, ..Observed::default() };
    memory.digest(&mut observed, Vec::new());
    observed
}

/// Lets the time that a binding needs go by, without waiting.
fn let_it_settle(memory: &mut Memory) {
    for life in memory.lives.values_mut() {
        if let Some((_, since)) = &mut life.together_since {
            *since -= SETTLE;
        }
    }
}

fn bound_container(observed: &Observed) -> &str {
    &observed.pods[0].incarnation.as_ref().unwrap().container_id
}

#[test]
fn a_life_is_bound_to_its_container_only_when_both_have_been_seen_together_for_a_while() {
    let mut memory = Memory::default();
    let look = || vec![pod("p", "c1", Some(state(A, "boot1")))];
    assert_eq!(bound_container(&pass(&mut memory, look())), "");
    assert_eq!(bound_container(&pass(&mut memory, look())), "");
    assert!(memory.is_settling());
    let_it_settle(&mut memory);
    assert_eq!(bound_container(&pass(&mut memory, look())), "c1");
    pass(&mut memory, look());
    assert!(!memory.is_settling());
}

#[test]
fn a_new_life_is_never_bound_to_the_container_of_the_last_one() {
    let mut memory = Memory::default();
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1")))]);
    let_it_settle(&mut memory);
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1")))]);
    // The node has restarted; the pod still names the container that ended.
    for _ in 0..3 {
        let seen = pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot2")))]);
        assert_eq!(bound_container(&seen), "");
        assert_eq!(seen.pods[0].incarnation.as_ref().unwrap().boot_id, "boot2");
        let_it_settle(&mut memory);
    }
    pass(&mut memory, vec![pod("p", "c2", Some(state(A, "boot2")))]);
    let_it_settle(&mut memory);
    let seen = pass(&mut memory, vec![pod("p", "c2", Some(state(A, "boot2")))]);
    assert_eq!(bound_container(&seen), "c2");
}

#[test]
fn a_container_that_is_known_to_have_ended_is_never_bound() {
    let mut memory = Memory::default();
    let mut ended = pod("p", "", None);
    ended.container.ended = Some(EndedContainer { id: "c1".into(), finished_at_ms: 1 });
    pass(&mut memory, vec![ended]);
    for _ in 0..3 {
        let seen = pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot2")))]);
        assert_eq!(bound_container(&seen), "");
        let_it_settle(&mut memory);
    }
}

#[test]
fn a_silent_node_keeps_the_life_that_was_last_spoken_with() {
    let mut memory = Memory::default();
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1")))]);
    let_it_settle(&mut memory);
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1")))]);
    let seen = pass(&mut memory, vec![pod("p", "c1", None)]);
    let incarnation = seen.pods[0].incarnation.as_ref().unwrap();
    assert_eq!((incarnation.boot_id.as_str(), incarnation.container_id.as_str()), ("boot1", "c1"));
}

#[test]
fn a_departed_pod_is_remembered_for_as_long_as_somebody_speaks_of_its_node() {
    let mut memory = Memory::default();
    let speaks_of_a = || {
        let peers = vec![PeerState { node_id: A.into(), ..PeerState::default() }];
        NodeState { peers, ..state(B, "boot9") }
    };
    let other = || pod("q", "c9", Some(speaks_of_a()));
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1"))), other()]);
    let seen = pass(&mut memory, vec![other()]);
    assert_eq!(seen.departed.len(), 1);
    assert_eq!(seen.departed[0].incarnation.as_ref().unwrap().boot_id, "boot1");
    memory.silent_since.get_mut("p").unwrap().sub_assign(Duration::from_secs(3));
    let later = pass(&mut memory, vec![other()]);
    let NodeView::Silent { for_ms: 3000.. } = later.departed[0].view else {
        panic!("a departed node does not serve, and that has a duration: {later:?}");
    };
    // A silent node may still speak of it.
    let silent = pass(&mut memory, vec![pod("q", "c9", None)]);
    assert_eq!(silent.departed.len(), 1);
    let forgotten = pass(&mut memory, vec![pod("q", "c9", Some(state(B, "boot9")))]);
    assert!(forgotten.departed.is_empty());
}

#[test]
fn the_last_word_about_a_container_reaches_the_departed_pod() {
    let mut memory = Memory::default();
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1"))), pod("q", "c9", None)]);
    let mut gone = pod("p", "", None);
    gone.container.ended = Some(EndedContainer { id: "c1".into(), finished_at_ms: 7 });
    let mut observed = Observed { pods: vec![pod("q", "c9", None)], ..Observed::default() };
    memory.digest(&mut observed, vec![gone]);
    assert_eq!(observed.departed[0].container.ended.as_ref().unwrap().id, "c1");
}

#[test]
fn a_node_that_comes_back_in_another_pod_has_not_departed() {
    let mut memory = Memory::default();
    pass(&mut memory, vec![pod("p", "c1", Some(state(A, "boot1")))]);
    let seen = pass(&mut memory, vec![pod("p2", "c2", Some(state(A, "boot2")))]);
    assert!(seen.departed.is_empty());
}

#[test]
fn an_answer_ends_a_silence_and_a_silence_ends_an_answer() {
    let mut memory = Memory::default();
    assert_eq!(memory.silent("p"), 0);
    assert!(memory.is_silent("p"));
    assert_eq!(memory.answered("p", &state(A, "boot1")), 0);
    assert!(!memory.is_silent("p"));
    memory.answering.get_mut("p").unwrap().since -= Duration::from_secs(3);
    assert!(memory.answered("p", &state(A, "boot1")) >= 3000);
    // Another life starts to count anew.
    assert_eq!(memory.answered("p", &state(A, "boot2")), 0);
}

#[test]
fn a_late_answer_earns_the_next_pass_its_full_patience_once() {
    let mut memory = Memory::default();
    memory.silent("p");
    memory.late_answers().add("p");
    assert!(!memory.is_silent("p"));
    assert!(memory.is_silent("p"));
}
