//! Structural schemas: unknown fields, defaults, and validation with Kubernetes' texts.
//!
//! Understood: types, enum, bounds, lengths, patterns, required, properties,
//! additionalProperties, items, nullable, allOf/anyOf/oneOf/not, and the extensions
//! int-or-string and preserve-unknown-fields. Not covered: formats, uniqueItems beyond sets and
//! keyed lists. Not known here: CEL (see `resource::Rule`).

use serde_json::{Map, Value};

use crate::failure::FieldError;
use crate::object::items;

const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool) == Some(true)
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The schema of a map's key, if the schema knows the key.
fn schema_of_key<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
}

/// True when keys that the schema does not name are kept.
fn is_open(schema: &Value) -> bool {
    flag(schema, PRESERVE)
        || flag(schema, "additionalProperties")
        || (schema.get("properties").is_none() && schema.get("additionalProperties").is_none())
}

/// Paths of the fields that the schema does not know; `cut` removes them as well.
/// At the root `apiVersion`, `kind` and `metadata` are always known.
pub fn unknown_fields(schema: &Value, object: &mut Value, cut: bool) -> Vec<String> {
    let mut found = Vec::new();
    unknown_below(schema, object, "", cut, &mut found);
    found
}

fn unknown_below(
    schema: &Value,
    value: &mut Value,
    path: &str,
    cut: bool,
    found: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            let root = path.is_empty();
            let mut unknown = Vec::new();
            for (key, below) in map.iter_mut() {
                let here = dotted(path, key);
                match schema_of_key(schema, key) {
                    Some(of_key) => unknown_below(of_key, below, &here, cut, found),
                    None if root && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") => {}
                    None if is_open(schema) => {}
                    None => unknown.push((key.clone(), here)),
                }
            }
            for (key, here) in unknown {
                if cut {
                    map.remove(&key);
                }
                found.push(here);
            }
        }
        Value::Array(list) => {
            let Some(of_items) = schema.get("items") else { return };
            for (index, item) in list.iter_mut().enumerate() {
                unknown_below(of_items, item, &format!("{path}[{index}]"), cut, found);
            }
        }
        _ => {}
    }
}

/// Fills in the schema's defaults, outside in; a null that may not be null takes the default.
pub fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, of_key) in
                schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                default_key(map, key, of_key);
            }
            for (key, below) in map.iter_mut() {
                if let Some(of_key) = schema_of_key(schema, key) {
                    set_defaults(of_key, below);
                }
            }
        }
        Value::Array(list) => {
            if let Some(of_items) = schema.get("items") {
                for item in list {
                    set_defaults(of_items, item);
                }
            }
        }
        _ => {}
    }
}

fn default_key(map: &mut Map<String, Value>, key: &str, schema: &Value) {
    let absent = match map.get(key) {
        None => true,
        Some(Value::Null) => !flag(schema, "nullable"),
        Some(_) => false,
    };
    if !absent {
        return;
    }
    match schema.get("default") {
        Some(default) => {
            map.insert(key.to_owned(), default.clone());
        }
        None => {
            map.remove(key);
        }
    }
}

/// Everything in `value` that the schema forbids.
pub fn validate(schema: &Value, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(schema, value, path, &mut errors);
    errors
}

fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if let Some(wrong) = wrong_type(schema, value, path) {
        errors.push(wrong);
        return;
    }
    let allowed = items(schema, &["enum"]);
    if !allowed.is_empty() && !allowed.contains(value) {
        errors.push(FieldError::unsupported(path, value, allowed));
    }
    match value {
        Value::Number(_) => check_number(schema, value, path, errors),
        Value::String(text) => check_text(schema, value, text, path, errors),
        Value::Array(list) => check_list(schema, value, list, path, errors),
        Value::Object(map) => check_map(schema, map, path, errors),
        _ => {}
    }
    check_combinations(schema, value, path, errors);
}

