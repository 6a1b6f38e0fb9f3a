//! What users write and read: the object `RedisCluster`, its schema, its rules, its status.
//!
//! Not known here: what the operator does with any of it.

pub mod conditions;
mod crd;
mod rules;
mod spec;
mod status;

pub use crd::{crd, crd_yaml};
pub use rules::{RULES, Rule, Scope as RuleScope, violated_rules};
pub use spec::*;
pub use status::*;

/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "holdfast";
/// The operator's finalizer.
pub const FINALIZER: &str = "holdfast.dev/cleanup";
/// Label with the cluster's name.
pub const LABEL_CLUSTER: &str = "holdfast.dev/cluster";
/// Label with the shard's number.
pub const LABEL_SHARD: &str = "holdfast.dev/shard";
/// Label with the node's role, output only.
pub const LABEL_ROLE: &str = "holdfast.dev/role";
/// Label with the revision that a pod is made from.
pub const LABEL_REVISION: &str = "holdfast.dev/revision";
/// Annotation with the hash of what was applied.
pub const ANNOTATION_APPLIED: &str = "holdfast.dev/applied";
