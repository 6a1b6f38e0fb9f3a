//! Kubernetes' side of the facts: objects as the API server tells them, reduced to what a plan
//! may know.
//!
//! Not known here: nodes' own views, and what any fact means.

use std::collections::BTreeMap;
use std::time::Duration;

use ::kube::{Api, Resource, ResourceExt};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStatus, Node, PersistentVolumeClaim, Pod, Secret,
};
use serde::Serialize;
use tokio::time::timeout;

use super::watch::{ClusterKey, Shelves};
use super::{Memory, ObserveError};
use crate::api::{ANNOTATION_APPLIED, LABEL_REVISION, LABEL_ROLE, LABEL_SHARD};
use crate::observed::{
    ContainerFact, EndedContainer, MachineFact, NodeView, ObjectFact, Observed, PodFact,
    StatefulSetFact, VolumeFact,
};
use crate::resources::{Kind, SecretPurpose};
use crate::world::World;

/// Name of the node's container in its pod.
const CONTAINER: &str = "node";

/// The taint by which somebody vouches that a machine is off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Longest wait for a Secret, without which nothing goes on.
const SECRET_DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for a machine, without which only proofs of death wait.
const MACHINE_DEADLINE: Duration = Duration::from_secs(1);

/// Time after which a Secret is read again.
const SECRET_AGE_MAX: Duration = Duration::from_mins(1);

pub(super) fn stateful_sets(shelves: &Shelves, key: &ClusterKey) -> Vec<StatefulSetFact> {
    shelves.stateful_sets.of(key).iter().filter_map(|set| stateful_set(set)).collect()
}

fn stateful_set(set: &StatefulSet) -> Option<StatefulSetFact> {
    let spec = set.spec.as_ref()?;
    let template_labels = spec.template.metadata.as_ref().and_then(|m| m.labels.as_ref());
    Some(StatefulSetFact {
        name: set.name_any(),
        shard: shard_of(set)?,
        uid: set.uid().unwrap_or_default(),
        replicas: u16::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
        applied_hash: applied_hash(set),
        revision: template_labels.and_then(|l| l.get(LABEL_REVISION)).cloned().unwrap_or_default(),
        deleting: set.meta().deletion_timestamp.is_some(),
    })
}

pub(super) fn pods(shelves: &Shelves, key: &ClusterKey) -> Vec<PodFact> {
    shelves.pods.of(key).iter().filter_map(|pod| pod_fact(pod)).collect()
}

/// Pods that have gone since the last pass, as they were last seen.
pub(super) fn ended_pods(shelves: &Shelves, key: &ClusterKey) -> Vec<PodFact> {
    shelves.take_ended(key).iter().filter_map(|pod| pod_fact(pod)).collect()
}

fn pod_fact(pod: &Pod) -> Option<PodFact> {
    let name = pod.name_any();
    let ordinal = name.rsplit('-').next()?.parse().ok()?;
    let status = pod.status.as_ref();
    let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    Some(PodFact {
        shard: shard_of(pod)?,
        ordinal,
        uid: pod.uid()?,
        ip: status.and_then(|s| s.pod_ip.clone()).unwrap_or_default(),
        machine: pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default(),
        revision: pod.labels().get(LABEL_REVISION).cloned().unwrap_or_default(),
        role_label: pod.labels().get(LABEL_ROLE).cloned().unwrap_or_default(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        ready: conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        created_at_ms: pod.metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_millisecond()),
        container: containers
            .iter()
            .find(|c| c.name == CONTAINER)
            .map(container)
            .unwrap_or_default(),
        view: NodeView::NotAsked,
        incarnation: None,
        name,
    })
}

fn container(status: &ContainerStatus) -> ContainerFact {
    let state = status.state.as_ref();
    let running = state.and_then(|s| s.running.as_ref());
    let ended_now = state.and_then(|s| s.terminated.as_ref());
    let ended_before = status.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    ContainerFact {
        running_id: running.and(status.container_id.clone()).unwrap_or_default(),
        ended: ended_now.and_then(ended).or_else(|| ended_before.and_then(ended)),
        restarts: u32::try_from(status.restart_count).unwrap_or(0),
        waiting_reason: state
            .and_then(|s| s.waiting.as_ref())
            .and_then(|w| w.reason.clone())
            .unwrap_or_default(),
    }
}

