//! The StatefulSet controller: pods and claims with stable names.
//!
//! Covered: `Parallel` and `OrderedReady`, `OnDelete`, volume claim templates, scaling both ways,
//! adoption of orphans, replacement of pods that have ended, the revision label. Not covered:
//! `RollingUpdate` (the operator never asks for it), retention policies other than Retain.
//! Also here, since nobody else is: binding of claims and the counts of disruption budgets.
//! Not known here: processes.

use std::sync::Arc;

use holdfast_api_store::object::{self, integer, items, set, text};
use holdfast_api_store::patch::Patch;
use holdfast_api_store::selector::Selector;
use holdfast_api_store::{ApiStore, Context, DeleteOptions, Failure, Target, TypeId};
use serde_json::{Value, json};

use super::api::Api;

const CONTROLLER: &str = "kube-controller-manager";
const REVISION_LABEL: &str = "controller-revision-hash";

/// The one StorageClass, and what a claim without a class gets.
pub const STORAGE_CLASS: &str = "standard";

/// Follows every change until the task is dropped.
pub async fn run(api: Api) {
    let mut changes = api.changes();
    loop {
        changes.mark_unchanged();
        api.write(step);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Brings every StatefulSet, claim and budget one step closer to its wish.
pub fn step(store: &mut ApiStore, now_ms: i64) {
    let context = Context::new(now_ms, CONTROLLER);
    let all = |store: &ApiStore, of: &TypeId| store.all(of).cloned().collect::<Vec<_>>();
    for set in all(store, &TypeId::new("apps", "statefulsets")) {
        if !object::is_terminating(&set) {
            report_failure(&set, reconcile(store, &set, &context));
        }
    }
    for claim in all(store, &TypeId::new("", "persistentvolumeclaims")) {
        report_failure(&claim, bind(store, &claim, &context));
    }
    for budget in all(store, &TypeId::new("policy", "poddisruptionbudgets")) {
        report_failure(&budget, count_budget(store, &budget, &context));
    }
}

fn report_failure(object: &Value, outcome: Result<(), Failure>) {
    if let Err(e) = outcome {
        let (kind, name) = (text(object, &["kind"]), object::name(object));
        tracing::warn!(kind, name, error = %e, "The embedded controller could not go on.");
    }
}

fn pods() -> TypeId {
    TypeId::new("", "pods")
}

fn reconcile(store: &mut ApiStore, set: &Value, context: &Context<'_>) -> Result<(), Failure> {
    let (namespace, name) = (object::namespace(set), object::name(set));
    let wanted = integer(set, &["spec", "replicas"]).unwrap_or(1).max(0);
    let revision = revision(set);
    let ordered = text(set, &["spec", "podManagementPolicy"]) != "Parallel";
    for ordinal in 0..wanted {
        let pod_name = format!("{name}-{ordinal}");
        let target = Target::new(&pods(), namespace, &pod_name);
        match store.get(&target) {
            Err(_) => {
                claims(store, set, &pod_name, context)?;
                let home = Target::new(&pods(), namespace, "");
                store.create(&home, pod(set, ordinal, &revision), context)?;
                if ordered {
                    break;
                }
            }
            Ok(pod) => {
                tend(store, set, &pod, &target, context)?;
                if ordered && !is_ready(&pod) {
                    break;
                }
            }
        }
    }
    for pod in owned(store, set) {
        if ordinal_of(&pod, name).is_none_or(|ordinal| ordinal >= wanted) {
            delete(store, &pod, context)?;
        }
    }
    write_status(store, set, &revision, context)
}

/// Replaces a pod that has ended, and adopts one that has no owner.
fn tend(
    store: &mut ApiStore,
    set: &Value,
    pod: &Value,
    target: &Target,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if matches!(text(pod, &["status", "phase"]), "Failed" | "Succeeded") {
        return delete(store, pod, context);
    }
    if items(pod, &["metadata", "ownerReferences"]).is_empty() && !object::is_terminating(pod) {
        let adopt = json!({"metadata": {"ownerReferences": [owner_reference(set)]}});
        store.patch(target, &Patch::Merge(adopt), context)?;
    }
    Ok(())
}

fn delete(store: &mut ApiStore, pod: &Value, context: &Context<'_>) -> Result<(), Failure> {
    if object::is_terminating(pod) {
        return Ok(());
    }
    let target = Target::new(&pods(), object::namespace(pod), object::name(pod));
    let options = DeleteOptions { uid: object::uid(pod).to_owned(), ..DeleteOptions::default() };
    store.delete(&target, &options, context).map(|_| ())
}

fn owner_reference(set: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": object::name(set),
        "uid": object::uid(set), "controller": true, "blockOwnerDeletion": true})
}

