//! What the terminal shows until the clusters are Ready, and how to use them then.
//!
//! Not known here: how they become ready.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use holdfast_api_store::defaults::unbase64;
use holdfast_api_store::object::{self, integer, items, text};
use holdfast_api_store::{Target, TypeId};
use serde_json::Value;

use super::api::Api;

const BAR_WIDTH: i64 = 24;

/// How far the clusters are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// One line for all clusters.
    pub line: String,
    /// True when every cluster is Ready.
    pub ready: bool,
}

fn clusters(api: &Api) -> Vec<Arc<Value>> {
    api.read(|store| store.all(&TypeId::new("holdfast.dev", "redisclusters")).cloned().collect())
}

fn condition<'a>(cluster: &'a Value, kind: &str) -> Option<&'a Value> {
    items(cluster, &["status", "conditions"]).iter().find(|c| text(c, &["type"]) == kind)
}

/// True when the operator says so and every pod stands by it: after a restart in the same folder
/// the operator's last word is older than the pods.
fn is_ready(api: &Api, cluster: &Value) -> bool {
    let of_cluster = ["metadata", "labels", "holdfast.dev/cluster"];
    let pods_ready = api.read(|store| {
        store
            .all(&TypeId::new("", "pods"))
            .filter(|pod| {
                text(pod, &of_cluster) == object::name(cluster)
                    && object::namespace(pod) == object::namespace(cluster)
            })
            .all(|pod| condition(pod, "Ready").is_some_and(|c| text(c, &["status"]) == "True"))
    });
    let said = condition(cluster, "Ready").is_some_and(|ready| {
        text(ready, &["status"]) == "True"
            && integer(cluster, &["status", "observedGeneration"])
                == integer(cluster, &["metadata", "generation"])
    });
    said && pods_ready
}

/// Looks at all clusters.
pub fn look(api: &Api) -> Progress {
    let all = clusters(api);
    let lines: Vec<String> = all.iter().map(|cluster| one_line(cluster)).collect();
    Progress { line: lines.join("   "), ready: all.iter().all(|cluster| is_ready(api, cluster)) }
}

/// `cache [######..................] 2/6 nodes, 8192/16384 slots, Creating`.
fn one_line(cluster: &Value) -> String {
    let number = |path: &[&str]| integer(cluster, path).unwrap_or(0);
    let shards = number(&["spec", "shards"]);
    let replicas = integer(cluster, &["spec", "replicasPerShard"]).unwrap_or(1);
    let nodes = (shards * (1 + replicas)).max(1);
    let ready_nodes = number(&["status", "readyNodes"]).clamp(0, nodes);
    let slots = number(&["status", "slots", "assigned"]).clamp(0, 16384);
    // Half of the way is that the nodes run, half that the slots are served.
    let done = BAR_WIDTH * (ready_nodes * 16384 + slots * nodes) / (2 * nodes * 16384);
    let bar: String = (0..BAR_WIDTH).map(|at| if at < done { '#' } else { '.' }).collect();
    let phase = match text(cluster, &["status", "phase"]) {
        "" => "Pending",
        phase => phase,
    };
    let name = object::name(cluster);
    format!("{name} [{bar}] {ready_nodes}/{nodes} nodes, {slots}/16384 slots, {phase}")
}

/// Prints lines of progress: over each other on a terminal, below each other elsewhere.
#[derive(Debug, Default)]
pub struct Printer {
    last: String,
}

impl Printer {
    /// Shows a line unless it is the last one again.
    pub fn show(&mut self, line: &str) {
        if self.last == line {
            return;
        }
        line.clone_into(&mut self.last);
        let mut out = io::stderr();
        // A terminal that is gone does not stop a cluster.
        let _ = if out.is_terminal() {
            write!(out, "\r\x1b[K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }

    /// Ends the line on a terminal.
    pub fn finish(&mut self) {
        if io::stderr().is_terminal() && !self.last.is_empty() {
            eprintln!();
        }
        self.last.clear();
    }
}

/// How to use what runs.
pub fn usage(api: &Api, kubeconfig: &Path) -> String {
    let mut out = format!(
        "\n  export KUBECONFIG={}\n  kubectl get rediscluster -w\n  kubectl get pods -o wide\n",
        kubeconfig.display()
    );
    for cluster in clusters(api) {
        let (namespace, name) = (object::namespace(&cluster), object::name(&cluster));
        let wish = integer(&cluster, &["spec", "shards"]).unwrap_or(0) + 1;
        out += &format!("  kubectl scale rediscluster/{name} --replicas={wish} -n {namespace}\n");
        if let (Some(address), Some(password)) =
            (address(api, namespace, name), password(api, namespace, name))
        {
            out +=
                &format!("  redis-cli -c -h {address} -p 6379 -a {password} --no-auth-warning\n");
        }
    }
    out + "\nCtrl-C stops everything.\n"
}

fn address(api: &Api, namespace: &str, cluster: &str) -> Option<String> {
    let first = Target::new(&TypeId::new("", "pods"), namespace, &format!("{cluster}-0-0"));
    let pod = api.read(|store| store.get(&first)).ok()?;
    Some(text(&pod, &["status", "podIP"]).to_owned()).filter(|ip| !ip.is_empty())
}

fn password(api: &Api, namespace: &str, cluster: &str) -> Option<String> {
    let name = format!("{cluster}-default-user");
    let secret = Target::new(&TypeId::new("", "secrets"), namespace, &name);
    let secret = api.read(|store| store.get(&secret)).ok()?;
    String::from_utf8(unbase64(text(&secret, &["data", "password"]))?).ok()
}
