//! The Kubernetes objects that a cluster consists of, one kind a file; pure.
//!
//! Not known here: what exists already, and when an object is applied (`plan`).

mod object;

pub use object::{Kind, Object, SecretPurpose};

use crate::validate::ValidatedCluster;

/// The Secret of this purpose with this password; the password is drawn by whoever applies it.
pub fn secret(cluster: &ValidatedCluster, purpose: SecretPurpose, password: &str) -> Object {
    let name = purpose.secret_name(&cluster.name);
    let manifest = serde_json::json!({ "stringData": { purpose.key(): password } });
    Object { kind: Kind::Secret, name, hash: String::new(), manifest }
}
