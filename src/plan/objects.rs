//! The Kubernetes objects: what is missing or differs from the wish is applied.
//!
//! Identity, network, configuration and budgets come before StatefulSets. An object is applied
//! when its wish has changed, or when somebody else has changed what the operator wants.
//! Not known here: the number of pods that a shard may shrink to (`replicas.rs`), and when a
//! StatefulSet may go (`scale.rs`).

use std::collections::BTreeSet;

use super::replicas::pods_wished;
use super::step::Step;
use super::{Context, Plan};
use crate::api::{DeletionPolicy, RetentionPolicy};
use crate::observed::ObjectFact;
use crate::resources::{Kind, Object, SecretPurpose, foundations, is_within, stateful_set};
use crate::validate::ValidatedCluster;

/// A finalizer is needed only where a policy asks for more than owner references do.
pub(super) fn needs_finalizer(cluster: &ValidatedCluster) -> bool {
    let deletes_volumes = cluster
        .storage
        .as_ref()
        .is_some_and(|storage| storage.retention.when_deleted == RetentionPolicy::Delete);
    deletes_volumes || cluster.deletion_policy == DeletionPolicy::Protect
}

pub(super) fn objects(context: &Context<'_>, plan: &mut Plan) {
    let observed = context.observed;
    if observed.deleting {
        return;
    }
    match (needs_finalizer(context.cluster), observed.has_finalizer) {
        (true, false) => plan.steps.push(Step::AddFinalizer),
        (false, true) => plan.steps.push(Step::RemoveFinalizer),
        _ => {}
    }
    for purpose in SecretPurpose::ALL {
        let name = purpose.secret_name(&context.cluster.name);
        let exists = observed.objects.iter().any(|fact| {
            fact.kind == Kind::Secret
                && fact.name == name
                && fact.keys.iter().any(|key| key == purpose.key())
        });
        if !exists {
            plan.steps.push(Step::CreateSecret(purpose));
        }
    }
    let mut shards: BTreeSet<u16> = context.shards.clone();
    shards.extend(observed.stateful_sets.iter().map(|set| set.shard));
    let wished = foundations(context.cluster, context.cluster_id, &shards);
    for object in &wished {
        let fact = observed
            .objects
            .iter()
            .find(|fact| (fact.kind, &fact.name) == (object.kind, &object.name));
        if fact.is_none_or(|fact| differs(object, fact)) {
            plan.steps.push(Step::Apply(Box::new(object.clone())));
        }
    }
    prune(context, &wished, plan);
    for shard in &context.shards {
        apply_stateful_set(context, *shard, plan);
    }
}

fn differs(object: &Object, fact: &ObjectFact) -> bool {
    fact.applied_hash != object.hash || !is_within(&object.manifest, &fact.live)
}

/// Budgets of shards that are gone, and all of them where they are no longer wished for.
fn prune(context: &Context<'_>, wished: &[Object], plan: &mut Plan) {
    for fact in &context.observed.objects {
        let is_wished =
            wished.iter().any(|object| (object.kind, &object.name) == (fact.kind, &fact.name));
        if fact.kind == Kind::PodDisruptionBudget && !is_wished {
            plan.steps.push(Step::DeleteObject {
                kind: fact.kind,
                name: fact.name.clone(),
                uid: fact.uid.clone(),
            });
        }
    }
}

fn apply_stateful_set(context: &Context<'_>, shard: u16, plan: &mut Plan) {
    let pods = pods_wished(context, shard, plan);
    let object = stateful_set(context.cluster, context.cluster_id, shard, pods);
    let is_as_wished = context.stateful_set(shard).is_some_and(|set| {
        set.applied_hash == object.hash && set.replicas == pods && !set.deleting
    });
    let is_deleting = context.stateful_set(shard).is_some_and(|set| set.deleting);
    if is_deleting {
        let message = "the StatefulSet is on its way out and is needed again".to_owned();
        plan.wait(super::WaitingFor::Deletion, &object.name, message);
    } else if !is_as_wished {
        plan.steps.push(Step::Apply(Box::new(object)));
    }
}
