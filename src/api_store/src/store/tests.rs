//! Promises of the store, each as a client sees it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::patch::Patch;

const NOW: i64 = 1_795_424_172_000;

fn clusters() -> TypeId {
    TypeId::new("holdfast.dev", "redisclusters")
}

fn core(plural: &str) -> TypeId {
    TypeId::new("", plural)
}

fn context() -> Context<'static> {
    Context::new(NOW, "test")
}

fn crd() -> Value {
    json!({"metadata": {"name": "redisclusters.holdfast.dev"}, "spec": {
        "group": "holdfast.dev", "scope": "Namespaced",
        "names": {"kind": "RedisCluster", "plural": "redisclusters", "shortNames": ["rdc"]},
        "versions": [{"name": "v1alpha1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.shards",
                "statusReplicasPath": ".status.shards", "labelSelectorPath": ".status.selector"}},
            "additionalPrinterColumns": [
                {"name": "Status", "type": "string", "jsonPath": ".status.phase"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "required": ["shards"], "properties": {
                    "shards": {"type": "integer", "minimum": 1},
                    "replicasPerShard": {"type": "integer", "default": 1}}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

fn store() -> ApiStore {
    let mut store = ApiStore::new(7);
    let shrinks_by_one = Rule {
        path: vec!["spec".into()],
        field: "spec".into(),
        message: "at most one shard may go at a time".into(),
        holds: Arc::new(|new, old| {
            let shards = |v: &Value| v["shards"].as_i64().unwrap_or(0);
            old.is_none_or(|old| shards(old) - shards(new) <= 1)
        }),
    };
    store.set_rules("redisclusters.holdfast.dev", vec![shrinks_by_one]);
    let namespace = json!({"metadata": {"name": "default"}});
    store.create(&Target::new(&core("namespaces"), "", ""), namespace, &context()).unwrap();
    let crds = TypeId::new("apiextensions.k8s.io", "customresourcedefinitions");
    store.create(&Target::new(&crds, "", ""), crd(), &context()).unwrap();
    store
}

fn cache() -> Target {
    Target::new(&clusters(), "default", "cache")
}

fn create(store: &mut ApiStore, shards: i64) -> Arc<Value> {
    let body = json!({"metadata": {"name": "cache"}, "spec": {"shards": shards}});
    store.create(&Target::new(&clusters(), "default", ""), body, &context()).unwrap().object
}

fn merge(store: &mut ApiStore, patch: Value) -> Result<Written, Failure> {
    store.patch(&cache(), &Patch::Merge(patch), &context())
}

fn config_map(store: &mut ApiStore, name: &str, metadata: Value) -> Arc<Value> {
    let mut body = json!({"metadata": metadata});
    body["metadata"]["name"] = name.into();
    store.create(&Target::new(&core("configmaps"), "default", ""), body, &context()).unwrap().object
}

fn owned_by(owner: &Value, block: bool) -> Value {
    json!({"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": object::name(owner),
        "uid": object::uid(owner), "blockOwnerDeletion": block}]})
}

#[test]
fn a_new_object_gets_identity_defaults_and_a_version() {
    let mut store = store();
    let made = create(&mut store, 3);
    assert_eq!(made["spec"], json!({"shards": 3, "replicasPerShard": 1}));
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["creationTimestamp"], "2026-11-23T08:56:12Z");
    assert_eq!(object::uid(&made).len(), 36);
    assert_eq!(made["apiVersion"], "holdfast.dev/v1alpha1");
    assert_eq!(object::revision(&made), store.revision());
    let again = store.create(&cache(), json!({"spec": {"shards": 3}}), &context()).unwrap_err();
    assert_eq!(again.to_string(), "redisclusters.holdfast.dev \"cache\" already exists");
}

#[test]
fn an_invalid_object_is_refused_with_the_fields_name() {
    let mut store = store();
    create(&mut store, 3);
    let refused = merge(&mut store, json!({"spec": {"shards": 0}})).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "RedisCluster.holdfast.dev \"cache\" is invalid: spec.shards: Invalid value: 0: \
         spec.shards in body should be greater than or equal to 1"
    );
    let status = refused.to_status();
    assert_eq!((status["code"].as_i64(), status["reason"].as_str()), (Some(422), Some("Invalid")));
    assert_eq!(status["details"]["causes"][0]["field"], "spec.shards");
}

#[test]
fn a_rule_compares_old_and_new() {
    let mut store = store();
    create(&mut store, 3);
    let refused = merge(&mut store, json!({"spec": {"shards": 1}})).unwrap_err();
    let text = "RedisCluster.holdfast.dev \"cache\" is invalid: spec: Invalid value: at most one \
                shard may go at a time";
    assert_eq!(refused.to_string(), text);
    merge(&mut store, json!({"spec": {"shards": 2}})).unwrap();
}

#[test]
fn an_unknown_field_is_refused_warned_of_or_dropped() {
    let mut store = store();
    create(&mut store, 3);
    let patch = Patch::Merge(json!({"spec": {"shrads": 4}}));
    let with = |field_validation| Context { field_validation, ..context() };
    let strict = store.patch(&cache(), &patch, &with(FieldValidation::Strict)).unwrap_err();
    assert!(strict.to_string().ends_with("strict decoding error: unknown field \"spec.shrads\""));
    let warned = store.patch(&cache(), &patch, &with(FieldValidation::Warn)).unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.shrads\""]);
    assert!(warned.object["spec"].get("shrads").is_none());
    let ignored = store.patch(&cache(), &patch, &with(FieldValidation::Ignore)).unwrap();
    assert!(ignored.warnings.is_empty());
}

