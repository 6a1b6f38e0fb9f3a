//! The kubelet: pods as child processes of this one.
//!
//! There is one machine, the Node `local`. A pod gets an address of its own from 127.10.0.0/16,
//! so that every node listens on the same ports as on a real Kubernetes. There are no namespaces
//! and no images: a container whose image is the node's runs this program with `node`, mounts
//! are folders, and mount paths in arguments and mounted text are rewritten to them. Security
//! contexts and resource limits are not enforced.
//!
//! ```text
//!   pods.rs: which pods run here     pod.rs: one pod's life, a task each
//!   render.rs: from spec to command, environment and files      probe.rs: HTTP probes
//! ```
//! Not known here: what the processes do.

mod node;
mod pod;
mod probe;
mod render;
mod status;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_api_store::object::{self, set, text};
use holdfast_api_store::patch::Patch;
use holdfast_api_store::{Context, Target, TypeId};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::api::Api;

/// Name of the one Node.
pub const NODE: &str = "local";

const KUBELET: &str = "kubelet";

/// What the kubelet is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Program and first arguments that stand for the node image's entrypoint.
    pub node_program: Vec<PathBuf>,
    /// Folder for volumes and logs.
    pub folder: PathBuf,
}

impl Settings {
    /// Folder of the containers' logs.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }
}

struct Kubelet {
    api: Api,
    settings: Settings,
    addresses: std::sync::Mutex<Addresses>,
    stopped: watch::Receiver<bool>,
}

/// Runs pods until `stopped` turns true and every child has ended.
pub async fn run(api: Api, settings: Settings, mut stopped: watch::Receiver<bool>) {
    let kubelet = Arc::new(Kubelet {
        api: api.clone(),
        settings,
        addresses: std::sync::Mutex::new(Addresses::default()),
        stopped: stopped.clone(),
    });
    let mut changes = api.changes();
    let mut lives: JoinSet<String> = JoinSet::new();
    let mut running: BTreeSet<String> = BTreeSet::new();
    let heartbeat = tokio::spawn(node::keep(api.clone()));
    while !*stopped.borrow() {
        changes.mark_unchanged();
        for pod in kubelet.take_pods() {
            let uid = object::uid(&pod).to_owned();
            if running.insert(uid) {
                lives.spawn(pod::live(Arc::clone(&kubelet), pod));
            }
        }
        let reclaimed = api.read(|store| render::reclaim(store, &kubelet.settings));
        if let Err(e) = reclaimed {
            tracing::warn!(error = %e, "The folder of a deleted claim stays.");
        }
        tokio::select! {
            alive = changes.changed() => if alive.is_err() { break },
            Some(ended) = lives.join_next() => {
                if let Ok(uid) = ended { running.remove(&uid); }
            }
            _ = stopped.changed() => {}
        }
    }
    heartbeat.abort();
    while lives.join_next().await.is_some() {}
}

fn pods() -> TypeId {
    TypeId::new("", "pods")
}

impl Kubelet {
    /// Binds pods that no node has, and returns those of this node.
    fn take_pods(&self) -> Vec<Arc<Value>> {
        let all: Vec<Arc<Value>> = self.api.read(|store| store.all(&pods()).cloned().collect());
        for pod in all.iter().filter(|pod| text(pod, &["spec", "nodeName"]).is_empty()) {
            let bind = Patch::Merge(json!({"spec": {"nodeName": NODE}}));
            let target = Target::new(&pods(), object::namespace(pod), object::name(pod));
            let bound = self.api.write(|store, now| {
                store.patch(&target, &bind, &Context::new(now, "kube-scheduler"))
            });
            if let Err(e) = bound {
                tracing::debug!(pod = object::name(pod), error = %e, "A pod went before it ran.");
            }
        }
        self.api.read(|store| {
            let here = |pod: &&Arc<Value>| text(pod, &["spec", "nodeName"]) == NODE;
            store.all(&pods()).filter(here).cloned().collect()
        })
    }

    /// The pod as it stands, if it is still the same one.
    fn current(&self, pod: &Value) -> Option<Arc<Value>> {
        let target = Target::new(&pods(), object::namespace(pod), object::name(pod));
        let found = self.api.read(|store| store.get(&target)).ok()?;
        (object::uid(&found) == object::uid(pod)).then_some(found)
    }

    /// Writes a pod's status unless the pod is gone.
    fn write_status(&self, pod: &Value, status: &Value) {
        if self.current(pod).is_none() {
            return;
        }
        let target = Target::new(&pods(), object::namespace(pod), object::name(pod));
        let written = self.api.write(|store, now| {
            let mut object = (*store.get(&target)?).clone();
            set(&mut object, &["status"], status.clone());
            store.update(&target.through("status"), object, &Context::new(now, KUBELET))
        });
        if let Err(e) = written {
            tracing::debug!(pod = object::name(pod), error = %e, "A pod's status was not written.");
        }
    }
}

/// Addresses of pods: each new pod gets one that no pod has had for long.
#[derive(Debug, Default)]
struct Addresses {
    next: u16,
}

/// The client port: what tells whether somebody else uses an address.
const PROBED_PORT: u16 = 6379;

impl Addresses {
    /// The next free address of 127.10.0.0/16.
    fn take(&mut self) -> Ipv4Addr {
        loop {
            self.next = self.next.wrapping_add(1);
            let [high, low] = self.next.to_be_bytes();
            let address = Ipv4Addr::new(127, 10, high, low);
            if low != 0 && low != 255 && TcpListener::bind((address, PROBED_PORT)).is_ok() {
                return address;
            }
        }
    }
}
