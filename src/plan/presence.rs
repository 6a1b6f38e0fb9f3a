//! Which pods are not there yet, and which nodes do not answer.
//!
//! Nothing is done about it here: StatefulSets make pods, the kubelet starts them. What silence
//! may mean for slots is decided elsewhere.

use holdfast_wire::state::BootState;

use super::waiting::WaitingFor;
use super::{Context, Plan, Step};
use crate::api::Carried;
use crate::observed::{NodeView, PodFact};
use crate::resources::pod_name;

/// After this long, looking every fraction of a second does not help any more.
const LONG_SILENCE_MS: u64 = 30_000;

pub(super) fn presence(context: &Context<'_>, plan: &mut Plan) {
    let carried = &context.observed.carried;
    let is_formed = context.topology.is_covered();
    if is_formed && !carried.formed {
        plan.steps.push(Step::Record(Carried { formed: true, ..carried.clone() }));
    }
    for shard in &context.shards {
        for ordinal in 0..context.pods_of_shard(*shard) {
            if context.pod(*shard, ordinal).is_none() {
                let name = pod_name(&context.cluster.name, *shard, ordinal);
                plan.wait(WaitingFor::PodRunning, &name, "the pod does not exist yet".to_owned());
            }
        }
    }
    for pod in &context.observed.pods {
        pod_presence(pod, plan);
    }
}

/// Keeps the label that people and autoscalers select by.
pub(super) fn label_roles(context: &Context<'_>, plan: &mut Plan) {
    for member in context.topology.members.values() {
        // One that neither follows nor owns anything has no role that anybody could rely on.
        let role = match (member.primary_id, member.slots.is_empty()) {
            (Some(_), _) => "replica",
            (None, false) => "primary",
            (None, true) => continue,
        };
        if member.pod.role_label != role && !member.pod.deleting {
            let (pod, uid) = (member.pod.name.clone(), member.pod.uid.clone());
            plan.steps.push(Step::LabelRole { pod, uid, role });
        }
    }
}

fn pod_presence(pod: &PodFact, plan: &mut Plan) {
    let (reason, message) = match &pod.view {
        NodeView::NotAsked => {
            let why = match pod.container.waiting_reason.as_str() {
                "" => "the pod has no address yet".to_owned(),
                reason => format!("the pod has no address yet: {reason}"),
            };
            (WaitingFor::PodRunning, why)
        }
        NodeView::Silent { .. } if !pod.container.waiting_reason.is_empty() => {
            let why = format!("the container does not run: {}", pod.container.waiting_reason);
            (WaitingFor::PodRunning, why)
        }
        NodeView::Silent { for_ms } if *for_ms >= LONG_SILENCE_MS => {
            let why = "the node has not answered for more than half a minute";
            (WaitingFor::UnreachableNode, why.to_owned())
        }
        NodeView::Silent { .. } => (WaitingFor::SilentNode, "the node does not answer".to_owned()),
        NodeView::Answered { state, .. } if state.boot == BootState::Loading => {
            (WaitingFor::Loading, "the node loads its data".to_owned())
        }
        NodeView::Answered { .. } if pod.deleting => {
            (WaitingFor::Deletion, "the pod is on its way out".to_owned())
        }
        NodeView::Answered { .. } if !pod.ready => {
            (WaitingFor::PodReady, "Kubernetes does not hold the pod for ready yet".to_owned())
        }
        NodeView::Answered { .. } => return,
    };
    plan.wait(reason, &pod.name, message);
}
