//! What outlives a pass: since when a node is silent, which life of it was spoken with, and pods
//! that are gone.
//!
//! It belongs to one cluster and one process. A new operator has an empty memory and is therefore
//! more careful: it knows no departed pods and no incarnations, so it proves fewer deaths.
//!
//! An incarnation binds a boot id to a container id, so that "this container has ended" can be
//! read as "this life of the node has ended". The kubelet's word about containers comes late; a
//! node may be in its next container while the pod still names the last one. So a binding needs:
//! the container has never been bound to another boot id, is not known to have ended, and both
//! have been seen together for [`SETTLE`]. One container has one boot id, as the node is its
//! only process.
//! Not known here: what is concluded from any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_wire::state::{BootState, NodeState};
use k8s_openapi::api::core::v1::Secret;

use crate::observed::{Incarnation, NodeView, Observed, PodFact};
use crate::resources::SecretPurpose;

/// How long a boot id and a container id must be seen together before they are bound.
const SETTLE: Duration = Duration::from_millis(1500);

/// Departed pods that are remembered at most.
const DEPARTED_MAX: usize = 64;

struct Life {
    incarnation: Incarnation,
    together_since: Option<(String, Instant)>,
}

struct Answering {
    boot_id: String,
    boot: BootState,
    since: Instant,
}

/// Nodes that were silent in a pass and answered after it, by the uid of their pod.
#[derive(Clone, Default)]
pub(super) struct LateAnswers(Arc<Mutex<BTreeSet<String>>>);

impl LateAnswers {
    pub(super) fn add(&self, pod_uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pod_uid.to_owned());
    }

    fn remove(&self, pod_uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pod_uid)
    }
}

/// What is remembered of one cluster.
#[derive(Default)]
pub struct Memory {
    silent_since: BTreeMap<String, Instant>,
    answering: BTreeMap<String, Answering>,
    lives: BTreeMap<String, Life>,
    spent_containers: BTreeSet<String>,
    seen: BTreeMap<String, PodFact>,
    secrets: BTreeMap<SecretPurpose, (Secret, Instant)>,
    late: LateAnswers,
    settling: bool,
}

impl Memory {
    /// True while a life is known but not yet bound to its container: a next pass shall come soon.
    pub fn is_settling(&self) -> bool {
        self.settling
    }

    /// True when the node was silent in the last pass and has not answered since.
    pub(super) fn is_silent(&self, pod_uid: &str) -> bool {
        !self.late.remove(pod_uid) && self.silent_since.contains_key(pod_uid)
    }

    pub(super) fn late_answers(&self) -> LateAnswers {
        self.late.clone()
    }

    /// Notes that a node did not answer, and gives for how many milliseconds it has not.
    pub(super) fn silent(&mut self, pod_uid: &str) -> u64 {
        self.answering.remove(pod_uid);
        let since = self.silent_since.entry(pod_uid.to_owned()).or_insert_with(Instant::now);
        milliseconds(since.elapsed())
    }

    /// Notes an answer, and gives for how many milliseconds this life has been saying the same.
    pub(super) fn answered(&mut self, pod_uid: &str, state: &NodeState) -> u64 {
        self.silent_since.remove(pod_uid);
        let entry = self.answering.get(pod_uid);
        if let Some(entry) = entry.filter(|e| e.boot_id == state.boot_id && e.boot == state.boot) {
            return milliseconds(entry.since.elapsed());
        }
        let (boot_id, boot) = (state.boot_id.clone(), state.boot);
        let answering = Answering { boot_id, boot, since: Instant::now() };
        self.answering.insert(pod_uid.to_owned(), answering);
        0
    }

    pub(super) fn secret(&self, purpose: SecretPurpose, age_max: Duration) -> Option<Secret> {
        let (secret, read_at) = self.secrets.get(&purpose)?;
        (read_at.elapsed() < age_max).then(|| secret.clone())
    }

    pub(super) fn keep_secret(&mut self, purpose: SecretPurpose, secret: Option<Secret>) {
        match secret {
            Some(secret) => self.secrets.insert(purpose, (secret, Instant::now())),
            None => self.secrets.remove(&purpose),
        };
    }

