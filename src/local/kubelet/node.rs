//! The Node object and its Lease: proof that this kubelet lives.
//!
//! Not known here: pods.

use std::time::Duration;

use holdfast_api_store::object::rfc3339_micros;
use holdfast_api_store::patch::Patch;
use holdfast_api_store::{Context, Failure, Target, TypeId};
use serde_json::json;

use super::{KUBELET, NODE};
use crate::local::api::Api;

/// How often the Lease is renewed; a real kubelet's period.
const RENEW_PERIOD: Duration = Duration::from_secs(10);

/// Registers the Node and renews its Lease until the task ends.
pub(super) async fn keep(api: Api) {
    if let Err(e) = register(&api) {
        tracing::warn!(error = %e, "The embedded kubelet could not register its Node.");
    }
    loop {
        if let Err(e) = renew(&api) {
            tracing::warn!(error = %e, "The embedded kubelet could not renew its Lease.");
        }
        tokio::time::sleep(RENEW_PERIOD).await;
    }
}

fn register(api: &Api) -> Result<(), Failure> {
    let target = Target::new(&TypeId::new("", "nodes"), "", NODE);
    let config = json!({"metadata": {"name": NODE, "labels": {
        "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": "local"}}, "spec": {}});
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": NODE}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "the embedded kubelet runs"}],
        "nodeInfo": {"kubeletVersion": concat!("holdfast-local-", env!("CARGO_PKG_VERSION")),
            "operatingSystem": "linux"}}});
    api.write(|store, now| {
        let context = Context::new(now, KUBELET);
        store.patch(&target, &Patch::Apply { config, force: true }, &context)?;
        store.patch(&target.through("status"), &Patch::Merge(status), &context)
    })
    .map(|_| ())
}

fn renew(api: &Api) -> Result<(), Failure> {
    let of = TypeId::new("coordination.k8s.io", "leases");
    let target = Target::new(&of, "kube-node-lease", NODE);
    api.write(|store, now| {
        let config = json!({"metadata": {"name": NODE}, "spec": {"holderIdentity": NODE,
            "leaseDurationSeconds": 40, "renewTime": rfc3339_micros(now)}});
        let context = Context::new(now, KUBELET);
        store.patch(&target, &Patch::Apply { config, force: true }, &context)
    })
    .map(|_| ())
}
