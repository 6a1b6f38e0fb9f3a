//! The chart fits the program: its copy of the CRD is fresh, and its values are told and checked.
//!
//! Not known here: what helm makes of the templates (`.ci/run` lints and installs the chart).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

fn chart(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/holdfast").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(chart(file)).expect(file)
}

#[test]
fn the_chart_s_copy_of_the_crd_is_the_one_that_the_program_prints() {
    let fresh = holdfast::api::crd_yaml().unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(chart("files/redisclusters.yaml"), &fresh).unwrap();
    }
    let same = read("files/redisclusters.yaml") == fresh;
    assert!(same, "stale: UPDATE_EXPECT=1 cargo test -p holdfast --test chart_is_whole");
}

/// Every key of a tree of values, as a path; free-form maps end where the schema says no more.
fn paths(value: &Value, schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    let (Some(values), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (key, inner) in values {
        let path = format!("{at}.{key}");
        into.insert(path.clone());
        if let Some(inner_schema) = known.get(key) {
            paths(inner, inner_schema, &path, into);
        }
    }
}

fn schema_paths(schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}.{key}");
        into.insert(path.clone());
        schema_paths(inner, &path, into);
    }
}

#[test]
fn every_value_has_a_default_and_a_schema() {
    let values: Value = serde_norway::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let (mut told, mut checked) = (BTreeSet::new(), BTreeSet::new());
    paths(&values, &schema, "", &mut told);
    schema_paths(&schema, "", &mut checked);
    // Helm itself adds this one to the values of every chart.
    checked.remove(".global");
    // Items of lists have fields of their own, which values.yaml cannot show while it is empty.
    assert_eq!(told, checked);
}

#[test]
fn every_value_is_commented() {
    let text = read("values.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let mut bare = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_key = line.trim_start().split_once(':').is_some_and(|(k, _)| !k.contains(' '));
        if !is_key || line.trim_start().starts_with('#') {
            continue;
        }
        // A comment stands above the key, above the group that it opens or belongs to.
        let commented = lines[..number]
            .iter()
            .rev()
            .take_while(|l| !l.trim().is_empty())
            .any(|l| l.trim_start().starts_with('#'));
        let opens_commented_group = lines.get(number + 1).is_some_and(|next| {
            next.trim_start().starts_with('#') && next.len() - next.trim_start().len() > indent
        });
        if !commented && !opens_commented_group {
            bare.push(*line);
        }
    }
    assert!(bare.is_empty(), "without a comment: {bare:?}");
}

#[test]
fn the_operator_may_not_do_what_it_must_not() {
    let rules = read("templates/_names.tpl") + &read("templates/rbac.yaml");
    for forbidden in ["pods/exec", "pods/eviction", "deletecollection", "verbs: [\"*\"]", "\"*\"]"]
    {
        assert!(!rules.contains(forbidden), "{forbidden}");
    }
    let secrets = rules.split("resources: [secrets]").nth(1).unwrap().lines().nth(1).unwrap();
    assert_eq!(secrets.trim(), "verbs: [get, create]");
    let grants: usize = rules
        .split("- apiGroups:")
        .skip(1)
        .map(|rule| {
            let count = |key: &str| {
                let list = rule.split(key).nth(1).and_then(|r| r.split(']').next());
                list.map_or(1, |l| l.split(',').count())
            };
            count("resources: [") * count("verbs: [")
        })
        .sum();
    assert!((1..=60).contains(&grants), "{grants} grants");
}