#[test]
fn generation_counts_wishes_and_a_no_op_is_no_event() {
    let mut store = store();
    create(&mut store, 3);
    merge(&mut store, json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    let scaled = merge(&mut store, json!({"spec": {"shards": 4}})).unwrap().object;
    assert_eq!(scaled["metadata"]["generation"], 2);
    let before = store.revision();
    merge(&mut store, json!({"spec": {"shards": 4}})).unwrap();
    assert_eq!(store.revision(), before);
}

#[test]
fn status_is_written_only_through_its_door_and_spec_only_through_the_other() {
    let mut store = store();
    create(&mut store, 3);
    let both = json!({"spec": {"shards": 5}, "status": {"phase": "Ready"}});
    let main = merge(&mut store, both.clone()).unwrap().object;
    assert_eq!((&main["spec"]["shards"], main.get("status")), (&json!(5), None));
    let both = json!({"spec": {"shards": 9}, "status": {"phase": "Ready"}});
    let through = cache().through("status");
    let status = store.patch(&through, &Patch::Merge(both), &context()).unwrap().object;
    assert_eq!(
        (&status["spec"]["shards"], &status["status"]["phase"]),
        (&json!(5), &json!("Ready"))
    );
    assert_eq!(status["metadata"]["generation"], 2);
}

#[test]
fn scale_reads_and_writes_the_paths_of_the_crd() {
    let mut store = store();
    create(&mut store, 3);
    let status = json!({"status": {"shards": 3, "selector": "app=x"}});
    store.patch(&cache().through("status"), &Patch::Merge(status), &context()).unwrap();
    let scale = store.get(&cache().through("scale")).unwrap();
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"], json!({"replicas": 3, "selector": "app=x"}));
    let patch = Patch::Merge(json!({"spec": {"replicas": 4}}));
    store.patch(&cache().through("scale"), &patch, &context()).unwrap();
    assert_eq!(store.get(&cache()).unwrap()["spec"]["shards"], 4);
    let none = Patch::Merge(json!({"spec": {"replicas": -1}}));
    assert_eq!(store.patch(&cache().through("scale"), &none, &context()).unwrap_err().code(), 422);
}

#[test]
fn a_stale_version_is_a_conflict() {
    let mut store = store();
    let old = create(&mut store, 3);
    merge(&mut store, json!({"spec": {"shards": 4}})).unwrap();
    let refused = store.update(&cache(), (*old).clone(), &context()).unwrap_err();
    assert_eq!((refused.code(), refused.to_status()["reason"].as_str()), (409, Some("Conflict")));
}

#[test]
fn a_dry_run_answers_and_changes_nothing() {
    let mut store = store();
    create(&mut store, 3);
    let (revision, dry) = (store.revision(), Context { dry_run: true, ..context() });
    let patch = Patch::Merge(json!({"spec": {"shards": 4}}));
    let answer = store.patch(&cache(), &patch, &dry).unwrap().object;
    assert_eq!(answer["spec"]["shards"], 4);
    store.delete(&cache(), &DeleteOptions::default(), &dry).unwrap();
    assert_eq!(store.get(&cache()).unwrap()["spec"]["shards"], 3);
    assert_eq!(store.revision(), revision);
}

#[test]
fn server_side_apply_creates_then_owns_then_conflicts() {
    let mut store = store();
    let apply = |store: &mut ApiStore, shards: i64, manager: &str, force: bool| {
        let config = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "RedisCluster",
            "metadata": {"name": "cache"}, "spec": {"shards": shards}});
        store.patch(&cache(), &Patch::Apply { config, force }, &Context::new(NOW, manager))
    };
    assert!(apply(&mut store, 3, "a", false).unwrap().created);
    let before = store.revision();
    assert!(!apply(&mut store, 3, "a", false).unwrap().created);
    assert_eq!(store.revision(), before, "an equal apply is no write");
    let refused = apply(&mut store, 4, "b", false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"a\": .spec.shards"
    );
    assert_eq!(apply(&mut store, 4, "b", true).unwrap().object["spec"]["shards"], 4);
}

