//! What the embedded Kubernetes consists of before anybody uses it.
//!
//! The built-in types' schemas, the CRD with its rules, and the namespaces. Not known here:
//! processes and sockets.

use std::sync::Arc;

use holdfast_api_store::patch::Patch;
use holdfast_api_store::{ApiStore, Context, Failure, Rule, Target, TypeId, object};
use k8s_openapi::api;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::api::{RULES, RedisCluster, RuleScope};

/// A store that serves the built-in types and knows the rules, still without objects.
pub fn empty_store(seed: u64) -> ApiStore {
    let mut store = ApiStore::new(seed);
    let core = [
        ("namespaces", schema::<api::core::v1::Namespace>()),
        ("nodes", schema::<api::core::v1::Node>()),
        ("pods", schema::<api::core::v1::Pod>()),
        ("services", schema::<api::core::v1::Service>()),
        ("configmaps", schema::<api::core::v1::ConfigMap>()),
        ("secrets", schema::<api::core::v1::Secret>()),
        ("serviceaccounts", schema::<api::core::v1::ServiceAccount>()),
        ("persistentvolumeclaims", schema::<api::core::v1::PersistentVolumeClaim>()),
        ("events", schema::<api::core::v1::Event>()),
    ];
    for (plural, schema) in core {
        store.set_schema(&TypeId::new("", plural), schema);
    }
    let named = [
        ("apps", "statefulsets", schema::<api::apps::v1::StatefulSet>()),
        ("policy", "poddisruptionbudgets", schema::<api::policy::v1::PodDisruptionBudget>()),
        ("coordination.k8s.io", "leases", schema::<api::coordination::v1::Lease>()),
        ("networking.k8s.io", "networkpolicies", schema::<api::networking::v1::NetworkPolicy>()),
        ("events.k8s.io", "events", schema::<api::events::v1::Event>()),
    ];
    for (group, plural, schema) in named {
        store.set_schema(&TypeId::new(group, plural), schema);
    }
    store.set_rules(RedisCluster::crd_name(), RULES.iter().map(rule).collect());
    store
}

/// Creates or refreshes what has to be there.
pub fn furnish(store: &mut ApiStore, now_ms: i64) -> Result<(), Failure> {
    let context = Context::new(now_ms, "holdfast-local");
    let mut apply = |of: &TypeId, name: &str, config: Value| {
        let patch = Patch::Apply { config, force: true };
        store.patch(&Target::new(of, "", name), &patch, &context).map(|_| ())
    };
    let namespaces = TypeId::new("", "namespaces");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        apply(&namespaces, name, json!({"metadata": {"name": name}}))?;
    }
    let classes = TypeId::new("storage.k8s.io", "storageclasses");
    let name = super::stateful_set::STORAGE_CLASS;
    let class = json!({"metadata": {"name": name, "annotations": {
            "storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "holdfast.dev/local", "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate"});
    apply(&classes, name, class)?;
    let definitions = TypeId::new("apiextensions.k8s.io", "customresourcedefinitions");
    let crd = serde_json::to_value(crate::api::crd())
        .map_err(|e| Failure::BadRequest(format!("the CRD is no JSON: {e}")))?;
    apply(&definitions, RedisCluster::crd_name(), crd)
}

/// What a machine's reboot does to its pods: they are there, and nothing of them runs.
pub fn forget_lives(store: &mut ApiStore, now_ms: i64) -> Result<(), Failure> {
    let of = TypeId::new("", "pods");
    let pods: Vec<Arc<Value>> = store.all(&of).cloned().collect();
    for pod in pods {
        let target = Target::new(&of, object::namespace(&pod), object::name(&pod));
        let mut stopped = (*pod).clone();
        object::set(&mut stopped, &["status"], json!({"phase": "Pending"}));
        store.update(&target.through("status"), stopped, &Context::new(now_ms, "kubelet"))?;
    }
    Ok(())
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The row of the operator's table as the store asks it. An object that is no RedisCluster at
/// all has been refused by the schema before.
fn rule(row: &'static crate::api::Rule) -> Rule {
    let scope = match row.scope {
        RuleScope::Object => "",
        RuleScope::Spec => "spec",
    };
    let field = match (scope, row.field_path) {
        ("", None) => "<nil>".to_owned(),
        (scope, path) => format!("{scope}{}", path.unwrap_or("")),
    };
    Rule {
        path: Vec::new(),
        field: field.trim_start_matches('.').to_owned(),
        message: row.message.to_owned(),
        holds: Arc::new(|new: &Value, old: Option<&Value>| {
            let read = |value: &Value| serde_json::from_value::<RedisCluster>(value.clone()).ok();
            let Some(new) = read(new) else { return true };
            let old = old.and_then(read);
            (row.holds)(&new, old.as_ref())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn furnished() -> ApiStore {
        let mut store = empty_store(1);
        furnish(&mut store, 0).unwrap();
        store
    }

    fn create(store: &mut ApiStore, name: &str, spec: Value) -> Result<Value, Failure> {
        let of = TypeId::new("holdfast.dev", "redisclusters");
        let body = json!({"metadata": {"name": name}, "spec": spec});
        let target = Target::new(&of, "default", "");
        store.create(&target, body, &Context::new(0, "test")).map(|w| (*w.object).clone())
    }

    #[test]
    fn the_smallest_manifest_is_taken_and_a_wrong_one_refused_by_schema() {
        let mut store = furnished();
        create(&mut store, "cache", json!({"shards": 3})).unwrap();
        let refused = create(&mut store, "bad", json!({"shards": 0})).unwrap_err();
        assert!(refused.to_string().contains("spec.shards: Invalid value: 0"), "{refused}");
    }

    #[test]
    fn the_rules_of_the_table_are_enforced() {
        let mut store = furnished();
        let long = "a".repeat(41);
        assert_eq!(create(&mut store, &long, json!({"shards": 3})).unwrap_err().code(), 422);
        let aof = json!({"shards": 3, "persistence": {"mode": "aof"}});
        let refused = create(&mut store, "cache", aof).unwrap_err();
        assert!(refused.to_string().contains("persistence needs storage"), "{refused}");
    }

    #[test]
    fn furnishing_twice_changes_nothing() {
        let mut store = furnished();
        let before = store.revision();
        furnish(&mut store, 1000).unwrap();
        assert_eq!(store.revision(), before);
    }

    #[test]
    fn an_unknown_field_of_a_built_in_type_is_found() {
        let mut store = furnished();
        let target = Target::new(&TypeId::new("", "pods"), "default", "");
        let body = json!({"metadata": {"name": "p"}, "spec": {"containers": [], "imge": "x"}});
        let made = store.create(&target, body, &Context::new(0, "test")).unwrap();
        assert_eq!(made.warnings, ["unknown field \"spec.imge\""]);
    }
}