fn owned(store: &ApiStore, set: &Value) -> Vec<Arc<Value>> {
    let uid = object::uid(set);
    let is_owner = |reference: &Value| text(reference, &["uid"]) == uid;
    store
        .all(&pods())
        .filter(|pod| items(pod, &["metadata", "ownerReferences"]).iter().any(is_owner))
        .cloned()
        .collect()
}

fn ordinal_of(pod: &Value, set: &str) -> Option<i64> {
    object::name(pod).strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

fn is_ready(pod: &Value) -> bool {
    items(pod, &["status", "conditions"])
        .iter()
        .any(|c| text(c, &["type"]) == "Ready" && text(c, &["status"]) == "True")
}

/// `<name>-<hash of the template>`; the hash is FNV-1a over the canonical JSON.
fn revision(set: &Value) -> String {
    let template = object::at(set, &["spec", "template"]).cloned().unwrap_or_default();
    let hash = template.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}-{:010x}", object::name(set), hash & 0xff_ffff_ffff)
}

fn pod(stateful_set: &Value, ordinal: i64, revision: &str) -> Value {
    let name = format!("{}-{ordinal}", object::name(stateful_set));
    let template = object::at(stateful_set, &["spec", "template"]).cloned().unwrap_or_default();
    let mut pod = template;
    let ordinal = ordinal.to_string();
    set(&mut pod, &["metadata", "name"], name.clone().into());
    for (label, value) in [
        ("statefulset.kubernetes.io/pod-name", name.as_str()),
        ("apps.kubernetes.io/pod-index", ordinal.as_str()),
        (REVISION_LABEL, revision),
    ] {
        set(&mut pod, &["metadata", "labels", label], value.into());
    }
    set(&mut pod, &["metadata", "ownerReferences"], json!([owner_reference(stateful_set)]));
    set(&mut pod, &["spec", "hostname"], name.clone().into());
    copy_subdomain(stateful_set, &mut pod);
    let mut volumes = items(&pod, &["spec", "volumes"]).to_vec();
    for claim in items(stateful_set, &["spec", "volumeClaimTemplates"]) {
        let volume = object::name(claim);
        volumes.retain(|one| text(one, &["name"]) != volume);
        let claim_name = format!("{volume}-{name}");
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}}));
    }
    set(&mut pod, &["spec", "volumes"], volumes.into());
    pod
}

fn copy_subdomain(stateful_set: &Value, pod: &mut Value) {
    let service = text(stateful_set, &["spec", "serviceName"]);
    if !service.is_empty() {
        set(pod, &["spec", "subdomain"], service.into());
    }
}

/// Creates the claims of a pod that are not there; a retained one is used again.
fn claims(
    store: &mut ApiStore,
    stateful_set: &Value,
    pod_name: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let of = TypeId::new("", "persistentvolumeclaims");
    let namespace = object::namespace(stateful_set);
    for template in items(stateful_set, &["spec", "volumeClaimTemplates"]) {
        let name = format!("{}-{pod_name}", object::name(template));
        if store.get(&Target::new(&of, namespace, &name)).is_ok() {
            continue;
        }
        let mut claim = json!({"metadata": template["metadata"], "spec": template["spec"]});
        set(&mut claim, &["metadata", "name"], name.into());
        let labels = object::at(stateful_set, &["spec", "selector", "matchLabels"]);
        for (label, value) in labels.and_then(Value::as_object).into_iter().flatten() {
            set(&mut claim, &["metadata", "labels", label], value.clone());
        }
        store.create(&Target::new(&of, namespace, ""), claim, context)?;
    }
    Ok(())
}

