//! `crds/redisclusters.yaml` is what the types say, and the samples fit it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::path::PathBuf;

use holdfast::api::{RULES, RedisCluster, crd, crd_yaml};
use holdfast::validate::{Defaults, validate};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_definition_in_the_repository_is_the_one_that_the_types_make() {
    let text = crd_yaml().unwrap();
    expect_test::expect_file![root().join("crds/redisclusters.yaml")].assert_eq(&text);
}

#[test]
fn every_field_is_described_for_kubectl_explain() {
    let crd = serde_json::to_value(crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut bare = Vec::new();
    for part in ["spec", "status"] {
        find_bare(&schema["properties"][part], part, &mut bare);
    }
    assert!(bare.is_empty(), "fields without a description: {bare:?}");
}

fn find_bare(schema: &serde_json::Value, path: &str, bare: &mut Vec<String>) {
    let Some(fields) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        if field["description"].as_str().is_none_or(str::is_empty) {
            bare.push(path.clone());
        }
        find_bare(field, &path, bare);
        find_bare(&field["items"], &path, bare);
    }
}

#[test]
fn every_rule_stands_in_the_definition_with_its_message() {
    let text = crd_yaml().unwrap();
    for rule in RULES {
        assert!(text.contains(rule.message), "{}", rule.path);
    }
}

#[test]
fn every_sample_is_valid_and_has_no_unknown_field() {
    let defaults = Defaults { node_repository: "node".into(), node_tag: "1".into() };
    let schema = serde_json::to_value(crd()).unwrap();
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut samples = 0;
    for entry in std::fs::read_dir(root().join("crds/samples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = serde_norway::from_str(&text).unwrap();
        let mut unknown = Vec::new();
        find_unknown(schema, &value, "", &mut unknown);
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
        let object: RedisCluster = serde_json::from_value(value).unwrap();
        if let Err(faults) = validate(&object, &defaults) {
            panic!("{}: {faults:?}", path.display());
        }
        samples += 1;
    }
    assert!(samples >= 3, "only {samples} samples");
}

fn find_unknown(
    schema: &serde_json::Value,
    value: &serde_json::Value,
    path: &str,
    unknown: &mut Vec<String>,
) {
    let Some(fields) = value.as_object() else { return };
    if !schema["additionalProperties"].is_null() || schema["properties"].is_null() {
        return;
    }
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        let of_object = matches!(path.as_str(), ".apiVersion" | ".kind" | ".metadata");
        match &schema["properties"][name] {
            serde_json::Value::Null if !of_object => unknown.push(path),
            known if !of_object => find_unknown(known, field, &path, unknown),
            _ => {}
        }
    }
}
