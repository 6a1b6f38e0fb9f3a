//! From an object that may be wrong to a [`ValidatedCluster`] that is not.
//!
//! The API server has checked the schema and the rules, but an object may have got past it (an
//! old definition, a rule that it does not know). Whatever the planner relies on is checked here
//! and named by its field. Not known here: the state of the world.

use std::collections::BTreeMap;

use holdfast_wire::id::ClusterId;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::{
    DataLossPolicy, DeletionPolicy, Image, NoReplica, Persistence, PullPolicy, QuorumLoss,
    RedisCluster, Storage, violated_rules,
};

mod quantity;

/// Engine options that `spec.config` may hold, sorted; what is not here is either rendered from
/// a field of its own or would take the node out of the operator's hands.
const ENGINE_OPTIONS: &[&str] = &[
    "active-expire-effort",
    "cluster-allow-reads-when-down",
    "cluster-require-full-coverage",
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "list-max-listpack-size",
    "loglevel",
    "maxclients",
    "maxmemory-policy",
    "maxmemory-samples",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "proto-max-bulk-len",
    "repl-backlog-size",
    "tcp-keepalive",
    "timeout",
];

/// What the operator was started with and an object may leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Repository of the node's image.
    pub node_repository: String,
    /// Tag of the node's image.
    pub node_tag: String,
}