fn wrong_type(schema: &Value, value: &Value, path: &str) -> Option<FieldError> {
    let wanted = if flag(schema, INT_OR_STRING) {
        "integer,string"
    } else {
        schema.get("type").and_then(Value::as_str)?
    };
    let given = type_name(value);
    let fits = wanted.split(',').any(|one| {
        one == given
            || (one == "number" && given == "integer")
            || (one == "integer" && value.as_f64().is_some_and(|f| f.fract() == 0.0))
    });
    (!fits).then(|| {
        let detail = format!("{path} in body must be of type {wanted}: {given:?}");
        // The server prints the type where a map or list would be noise.
        let shown = if value.is_object() || value.is_array() || value.is_null() {
            Value::from(given)
        } else {
            value.clone()
        };
        FieldError::wrong_type(path, &shown, &detail)
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let number = value.as_f64().unwrap_or(0.0);
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let mut refuse = |text: String| {
        errors.push(FieldError::invalid(path, value, &format!("{path} in body should be {text}")));
    };
    if let Some(min) = bound("minimum") {
        if flag(schema, "exclusiveMinimum") && number <= min {
            refuse(format!("greater than {min}"));
        } else if number < min {
            refuse(format!("greater than or equal to {min}"));
        }
    }
    if let Some(max) = bound("maximum") {
        if flag(schema, "exclusiveMaximum") && number >= max {
            refuse(format!("less than {max}"));
        } else if number > max {
            refuse(format!("less than or equal to {max}"));
        }
    }
    let divides = |factor: &f64| *factor <= 0.0 || (number / factor).fract() == 0.0;
    if let Some(factor) = bound("multipleOf").filter(|factor| !divides(factor)) {
        refuse(format!("a multiple of {factor}"));
    }
}

fn check_text(schema: &Value, value: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(max) = count("maxLength").filter(|max| length > *max) {
        errors.push(FieldError::too_long(path, max));
    }
    if let Some(min) = count("minLength").filter(|min| length < *min) {
        let detail = format!("{path} in body should be at least {min} chars long");
        errors.push(FieldError::invalid(path, value, &detail));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        // A pattern that does not compile would have been refused with the CRD.
        let fits = regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
        if !fits {
            let detail = format!("{path} in body should match '{pattern}'");
            errors.push(FieldError::invalid(path, value, &detail));
        }
    }
}

fn check_list(
    schema: &Value,
    value: &Value,
    list: &[Value],
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(max) = count("maxItems").filter(|max| list.len() as u64 > *max) {
        errors.push(FieldError::too_many(path, list.len(), max));
    }
    if let Some(min) = count("minItems").filter(|min| (list.len() as u64) < *min) {
        let detail = format!("{path} in body should have at least {min} items");
        errors.push(FieldError::invalid(path, value, &detail));
    }
    if let Some(of_items) = schema.get("items") {
        for (index, item) in list.iter().enumerate() {
            check(of_items, item, &format!("{path}[{index}]"), errors);
        }
    }
    check_duplicates(schema, list, path, errors);
}

fn check_duplicates(schema: &Value, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let identity: Box<dyn Fn(&Value) -> Value> =
        match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => Box::new(Value::clone),
            Some("map") => {
                let keys: Vec<String> = items(schema, &["x-kubernetes-list-map-keys"])
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect();
                Box::new(move |item| crate::lists::item_key(item, &keys).unwrap_or(Value::Null))
            }
            _ => return,
        };
    let mut seen = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let id = identity(item);
        if seen.contains(&id) {
            errors.push(FieldError {
                field: format!("{path}[{index}]"),
                body: format!("Duplicate value: {id}"),
                reason: "FieldValueDuplicate",
            });
        }
        seen.push(id);
    }
}

fn check_map(schema: &Value, map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    for key in items(schema, &["required"]).iter().filter_map(Value::as_str) {
        if !map.contains_key(key) {
            errors.push(FieldError::required(dotted(path, key)));
        }
    }
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(max) = count("maxProperties").filter(|max| map.len() as u64 > *max) {
        errors.push(FieldError::too_many(path, map.len(), max));
    }
    if let Some(min) = count("minProperties").filter(|min| (map.len() as u64) < *min) {
        let detail = format!("{path} in body should have at least {min} properties");
        errors.push(FieldError::invalid(path, &Value::Object(map.clone()), &detail));
    }
    for (key, below) in map {
        if let Some(of_key) = schema_of_key(schema, key) {
            check(of_key, below, &dotted(path, key), errors);
        }
    }
}

