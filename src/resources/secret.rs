//! Passwords: one for clients, one for the operator.
//!
//! Not known here: how a password is drawn; it is an argument, and it is never part of a hash.

use serde_json::json;

use super::{Kind, Object, SecretPurpose, common_labels, metadata};
use crate::validate::ValidatedCluster;

/// The Secret of this purpose with this password. It is created once and never applied again.
pub fn secret(cluster: &ValidatedCluster, purpose: SecretPurpose, password: &str) -> Object {
    let name = purpose.secret_name(&cluster.name);
    let manifest = json!({
        "metadata": metadata(cluster, &name, &common_labels(cluster)),
        "type": "Opaque",
    });
    let mut object = Object::new(Kind::Secret, name, manifest);
    if let Some(fields) = object.manifest.as_object_mut() {
        fields.insert("stringData".to_owned(), json!({ purpose.key(): password }));
    }
    object
}