    /// Completes a pass by what is remembered, and remembers the pass. `ended` are pods that have
    /// gone since the last one.
    pub(super) fn digest(&mut self, observed: &mut Observed, ended: Vec<PodFact>) {
        let now = Instant::now();
        for pod in &ended {
            self.note_ended_container(pod);
            if let Some(seen) = self.seen.get_mut(&pod.uid) {
                seen.container = pod.container.clone();
            }
        }
        self.settling = false;
        for pod in &mut observed.pods {
            self.note_ended_container(pod);
            self.learn_life(pod, now);
            pod.incarnation = self.lives.get(&pod.uid).map(|life| life.incarnation.clone());
            self.seen.insert(pod.uid.clone(), pod.clone());
        }
        self.forget_settled(observed);
        observed.departed = self.departed(observed);
    }

    fn note_ended_container(&mut self, pod: &PodFact) {
        if let Some(ended) = &pod.container.ended {
            self.spent_containers.insert(ended.id.clone());
        }
    }

    fn learn_life(&mut self, pod: &PodFact, now: Instant) {
        let Some(state) = pod.view.state() else { return };
        let Ok(node_id) = state.node_id.parse() else { return };
        let new_life = || Life {
            incarnation: Incarnation {
                node_id,
                boot_id: state.boot_id.clone(),
                container_id: String::new(),
                config_epoch: state.config_epoch,
            },
            together_since: None,
        };
        let life = self.lives.entry(pod.uid.clone()).or_insert_with(new_life);
        if life.incarnation.boot_id != state.boot_id {
            let last = std::mem::replace(life, new_life());
            self.spent_containers.insert(last.incarnation.container_id);
        }
        life.incarnation.node_id = node_id;
        life.incarnation.config_epoch = state.config_epoch;
        if !life.incarnation.container_id.is_empty() {
            return;
        }
        self.settling = true;
        let container = &pod.container.running_id;
        if container.is_empty() || self.spent_containers.contains(container) {
            life.together_since = None;
            return;
        }
        match &life.together_since {
            Some((seen, since)) if seen == container => {
                if now.duration_since(*since) >= SETTLE {
                    life.incarnation.container_id.clone_from(container);
                }
            }
            _ => life.together_since = Some((container.clone(), now)),
        }
    }

    /// Drops what no later pass can ask for.
    fn forget_settled(&mut self, observed: &Observed) {
        let present: BTreeSet<&str> = observed.pods.iter().map(|p| p.uid.as_str()).collect();
        self.answering.retain(|uid, _| present.contains(uid.as_str()));
        let answers: Vec<&NodeState> =
            observed.pods.iter().filter_map(|p| p.view.state()).collect();
        let complete = observed.pods.iter().all(|p| p.view.state().is_some());
        let lives = &self.lives;
        self.seen.retain(|uid, _| {
            if present.contains(uid.as_str()) {
                return true;
            }
            let Some(life) = lives.get(uid) else { return false };
            let id = life.incarnation.node_id.to_string();
            let lives_on = answers.iter().any(|state| state.node_id == id);
            let spoken_of = answers.iter().any(|state| state.peers.iter().any(|p| p.node_id == id));
            // While somebody is silent, he may still speak of it.
            !lives_on && (spoken_of || !complete || answers.is_empty())
        });
        let gone: Vec<String> =
            self.seen.keys().filter(|uid| !present.contains(uid.as_str())).cloned().collect();
        for uid in gone.iter().take(gone.len().saturating_sub(DEPARTED_MAX)) {
            self.seen.remove(uid);
        }
        let seen = &self.seen;
        self.silent_since.retain(|uid, _| seen.contains_key(uid));
        self.lives.retain(|uid, _| seen.contains_key(uid));
        if present.is_empty() && self.seen.is_empty() {
            self.spent_containers.clear();
        }
    }

    /// Pods that are gone. Their nodes do not serve since they were last heard of.
    fn departed(&mut self, observed: &Observed) -> Vec<PodFact> {
        let present: BTreeSet<&str> = observed.pods.iter().map(|p| p.uid.as_str()).collect();
        let gone = self.seen.iter().filter(|(uid, _)| !present.contains(uid.as_str()));
        let silent_since = &mut self.silent_since;
        let mut silent = |uid: &String| {
            let since = silent_since.entry(uid.clone()).or_insert_with(Instant::now);
            NodeView::Silent { for_ms: milliseconds(since.elapsed()) }
        };
        let mut departed: Vec<PodFact> = gone
            .map(|(uid, pod)| PodFact {
                view: silent(uid),
                ready: false,
                incarnation: self.lives.get(uid).map(|life| life.incarnation.clone()),
                ..pod.clone()
            })
            .collect();
        departed.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
        departed
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
