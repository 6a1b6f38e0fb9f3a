//! The nodes' side of the facts: `HOLDFAST STATE` of every pod with an address, all at once.
//!
//! A node that does not answer within its second is silent, and that is all that is concluded. A
//! node that was silent in the last pass is waited for only briefly, so that an address where
//! nobody answers does not slow down the repair of others; a second look goes on behind, and if
//! it brings an answer, the next pass waits in full again.
//! Not known here: what an answer means.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use holdfast_wire::state::NodeState;
use redis::Value;

use super::memory::{LateAnswers, Memory};
use super::watch::ClusterKey;
use crate::link::{Endpoint, LinkError, Links};
use crate::observed::{NodeView, PodFact};
use crate::world::World;

/// Control port of every pod.
const CONTROL_PORT: u16 = 16380;

/// How long a node that was silent before is waited for.
const PATIENCE_WITH_SILENT: Duration = Duration::from_millis(150);

/// Where the control port of a pod is; `None` while the pod has no address.
pub fn endpoint(cluster: &ClusterKey, pod: &PodFact) -> Option<Endpoint> {
    let address: IpAddr = pod.ip.parse().ok()?;
    let (cluster, pod_uid) = (cluster.clone(), pod.uid.clone());
    Some(Endpoint { cluster, pod_uid, address, port: CONTROL_PORT })
}

pub(super) async fn ask_all(
    world: &World,
    key: &ClusterKey,
    pods: &mut [PodFact],
    password: &str,
    memory: &mut Memory,
) {
    let asked = pods.iter().map(|pod| {
        let was_silent = memory.is_silent(&pod.uid);
        let late = memory.late_answers();
        async move {
            let at = endpoint(key, pod).filter(|_| may_answer(pod))?;
            let answer = if was_silent {
                ask_briefly(world, key, at, password, late).await
            } else {
                ask(&world.links, &at, password).await
            };
            Some(answer.and_then(|state| same_pod(pod, state)))
        }
    });
    let answers = join_all(asked).await;
    for (pod, answer) in pods.iter_mut().zip(answers) {
        pod.view = match answer {
            None if pod.ip.is_empty() => NodeView::NotAsked,
            // It has an address and was not worth asking; it may yet be a member.
            None => NodeView::Silent { for_ms: memory.silent(&pod.uid) },
            Some(Ok(state)) => NodeView::Answered {
                for_ms: memory.answered(&pod.uid, &state),
                state: Box::new(state),
            },
            Some(Err(why)) => {
                let for_ms = memory.silent(&pod.uid);
                if for_ms == 0 {
                    tracing::info!(
                        namespace = key.namespace, cluster = key.name, pod = pod.name,
                        error = %why, "A node does not answer."
                    );
                }
                NodeView::Silent { for_ms }
            }
        };
    }
}

/// A pod whose only container has ended for good has nobody to ask; its address may be taken away
/// at any moment, and asking would cost the whole second.
fn may_answer(pod: &PodFact) -> bool {
    !(pod.deleting && pod.container.running_id.is_empty() && pod.container.ended.is_some())
}

async fn ask_briefly(
    world: &World,
    key: &ClusterKey,
    at: Endpoint,
    password: &str,
    late: LateAnswers,
) -> Result<NodeState, LinkError> {
    let (links, wake) = (Arc::clone(&world.links), world.wake.clone());
    let (key, password) = (key.clone(), password.to_owned());
    let deadline = LinkError::Deadline((at.address, at.port).into());
    let whole = tokio::spawn(async move {
        let started = tokio::time::Instant::now();
        let answer = ask(&links, &at, &password).await;
        if answer.is_ok() && started.elapsed() > PATIENCE_WITH_SILENT {
            late.add(&at.pod_uid);
            // The receiver is gone only when the operator ends.
            let _ = wake.send(key);
        }
        answer
    });
    match tokio::time::timeout(PATIENCE_WITH_SILENT, whole).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(deadline),
    }
}

async fn ask(links: &Links, at: &Endpoint, password: &str) -> Result<NodeState, LinkError> {
    let address = (at.address, at.port).into();
    let mut cmd = redis::cmd("HOLDFAST");
    cmd.arg("STATE");
    let text = match links.ask(at, password, &cmd).await? {
        Value::BulkString(text) => text,
        other => {
            let reason = format!("a bulk string was expected, not {other:?}");
            return Err(LinkError::Broken { address, reason });
        }
    };
    serde_json::from_slice(&text)
        .map_err(|e| LinkError::Broken { address, reason: format!("no state in the reply: {e}") })
}

/// An address is never trusted: if another pod answers there, this one is silent.
fn same_pod(pod: &PodFact, state: NodeState) -> Result<NodeState, LinkError> {
    if state.pod_uid.is_empty() || state.pod_uid == pod.uid {
        return Ok(state);
    }
    let address: IpAddr = pod.ip.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let reason = format!("the pod with uid {} answers at its address", state.pod_uid);
    Err(LinkError::Broken { address: (address, CONTROL_PORT).into(), reason })
}