fn write_status(
    store: &mut ApiStore,
    set: &Value,
    revision: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let pods = owned(store, set);
    let count = |test: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| test(pod)).count();
    let ready = count(&is_ready);
    let labels = ["metadata", "labels", REVISION_LABEL];
    let updated = count(&|pod| text(pod, &labels) == revision);
    // The current revision follows only when every pod has been replaced.
    let before = text(set, &["status", "currentRevision"]);
    let current = if before.is_empty() || updated == pods.len() { revision } else { before };
    let status = json!({"status": {
        "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
        "updatedReplicas": updated, "currentReplicas": count(&|pod| text(pod, &labels) == current),
        "currentRevision": current, "updateRevision": revision, "collisionCount": 0,
        "observedGeneration": integer(set, &["metadata", "generation"]),
    }});
    let of = TypeId::new("apps", "statefulsets");
    let target = Target::new(&of, object::namespace(set), object::name(set)).through("status");
    store.patch(&target, &Patch::Merge(status), context).map(|_| ())
}

/// A claim of the one class is bound at once: its volume is a folder that the kubelet makes.
fn bind(store: &mut ApiStore, claim: &Value, context: &Context<'_>) -> Result<(), Failure> {
    let class = text(claim, &["spec", "storageClassName"]);
    let bound = text(claim, &["status", "phase"]) == "Bound";
    let size = object::at(claim, &["spec", "resources", "requests", "storage"]);
    let fits = object::at(claim, &["status", "capacity", "storage"]) == size;
    if object::is_terminating(claim) || (bound && fits) || !matches!(class, "" | STORAGE_CLASS) {
        return Ok(());
    }
    let of = TypeId::new("", "persistentvolumeclaims");
    let target = Target::new(&of, object::namespace(claim), object::name(claim));
    let volume = format!("pvc-{}", object::uid(claim));
    let spec = json!({"spec": {"volumeName": volume, "storageClassName": STORAGE_CLASS}});
    store.patch(&target, &Patch::Merge(spec), context)?;
    let status = json!({"status": {"phase": "Bound", "capacity": {"storage": size},
        "accessModes": claim["spec"]["accessModes"]}});
    store.patch(&target.through("status"), &Patch::Merge(status), context).map(|_| ())
}

/// Counts the pods of a budget; only whole numbers are understood, as the operator writes them.
fn count_budget(
    store: &mut ApiStore,
    budget: &Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let namespace = object::namespace(budget);
    let labels = object::at(budget, &["spec", "selector", "matchLabels"]);
    let wanted: Vec<String> = labels
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or("")))
        .collect();
    let selector = Selector::parse(&wanted.join(","), "")?;
    let matching: Vec<&Arc<Value>> = store
        .all(&pods())
        .filter(|pod| object::namespace(pod) == namespace && selector.matches(pod))
        .collect();
    let expected = matching.len() as i64;
    let healthy = matching.iter().filter(|pod| is_ready(pod)).count() as i64;
    let desired = match integer(budget, &["spec", "minAvailable"]) {
        Some(least) => least,
        None => expected - integer(budget, &["spec", "maxUnavailable"]).unwrap_or(0),
    };
    let status = json!({"status": {
        "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
        "disruptionsAllowed": (healthy - desired).max(0),
        "observedGeneration": integer(budget, &["metadata", "generation"]),
    }});
    let of = TypeId::new("policy", "poddisruptionbudgets");
    let target = Target::new(&of, namespace, object::name(budget)).through("status");
    store.patch(&target, &Patch::Merge(status), context).map(|_| ())
}

#[cfg(test)]
mod tests;
