//! The object is being deleted.
//!
//! Owner references take everything along; the operator has work only where its finalizer holds
//! the object back: volumes that shall go too, or a protected cluster, which stays as it is.

use super::Plan;
use super::objects::needs_finalizer;
use super::step::Step;
use super::waiting::WaitingFor;
use crate::api::DeletionPolicy;
use crate::observed::Observed;
use crate::validate::ValidatedCluster;

/// True when the cluster goes; false when it is to be kept alive in spite of the deletion.
pub(super) fn delete(cluster: &ValidatedCluster, observed: &Observed, plan: &mut Plan) -> bool {
    if cluster.deletion_policy == DeletionPolicy::Protect && observed.has_finalizer {
        let message = "spec.deletionPolicy is Protect; set it to Delete to let the cluster go";
        plan.wait(WaitingFor::Protected, &cluster.name, message.to_owned());
        return false;
    }
    if !observed.has_finalizer {
        return true;
    }
    if !needs_finalizer(cluster) {
        plan.steps.push(Step::RemoveFinalizer);
        return true;
    }
    for set in observed.stateful_sets.iter().filter(|set| !set.deleting) {
        let (name, uid) = (set.name.clone(), set.uid.clone());
        plan.steps.push(Step::DeleteStatefulSet { name, uid });
    }
    if !observed.stateful_sets.is_empty() || !observed.pods.is_empty() {
        let message = "volumes are deleted when the pods are gone".to_owned();
        plan.wait(WaitingFor::Deletion, &cluster.name, message);
        return true;
    }
    for volume in observed.volumes.iter().filter(|volume| !volume.deleting) {
        let (name, uid) = (volume.name.clone(), volume.uid.clone());
        plan.steps.push(Step::DeleteVolume { name, uid });
    }
    if observed.volumes.is_empty() {
        plan.steps.push(Step::RemoveFinalizer);
    } else {
        let message = "the volumes are on their way out".to_owned();
        plan.wait(WaitingFor::Deletion, &cluster.name, message);
    }
    true
}