fn check_combinations(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let passes = |one: &&Value| validate(one, value, path).is_empty();
    for part in items(schema, &["allOf"]) {
        check(part, value, path, errors);
    }
    let any = items(schema, &["anyOf"]);
    let one = items(schema, &["oneOf"]);
    let mut refuse = |text: String| errors.push(FieldError::invalid(path, &Value::from(""), &text));
    if !any.is_empty() && !any.iter().any(|part| passes(&part)) {
        refuse(format!("{path:?} must validate at least one schema (anyOf)"));
    }
    let valid = one.iter().filter(passes).count();
    if !one.is_empty() && valid != 1 {
        let found = if valid == 0 { "Found none valid".into() } else { format!("Found {valid}") };
        refuse(format!("{path:?} must validate one and only one schema (oneOf). {found}"));
    }
    if schema.get("not").is_some_and(|not| passes(&not)) {
        refuse(format!("{path:?} must not validate the schema (not)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(schema: Value, value: Value) -> Vec<String> {
        validate(&schema, &value, "spec.x").iter().map(FieldError::to_string).collect()
    }

    #[test]
    fn texts_are_those_of_kubernetes() {
        let one = |schema, value| texts(schema, value).join(" | ");
        assert_eq!(
            one(json!({"type": "integer", "minimum": 1}), json!(0)),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1"
        );
        assert_eq!(
            one(json!({"type": "integer"}), json!("three")),
            "spec.x: Invalid value: \"three\": spec.x in body must be of type integer: \"string\""
        );
        assert_eq!(
            one(json!({"type": "string", "enum": ["none", "aof"]}), json!("rdb")),
            "spec.x: Unsupported value: \"rdb\": supported values: \"none\", \"aof\""
        );
        assert_eq!(
            one(json!({"type": "string", "pattern": "^[a-z]+$"}), json!("A")),
            "spec.x: Invalid value: \"A\": spec.x in body should match '^[a-z]+$'"
        );
        assert_eq!(
            one(json!({"type": "string", "maxLength": 2}), json!("abc")),
            "spec.x: Too long: may not be more than 2 bytes"
        );
        assert_eq!(
            one(json!({"type": "array", "maxItems": 1}), json!([1, 2])),
            "spec.x: Too many: 2: must have at most 1 item"
        );
        assert_eq!(
            one(json!({"type": "object", "required": ["a"]}), json!({})),
            "spec.x.a: Required value"
        );
    }

    #[test]
    fn int_or_string_takes_both_and_nothing_else() {
        let schema = json!({"x-kubernetes-int-or-string": true});
        assert!(texts(schema.clone(), json!(1)).is_empty());
        assert!(texts(schema.clone(), json!("50%")).is_empty());
        assert_eq!(texts(schema, json!(true)).len(), 1);
    }

    #[test]
    fn defaults_reach_nested_maps_and_list_items() {
        let schema = json!({"properties": {
            "storage": {"default": {}, "properties": {"size": {"default": "1Gi"}}},
            "users": {"items": {"properties": {"rules": {"default": "+@all"}}}},
        }});
        let mut value = json!({"users": [{"name": "a"}]});
        set_defaults(&schema, &mut value);
        assert_eq!(
            value,
            json!({"storage": {"size": "1Gi"}, "users": [{"name": "a", "rules": "+@all"}]})
        );
    }

    #[test]
    fn unknown_fields_are_named_with_their_path_and_cut() {
        let schema = json!({"properties": {"spec": {"properties": {
            "shards": {"type": "integer"},
            "labels": {"additionalProperties": {"type": "string"}},
            "list": {"items": {"properties": {"a": {}}}}}}}});
        let mut value = json!({"kind": "X", "metadata": {"name": "a"}, "spec": {"shards": 1,
            "shrads": 2, "labels": {"any": "thing"}, "list": [{"a": 1, "b": 2}]}});
        let found = unknown_fields(&schema, &mut value, true);
        assert_eq!(found, ["spec.list[0].b", "spec.shrads"]);
        assert!(value["spec"].get("shrads").is_none());
        assert_eq!(value["spec"]["labels"]["any"], "thing");
    }

    #[test]
    fn combinations_are_checked() {
        let either = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
        assert!(texts(either.clone(), json!(1)).is_empty());
        assert_eq!(texts(either, json!([])).len(), 1);
        let one = json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert!(texts(one.clone(), json!({"a": 1})).is_empty());
        assert_eq!(texts(one, json!({"a": 1, "b": 1})).len(), 1);
    }
}