/// A termination without an id or a time names no life, and proves nothing. The kubelet writes such
/// a one where it cannot find a container that it once saw run.
fn ended(terminated: &ContainerStateTerminated) -> Option<EndedContainer> {
    let id = terminated.container_id.clone().filter(|id| !id.is_empty())?;
    let finished_at_ms = terminated.finished_at.as_ref()?.0.as_millisecond();
    Some(EndedContainer { id, finished_at_ms })
}

pub(super) fn volumes(shelves: &Shelves, key: &ClusterKey) -> Vec<VolumeFact> {
    shelves.volumes.of(key).iter().filter_map(|claim| volume(claim)).collect()
}

fn volume(claim: &PersistentVolumeClaim) -> Option<VolumeFact> {
    let name = claim.name_any();
    Some(VolumeFact {
        shard: shard_of(claim)?,
        ordinal: name.rsplit('-').next()?.parse().ok()?,
        uid: claim.uid()?,
        deleting: claim.metadata.deletion_timestamp.is_some(),
        name,
    })
}

pub(super) fn objects(shelves: &Shelves, key: &ClusterKey) -> Vec<ObjectFact> {
    let mut facts = Vec::new();
    let accounts = shelves.accounts.of(key);
    facts.extend(accounts.iter().map(|o| fact(Kind::ServiceAccount, o.as_ref())));
    let config_maps = shelves.config_maps.of(key);
    facts.extend(config_maps.iter().map(|o| fact(Kind::ConfigMap, o.as_ref())));
    facts.extend(shelves.services.of(key).iter().map(|o| fact(Kind::Service, o.as_ref())));
    let budgets = shelves.budgets.of(key);
    facts.extend(budgets.iter().map(|o| fact(Kind::PodDisruptionBudget, o.as_ref())));
    facts
}

fn fact<K: ResourceExt + Serialize>(kind: Kind, object: &K) -> ObjectFact {
    ObjectFact {
        kind,
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        applied_hash: applied_hash(object),
        keys: Vec::new(),
        live: serde_json::to_value(object).unwrap_or_default(),
    }
}

/// The Secrets of a cluster: facts for the plan, values for whoever speaks with nodes.
pub(super) struct Passwords {
    /// What a plan may know.
    pub(super) facts: Vec<ObjectFact>,
    values: BTreeMap<SecretPurpose, String>,
}

impl Passwords {
    pub(super) fn of(&self, purpose: SecretPurpose) -> Option<String> {
        self.values.get(&purpose).cloned()
    }
}

/// Reads the Secrets by name: at once while one is missing, otherwise once a minute.
pub(super) async fn secrets(
    world: &World,
    key: &ClusterKey,
    memory: &mut Memory,
) -> Result<Passwords, ObserveError> {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &key.namespace);
    let mut passwords = Passwords { facts: Vec::new(), values: BTreeMap::new() };
    for purpose in SecretPurpose::ALL {
        let name = purpose.secret_name(&key.name);
        let secret = match memory.secret(purpose, SECRET_AGE_MAX) {
            Some(secret) => Some(secret),
            None => {
                let secret =
                    within(SECRET_DEADLINE, &format!("Secret {name}"), api.get_opt(&name)).await?;
                memory.keep_secret(purpose, secret.clone());
                secret
            }
        };
        let Some(secret) = secret else { continue };
        let keys = secret.data.iter().flatten().map(|(k, _)| k.clone()).collect();
        let value = secret.data.as_ref().and_then(|d| d.get(purpose.key()));
        if let Some(value) = value.and_then(|v| String::from_utf8(v.0.clone()).ok()) {
            passwords.values.insert(purpose, value);
        }
        let live = serde_json::Value::Null;
        let bare = Secret { metadata: secret.metadata, ..Secret::default() };
        passwords.facts.push(ObjectFact { keys, live, ..fact(Kind::Secret, &bare) });
    }
    Ok(passwords)
}

