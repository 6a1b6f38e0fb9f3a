//! Promises of field ownership.

use serde_json::{Value, json};

use super::{Writer, apply, record_update};
use crate::failure::Failure;
use crate::object;
use crate::resource::{ResourceType, TypeId, builtin};

fn sets() -> ResourceType {
    (*builtin()[&TypeId::new("apps", "statefulsets")]).clone()
}

fn writer(manager: &str) -> Writer<'_> {
    Writer { manager, subresource: "", now_ms: 1_000 }
}

fn run(live: &Value, config: &Value, manager: &str, force: bool) -> Result<Value, Failure> {
    apply(live, config, &sets(), &writer(manager), force, &|_| {})
}

fn with_containers(containers: Value) -> Value {
    json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": containers}}}})
}

fn owners(object: &Value) -> Vec<String> {
    object::items(object, &["metadata", "managedFields"])
        .iter()
        .map(|entry| format!("{}:{}", entry["manager"].as_str().unwrap(), entry["fieldsV1"]))
        .collect()
}

#[test]
fn an_equal_apply_changes_nothing_not_even_the_time() {
    let config = with_containers(json!([{"name": "node", "image": "a"}]));
    let first = run(&Value::Null, &config, "op", false).unwrap();
    let later = Writer { now_ms: 99_000, ..writer("op") };
    assert_eq!(apply(&first, &config, &sets(), &later, false, &|_| {}).unwrap(), first);
}

#[test]
fn a_field_that_is_applied_no_longer_goes_and_one_that_others_own_stays() {
    let config = json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}});
    let first = run(&Value::Null, &config, "op", false).unwrap();
    let shared = json!({"metadata": {"name": "a", "labels": {"y": "2"}}});
    let second = run(&first, &shared, "other", false).unwrap();
    let bare = json!({"metadata": {"name": "a"}});
    let third = run(&second, &bare, "op", false).unwrap();
    assert_eq!(third["metadata"]["labels"], json!({"y": "2"}));
    assert_eq!(owners(&third), [r#"other:{"f:metadata":{"f:labels":{"f:y":{}}}}"#]);
}

#[test]
fn changing_the_field_of_another_manager_is_a_conflict_that_names_it() {
    let config = json!({"metadata": {"name": "a"}, "spec": {"replicas": 2}});
    let mut live = run(&Value::Null, &config, "op", false).unwrap();
    let old = live.clone();
    live["spec"]["replicas"] = json!(3);
    record_update(&old, &mut live, &sets(), &writer("kubectl"));
    let refused = run(&live, &config, "op", false).unwrap_err();
    assert_eq!(refused.code(), 409);
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1 at \
         1970-01-01T00:00:01Z: .spec.replicas"
    );
    let forced = run(&live, &config, "op", true).unwrap();
    assert_eq!(forced["spec"]["replicas"], 2);
    assert_eq!(owners(&forced), [r#"op:{"f:spec":{"f:replicas":{}}}"#]);
}

#[test]
fn agreeing_with_another_manager_shares_the_field() {
    let config = json!({"metadata": {"name": "a"}, "spec": {"replicas": 2}});
    let first = run(&Value::Null, &config, "one", false).unwrap();
    let second = run(&first, &config, "two", false).unwrap();
    assert_eq!(owners(&second).len(), 2);
}

#[test]
fn containers_are_merged_by_name_and_removed_by_their_owner() {
    let both = with_containers(json!([{"name": "node", "image": "a"}, {"name": "side"}]));
    let first = run(&Value::Null, &both, "op", false).unwrap();
    let env = with_containers(json!([{"name": "node", "env": [{"name": "A", "value": "1"}]}]));
    let second = run(&first, &env, "debug", false).unwrap();
    let one = with_containers(json!([{"name": "node", "image": "b"}]));
    let third = run(&second, &one, "op", false).unwrap();
    assert_eq!(
        third["spec"]["template"]["spec"]["containers"],
        json!([{"name": "node", "image": "b", "env": [{"name": "A", "value": "1"}]}])
    );
}

#[test]
fn a_default_that_the_server_fills_in_is_no_change() {
    let config = json!({"metadata": {"name": "a"}, "spec": {"volumeClaimTemplates": [{"m": 1}]}});
    let complete = |object: &mut Value| {
        object["spec"]["volumeClaimTemplates"][0]["status"] = json!("Pending");
    };
    let apply = |live: &Value| {
        super::apply(live, &config, &sets(), &writer("op"), false, &complete).unwrap()
    };
    let first = apply(&Value::Null);
    assert_eq!(apply(&first), first);
}

#[test]
fn an_update_takes_what_it_changes_and_frees_what_it_removes() {
    let config = json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "1"}}});
    let live = run(&Value::Null, &config, "op", false).unwrap();
    let mut new = live.clone();
    new["metadata"]["labels"] = json!({"x": "2"});
    record_update(&live, &mut new, &sets(), &writer("kubectl"));
    assert_eq!(owners(&new), [r#"kubectl:{"f:metadata":{"f:labels":{"f:x":{}}}}"#]);
}

#[test]
fn managed_fields_may_not_be_applied() {
    let config = json!({"metadata": {"name": "a", "managedFields": []}});
    assert_eq!(run(&Value::Null, &config, "op", false).unwrap_err().code(), 400);
}