#[test]
fn json_patch_tests_before_it_changes_and_strategic_is_refused_for_custom_types() {
    let mut store = store();
    create(&mut store, 3);
    let patch = |test: i64| {
        Patch::Json(json!([{"op": "test", "path": "/spec/shards", "value": test},
            {"op": "replace", "path": "/spec/shards", "value": 4}]))
    };
    assert_eq!(store.patch(&cache(), &patch(9), &context()).unwrap_err().code(), 422);
    store.patch(&cache(), &patch(3), &context()).unwrap();
    assert_eq!(store.get(&cache()).unwrap()["spec"]["shards"], 4);
    let strategic = Patch::Strategic(json!({"spec": {"shards": 5}}));
    assert_eq!(store.patch(&cache(), &strategic, &context()).unwrap_err().code(), 415);
}

#[test]
fn a_finalizer_holds_the_object_until_it_is_removed() {
    let mut store = store();
    create(&mut store, 3);
    merge(&mut store, json!({"metadata": {"finalizers": ["holdfast.dev/volumes"]}})).unwrap();
    store.delete(&cache(), &DeleteOptions::default(), &context()).unwrap();
    assert!(object::is_terminating(&store.get(&cache()).unwrap()));
    merge(&mut store, json!({"metadata": {"finalizers": null}})).unwrap();
    assert_eq!(store.get(&cache()).unwrap_err().code(), 404);
}

#[test]
fn deletion_checks_uid_and_version() {
    let mut store = store();
    create(&mut store, 3);
    let uid = DeleteOptions { uid: "other".into(), ..DeleteOptions::default() };
    assert_eq!(store.delete(&cache(), &uid, &context()).unwrap_err().code(), 409);
    let version = DeleteOptions { resource_version: "1".into(), ..DeleteOptions::default() };
    assert_eq!(store.delete(&cache(), &version, &context()).unwrap_err().code(), 409);
}