/// Asks for the machines of pods that do not answer or are gone: only there a death may have to
/// be proven. What cannot be read is left out, and nothing is proven by that.
pub(super) async fn machines(world: &World, observed: &Observed) -> BTreeMap<String, MachineFact> {
    if !world.node_access {
        return BTreeMap::new();
    }
    let silent = observed.pods.iter().filter(|p| matches!(p.view, NodeView::Silent { .. }));
    let departed = observed.departed.iter().filter(|p| p.incarnation.is_some());
    let mut names: Vec<_> = silent.chain(departed).map(|p| p.machine.clone()).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    let asked = names.into_iter().map(|name| async move {
        match machine(world, &name).await {
            Ok(fact) => Some((name, fact)),
            Err(e) => {
                tracing::warn!(machine = name, error = %e, "A machine could not be looked at.");
                None
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn machine(world: &World, name: &str) -> Result<MachineFact, ObserveError> {
    let nodes: Api<Node> = Api::all(world.client.clone());
    let node = within(MACHINE_DEADLINE, &format!("Node {name}"), nodes.get_opt(name)).await?;
    let taints = node.as_ref().and_then(|n| n.spec.as_ref()).and_then(|s| s.taints.as_ref());
    Ok(MachineFact {
        exists: node.is_some(),
        out_of_service: taints.into_iter().flatten().any(|t| t.key == OUT_OF_SERVICE),
    })
}

async fn within<T>(
    deadline: Duration,
    what: &str,
    call: impl Future<Output = ::kube::Result<T>>,
) -> Result<T, ObserveError> {
    let what = || what.to_owned();
    match timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(ObserveError::Api { what: what(), source: Box::new(e) }),
        Err(_) => Err(ObserveError::Deadline { what: what() }),
    }
}

fn shard_of<K: ResourceExt>(object: &K) -> Option<u16> {
    object.labels().get(LABEL_SHARD)?.parse().ok()
}

fn applied_hash<K: ResourceExt>(object: &K) -> String {
    object.annotations().get(ANNOTATION_APPLIED).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: serde_json::Value) -> PodFact {
        let pod = serde_json::json!({
            "metadata": {
                "name": "cache-2-1", "namespace": "db", "uid": "u1",
                "labels": {LABEL_SHARD: "2", LABEL_REVISION: "r7"},
                "creationTimestamp": "2026-11-23T10:00:00Z",
            },
            "spec": {"nodeName": "node1", "containers": []},
            "status": status,
        });
        pod_fact(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[test]
    fn a_pod_is_reduced_to_what_a_plan_may_know() {
        let fact = pod(serde_json::json!({
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "node", "image": "", "imageID": "", "ready": true, "restartCount": 1,
                "containerID": "containerd://b",
                "state": {"running": {"startedAt": "2026-11-23T10:00:05Z"}},
                "lastState": {"terminated": {
                    "containerID": "containerd://a", "exitCode": 137,
                    "finishedAt": "2026-11-23T10:00:04Z",
                }},
            }],
        }));
        assert_eq!((fact.shard, fact.ordinal, fact.ip.as_str()), (2, 1, "10.0.0.7"));
        assert!(fact.ready && !fact.deleting);
        assert_eq!(fact.container.running_id, "containerd://b");
        let ended = fact.container.ended.unwrap();
        assert_eq!(ended.id, "containerd://a");
        assert_eq!(ended.finished_at_ms - fact.created_at_ms, 4000);
    }

    #[test]
    fn a_container_that_waits_for_its_next_start_does_not_run() {
        let fact = pod(serde_json::json!({
            "containerStatuses": [{
                "name": "node", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "containerID": "containerd://a",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {
                    "containerID": "containerd://a", "exitCode": 1,
                    "finishedAt": "2026-11-23T10:00:04Z",
                }},
            }],
        }));
        assert_eq!(fact.container.running_id, "");
        assert_eq!(fact.container.waiting_reason, "CrashLoopBackOff");
        assert_eq!(fact.container.ended.unwrap().id, "containerd://a");
    }

    #[test]
    fn a_termination_without_a_time_proves_nothing() {
        let fact = pod(serde_json::json!({
            "containerStatuses": [{
                "name": "node", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"containerID": "containerd://a", "exitCode": 137}},
            }],
        }));
        assert_eq!(fact.container.ended, None);
    }
}