/// A wish without holes and contradictions.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedCluster {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Uid of the object.
    pub uid: String,
    /// Generation of the object.
    pub generation: i64,
    /// Identity that a cluster of this object gets when it has none yet: made from the uid.
    pub new_cluster_id: ClusterId,
    /// Shards.
    pub shards: u16,
    /// Replicas of each primary.
    pub replicas_per_shard: u16,
    /// Image reference.
    pub image: String,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// Secrets with credentials for the registry.
    pub pull_secrets: Vec<String>,
    /// Resource requests, as Kubernetes quantities.
    pub requests: BTreeMap<String, String>,
    /// Resource limits, as Kubernetes quantities.
    pub limits: BTreeMap<String, String>,
    /// `maxmemory` in bytes; `None` for no limit.
    pub max_memory_bytes: Option<u64>,
    /// Volumes.
    pub storage: Option<Storage>,
    /// What is written to the volumes.
    pub persistence: Persistence,
    /// Engine options.
    pub config: BTreeMap<String, String>,
    /// Labels that a Kubernetes node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Budgets are wanted.
    pub budgets: bool,
    /// Bytes that a replica may lag behind at a hand-over.
    pub max_lag_bytes: u64,
    /// What an update does with a primary that has no replica.
    pub no_replica: NoReplica,
    /// Most migrations at once.
    pub max_concurrent_migrations: usize,
    /// Milliseconds of silence after which the nodes suspect a node.
    pub node_timeout_ms: u32,
    /// Who promotes when the nodes cannot elect.
    pub quorum_loss: QuorumLoss,
    /// What to do with slots when every copy is gone.
    pub data_loss_policy: DataLossPolicy,
    /// What the deletion of the object does.
    pub deletion_policy: DeletionPolicy,
    /// The operator shall change nothing.
    pub paused: bool,
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidSpec {
    /// The field's path, for example `spec.maxMemory`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// Checks an object; every fault is named, not only the first.
pub fn validate(
    object: &RedisCluster,
    defaults: &Defaults,
) -> Result<ValidatedCluster, Vec<InvalidSpec>> {
    let mut faults = Faults::default();
    for rule in violated_rules(object, None) {
        faults.add(rule.path, rule.message);
    }
    let spec = &object.spec;
    if !(1..=250).contains(&spec.shards) {
        faults.add("spec.shards", "must be from 1 to 250");
    }
    if spec.replicas_per_shard > 5 {
        faults.add("spec.replicasPerShard", "must be from 0 to 5");
    }
    let requests = amounts("spec.resources.requests", &spec.resources.requests, &mut faults);
    let limits = amounts("spec.resources.limits", &spec.resources.limits, &mut faults);
    if let Some(storage) = &spec.storage
        && quantity::bytes(&text(&storage.size)).is_none_or(|bytes| bytes == 0)
    {
        faults.add("spec.storage.size", "must be a positive quantity such as 20Gi");
    }
    let max_memory_bytes =
        spec.max_memory.as_ref().and_then(|wish| max_memory(&text(wish), &limits, &mut faults));
    let config = engine_options(&spec.config, &mut faults);
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let cluster = ValidatedCluster {
        name: object.metadata.name.clone().unwrap_or_default(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        new_cluster_id: cluster_id_of(&uid),
        uid,
        shards: spec.shards,
        replicas_per_shard: u16::from(spec.replicas_per_shard),
        image: image(&spec.image, defaults),
        pull_policy: spec.image.pull_policy,
        pull_secrets: spec.image.pull_secrets.clone(),
        requests,
        limits,
        max_memory_bytes,
        storage: spec.storage.clone(),
        persistence: spec.persistence,
        config,
        node_selector: spec.scheduling.node_selector.clone(),
        tolerations: spec.scheduling.tolerations.clone(),
        budgets: spec.pod_disruption_budget.enabled,
        max_lag_bytes: spec.update.max_lag_bytes,
        no_replica: spec.update.no_replica,
        max_concurrent_migrations: usize::from(spec.rebalance.max_concurrent.max(1)),
        node_timeout_ms: spec.failover.node_timeout_ms,
        quorum_loss: spec.failover.quorum_loss,
        data_loss_policy: spec.data_loss_policy.unwrap_or(match spec.storage {
            Some(_) => DataLossPolicy::Block,
            None => DataLossPolicy::ReassignEmpty,
        }),
        deletion_policy: spec.deletion_policy,
        paused: spec.paused,
    };
    if faults.0.is_empty() { Ok(cluster) } else { Err(faults.0) }
}

#[derive(Default)]
struct Faults(Vec<InvalidSpec>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(InvalidSpec { path: path.into(), message: message.into() });
    }
}

fn text(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

fn amounts(
    path: &str,
    wish: &BTreeMap<String, IntOrString>,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    wish.iter()
        .map(|(resource, amount)| {
            let amount = text(amount);
            if quantity::thousandths(&amount).is_none() {
                faults.add(format!("{path}.{resource}"), format!("{amount:?} is no quantity"));
            }
            (resource.clone(), amount)
        })
        .collect()
}

/// What `auto` leaves of the memory limit for the data set; the rest is for buffers.
const AUTO_PERCENT: u64 = 75;

fn max_memory(wish: &str, limits: &BTreeMap<String, String>, faults: &mut Faults) -> Option<u64> {
    let path = "spec.maxMemory";
    let limit = limits.get("memory").and_then(|limit| quantity::bytes(limit));
    let percent = match (wish, wish.strip_suffix('%')) {
        ("auto", _) => Some(AUTO_PERCENT),
        (_, Some(digits)) => match digits.parse() {
            Ok(percent @ 1..=100) => Some(percent),
            _ => {
                faults.add(path, "a percentage must be from 1% to 100%");
                return None;
            }
        },
        _ => None,
    };
    let bytes = match (percent, limit) {
        (Some(percent), Some(limit)) => limit.checked_mul(percent).map(|bytes| bytes / 100),
        (Some(_), None) => {
            faults.add(path, format!("{wish:?} needs spec.resources.limits.memory"));
            return None;
        }
        (None, _) => quantity::bytes(wish),
    };
    if bytes.is_none_or(|bytes| bytes == 0) {
        faults.add(path, "must be auto, a positive quantity such as 3Gi, or a percentage");
        return None;
    }
    bytes
}

fn engine_options(
    wish: &BTreeMap<String, IntOrString>,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (name, value) in wish {
        let path = format!("spec.config.{name}");
        let value = text(value);
        if ENGINE_OPTIONS.binary_search(&name.as_str()).is_err() {
            faults.add(path, "is not among the options that may be set here");
        } else if value.is_empty() || value.chars().any(|c| c.is_control() || c == '"') {
            faults.add(path, "must be a value on one line without quotes");
        } else {
            options.insert(name.clone(), value);
        }
    }
    options
}

fn image(wish: &Image, defaults: &Defaults) -> String {
    let repository = wish.repository.as_deref().unwrap_or(&defaults.node_repository);
    match &wish.digest {
        Some(digest) => format!("{repository}@{digest}"),
        None => format!("{repository}:{}", wish.tag.as_deref().unwrap_or(&defaults.node_tag)),
    }
}

/// The identity of a new cluster: the digits of the object's uid, filled up to 40, so that it is
/// the same however often it is worked out and different for every object.
fn cluster_id_of(uid: &str) -> ClusterId {
    let digits =
        uid.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase());
    let filling = fnv64(uid.as_bytes());
    let filling = format!("{filling:016x}").repeat(3);
    let text: String = digits.take(32).chain(filling.chars()).take(40).collect();
    text.parse().unwrap_or_default()
}

/// FNV-1a, 64 bits: a fixed, public function, since its results outlive this program.
pub(crate) fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
