//! The pods' ServiceAccount: an identity without rights and without a token.

use serde_json::json;

use super::{Kind, Object, common_labels, metadata};
use crate::validate::ValidatedCluster;

/// Name of the account.
pub(super) fn name(cluster: &str) -> String {
    format!("{cluster}-node")
}

pub(super) fn service_account(cluster: &ValidatedCluster) -> Object {
    let name = name(&cluster.name);
    let manifest = json!({
        "metadata": metadata(cluster, &name, &common_labels(cluster)),
        "automountServiceAccountToken": false,
    });
    Object::new(Kind::ServiceAccount, name, manifest)
}
