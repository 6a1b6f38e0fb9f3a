//! What the operator counts, for Prometheus.
//!
//! Names start with `holdfast_`. Gauges of a cluster carry its namespace and name and vanish with
//! it. Not known here: who reads them (`metrics/http.rs` serves them).

pub mod http;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::api::conditions::ConditionType;

/// Which cluster a value belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClusterLabels {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Which effect was tried, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EffectLabels {
    /// Name of the effect.
    pub effect: String,
    /// `ok` or `error`.
    pub result: String,
}

/// Which condition of which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConditionLabels {
    /// Namespace of the cluster.
    pub namespace: String,
    /// Name of the cluster.
    pub name: String,
    /// Type of the condition.
    pub condition: String,
}

/// All that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// 1 while this process leads.
    pub leader: Gauge,
    /// Reconciles of each cluster.
    pub reconciles: Family<ClusterLabels, Counter>,
    /// Reconciles of each cluster that ended with an error.
    pub reconcile_errors: Family<ClusterLabels, Counter>,
    /// Seconds that a reconcile took.
    pub reconcile_seconds: Histogram,
    /// Effects on Kubernetes and on nodes.
    pub effects: Family<EffectLabels, Counter>,
    /// Nodes of each cluster that did not answer when last asked.
    pub silent_nodes: Family<ClusterLabels, Gauge>,
    /// Slots of each cluster that have an owner.
    pub slots_assigned: Family<ClusterLabels, Gauge>,
    /// Conditions of each cluster: 1 true, 0 false, -1 unknown.
    pub conditions: Family<ConditionLabels, Gauge>,
    /// Seconds since the Unix epoch of the last reconcile that ended well.
    pub last_success: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Mutex::new(Registry::with_prefix("holdfast")),
            leader: Gauge::default(),
            reconciles: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            effects: Family::default(),
            silent_nodes: Family::default(),
            slots_assigned: Family::default(),
            conditions: Family::default(),
            last_success: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let mut registry = Registry::with_prefix("holdfast");
        let r = &mut registry;
        r.register("leader", "1 while this process leads", self.leader.clone());
        r.register("reconciles", "Reconciles of a cluster", self.reconciles.clone());
        r.register(
            "reconcile_errors",
            "Reconciles of a cluster that ended with an error",
            self.reconcile_errors.clone(),
        );
        r.register(
            "reconcile_seconds",
            "Seconds that a reconcile took",
            self.reconcile_seconds.clone(),
        );
        r.register(
            "effects",
            "Effects tried on Kubernetes and on nodes, by result",
            self.effects.clone(),
        );
        r.register(
            "silent_nodes",
            "Nodes of a cluster that did not answer when last asked",
            self.silent_nodes.clone(),
        );
        r.register(
            "slots_assigned",
            "Slots of a cluster that have an owner",
            self.slots_assigned.clone(),
        );
        r.register(
            "condition",
            "Conditions of a cluster: 1 true, 0 false, -1 unknown",
            self.conditions.clone(),
        );
        r.register(
            "last_success_timestamp_seconds",
            "When the last reconcile of a cluster ended well",
            self.last_success.clone(),
        );
        self.registry = Mutex::new(registry);
    }

    /// Drops what belongs to a cluster that is gone.
    pub fn forget(&self, cluster: &ClusterLabels) {
        self.reconciles.remove(cluster);
        self.reconcile_errors.remove(cluster);
        self.silent_nodes.remove(cluster);
        self.slots_assigned.remove(cluster);
        self.last_success.remove(cluster);
        for condition in ConditionType::ALL {
            self.conditions.remove(&ConditionLabels {
                namespace: cluster.namespace.clone(),
                name: cluster.name.clone(),
                condition: condition.as_str().to_owned(),
            });
        }
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown_and_a_cluster_that_is_gone_is_not() {
        let metrics = Metrics::default();
        let cluster = ClusterLabels { namespace: "db".into(), name: "cache".into() };
        let effect = EffectLabels { effect: "Apply".into(), result: "ok".into() };
        metrics.effects.get_or_create(&effect).inc();
        metrics.slots_assigned.get_or_create(&cluster).set(16384);
        let shown = metrics.text().unwrap();
        assert!(shown.contains(r#"holdfast_effects_total{effect="Apply",result="ok"} 1"#));
        let gauge = r#"holdfast_slots_assigned{namespace="db",name="cache"} 16384"#;
        assert!(shown.contains(gauge), "{shown}");
        metrics.forget(&cluster);
        assert!(!metrics.text().unwrap().contains("cache"));
    }
}