#[test]
fn a_running_pod_is_deleted_with_grace_and_an_unscheduled_one_at_once() {
    let mut store = store();
    let pods = core("pods");
    for (name, node) in [("a", json!("node")), ("b", Value::Null)] {
        let mut body = json!({"metadata": {"name": name}, "spec": {"containers": []}});
        if !node.is_null() {
            body["spec"]["nodeName"] = node;
        }
        store.create(&Target::new(&pods, "default", ""), body, &context()).unwrap();
        let target = Target::new(&pods, "default", name);
        store.delete(&target, &DeleteOptions::default(), &context()).unwrap();
    }
    let a = store.get(&Target::new(&pods, "default", "a")).unwrap();
    assert_eq!(a["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(store.get(&Target::new(&pods, "default", "b")).unwrap_err().code(), 404);
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    store.delete(&Target::new(&pods, "default", "a"), &now, &context()).unwrap();
    assert_eq!(store.all(&pods).count(), 0);
}

#[test]
fn dependents_follow_their_owner_unless_they_are_orphaned() {
    let mut store = store();
    let maps = core("configmaps");
    let owner = create(&mut store, 3);
    config_map(&mut store, "child", owned_by(&owner, false));
    store.collect_garbage(NOW);
    assert_eq!(store.all(&maps).count(), 1);
    store.delete(&cache(), &DeleteOptions::default(), &context()).unwrap();
    store.collect_garbage(NOW);
    assert_eq!(store.all(&maps).count(), 0);

    let owner = create(&mut store, 3);
    config_map(&mut store, "child", owned_by(&owner, false));
    let orphan = DeleteOptions { propagation: Propagation::Orphan, ..DeleteOptions::default() };
    store.delete(&cache(), &orphan, &context()).unwrap();
    store.collect_garbage(NOW);
    let left: Vec<_> = store.all(&maps).collect();
    assert_eq!(left.len(), 1);
    assert!(left[0]["metadata"].get("ownerReferences").is_none());
}

#[test]
fn foreground_deletion_waits_for_dependents_that_block() {
    let mut store = store();
    let owner = create(&mut store, 3);
    let mut metadata = owned_by(&owner, true);
    metadata["finalizers"] = json!(["test/hold"]);
    config_map(&mut store, "child", metadata);
    let foreground =
        DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
    store.delete(&cache(), &foreground, &context()).unwrap();
    store.collect_garbage(NOW);
    assert!(object::is_terminating(&store.get(&cache()).unwrap()));
    let child = Target::new(&core("configmaps"), "default", "child");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    store.patch(&child, &release, &context()).unwrap();
    store.collect_garbage(NOW);
    assert_eq!(store.get(&child).unwrap_err().code(), 404);
    assert_eq!(store.get(&cache()).unwrap_err().code(), 404);
}

#[test]
fn a_namespace_goes_after_its_content_and_takes_nothing_new() {
    let mut store = store();
    config_map(&mut store, "a", json!({"finalizers": ["test/hold"]}));
    let home = Target::new(&core("namespaces"), "", "default");
    store.delete(&home, &DeleteOptions::default(), &context()).unwrap();
    store.collect_garbage(NOW);
    assert_eq!(store.get(&home).unwrap()["status"]["phase"], "Terminating");
    let new = json!({"metadata": {"name": "b"}});
    let target = Target::new(&core("configmaps"), "default", "");
    assert_eq!(store.create(&target, new, &context()).unwrap_err().code(), 403);
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let held = Target::new(&core("configmaps"), "default", "a");
    store.patch(&held, &release, &context()).unwrap();
    store.collect_garbage(NOW);
    assert_eq!(store.get(&home).unwrap_err().code(), 404);
}

#[test]
fn a_watch_sees_each_change_once_and_through_its_selector() {
    let mut store = store();
    let start = store.revision();
    create(&mut store, 3);
    merge(&mut store, json!({"metadata": {"labels": {"app": "x"}}})).unwrap();
    merge(&mut store, json!({"metadata": {"labels": {"app": null}}})).unwrap();
    store.delete(&cache(), &DeleteOptions::default(), &context()).unwrap();
    let seen = |labels: &str| {
        let selector = Selector::parse(labels, "").unwrap();
        let events = store.since(&clusters(), Some("default"), &selector, start).unwrap();
        events.iter().map(|event| event.change.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(seen(""), ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]);
    assert_eq!(seen("app=x"), ["ADDED", "DELETED"]);
    let other = store.since(&clusters(), Some("kube-system"), &Selector::default(), start);
    assert!(other.unwrap().is_empty());
}

#[test]
fn a_watch_from_before_the_history_is_told_that_it_has_expired() {
    let mut store = store();
    create(&mut store, 3);
    let start = store.revision();
    for n in 0..=crate::watch::HISTORY_MAX {
        merge(&mut store, json!({"metadata": {"labels": {"n": n.to_string()}}})).unwrap();
    }
    let expired = store.since(&clusters(), None, &Selector::default(), start).unwrap_err();
    assert_eq!((expired.code(), expired.to_status()["reason"].as_str()), (410, Some("Expired")));
}

#[test]
fn pages_cover_the_list_once() {
    let mut store = store();
    for n in 0..5 {
        config_map(&mut store, &format!("m{n}"), json!({}));
    }
    let mut options = ListOptions { limit: 2, ..ListOptions::default() };
    let mut names = Vec::new();
    loop {
        let page = store.list(&core("configmaps"), None, &options).unwrap();
        names.extend(page.items.iter().map(|item| object::name(item).to_owned()));
        if page.continue_token.is_empty() {
            break;
        }
        assert_eq!(page.remaining, 5 - names.len());
        options.continue_token = page.continue_token;
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
    options.continue_token = "nonsense".into();
    assert_eq!(store.list(&core("configmaps"), None, &options).unwrap_err().code(), 400);
}

#[test]
fn a_stateful_set_refuses_changes_of_what_it_was_born_with() {
    let mut store = store();
    let sets = TypeId::new("apps", "statefulsets");
    let body = json!({"metadata": {"name": "s"}, "spec": {"serviceName": "n", "replicas": 1}});
    store.create(&Target::new(&sets, "default", ""), body, &context()).unwrap();
    let target = Target::new(&sets, "default", "s");
    let bad = Patch::Merge(json!({"spec": {"serviceName": "other"}}));
    assert_eq!(store.patch(&target, &bad, &context()).unwrap_err().code(), 422);
    let good = Patch::Merge(json!({"spec": {"replicas": 2}}));
    store.patch(&target, &good, &context()).unwrap();
}

#[test]
fn names_are_generated_and_checked() {
    let mut store = store();
    let maps = Target::new(&core("configmaps"), "default", "");
    let body = json!({"metadata": {"generateName": "m-"}});
    let made = store.create(&maps, body, &context()).unwrap().object;
    assert_eq!(object::name(&made).len(), 7);
    let bad = store.create(&maps, json!({"metadata": {"name": "Not_A_Name"}}), &context());
    assert_eq!(bad.unwrap_err().code(), 422);
    let elsewhere = Target::new(&core("configmaps"), "nowhere", "");
    let lost = store.create(&elsewhere, json!({"metadata": {"name": "a"}}), &context());
    assert_eq!(lost.unwrap_err().to_string(), "namespaces \"nowhere\" not found");
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut store = store();
        create(&mut store, 3);
        let all: Vec<String> = store.everything().map(|(_, o)| o.to_string()).collect();
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn a_table_has_the_columns_of_the_crd() {
    let mut store = store();
    create(&mut store, 3);
    let status = Patch::Merge(json!({"status": {"phase": "Ready"}}));
    let object = store.patch(&cache().through("status"), &status, &context()).unwrap().object;
    let of = store.type_of(&clusters()).unwrap();
    let table =
        crate::table::render(&of, &[object], NOW, crate::table::IncludeObject::default(), true);
    assert_eq!(table["rows"][0]["cells"], json!(["cache", "Ready"]));
    assert_eq!(table["columnDefinitions"][1]["name"], "Status");
}

#[test]
fn a_saved_store_goes_on_where_it_was_and_old_watchers_list_again() {
    let mut store = store();
    let before = store.revision();
    create(&mut store, 3);
    let mut again = ApiStore::new(8);
    again.restore(&store.save(), NOW);
    assert_eq!(again.revision(), store.revision());
    assert_eq!(again.get(&cache()).unwrap(), store.get(&cache()).unwrap());
    let expired = again.since(&clusters(), None, &Selector::default(), before).unwrap_err();
    assert_eq!(expired.code(), 410);
}

#[test]
fn an_event_of_the_newer_group_is_seen_in_the_core_group() {
    let mut store = store();
    let of = TypeId::new("events.k8s.io", "events");
    let body = json!({"metadata": {"name": "e"}, "eventTime": "2026-11-23T08:56:12.000000Z",
        "regarding": {"kind": "RedisCluster", "name": "cache"}, "note": "it is ready",
        "reason": "Ready", "type": "Normal", "reportingController": "holdfast"});
    store.create(&Target::new(&of, "default", ""), body, &context()).unwrap();
    let mirrored = store.get(&Target::new(&core("events"), "default", "e")).unwrap();
    assert_eq!(mirrored["message"], "it is ready");
    assert_eq!(mirrored["involvedObject"]["name"], "cache");
    assert_eq!(mirrored["lastTimestamp"], "2026-11-23T08:56:12Z");
    let target = Target::new(&of, "default", "e");
    store.delete(&target, &DeleteOptions::default(), &context()).unwrap();
    assert_eq!(store.all(&core("events")).count(), 0);
}
