//! Strategic merge patch: a merge patch that knows the keys of lists.
//!
//! Understood: merge keys of `lists.rs`, `$patch: delete | replace | merge` in maps and items,
//! `$deleteFromPrimitiveList/x`, `$setElementOrder/x`, `$retainKeys`. A list without a merge key
//! is replaced. Not known here: custom types, which do not support this format.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::fields::join;
use crate::lists::strategic_key;
use crate::object::as_map;
use crate::resource::ResourceType;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

/// Applies the patch to the object.
pub fn merge(object: &mut Value, patch: &Value, of: &ResourceType) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        return Err(Failure::BadRequest("a strategic merge patch must be a JSON object".into()));
    };
    merge_map(object, patch, of, &[])
}

fn merge_map(
    here: &mut Value,
    patch: &Map<String, Value>,
    of: &ResourceType,
    path: &[&str],
) -> Result<(), Failure> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove(DIRECTIVE);
            *here = Value::Object(whole);
            return Ok(());
        }
        Some("delete") => {
            *here = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(Failure::BadRequest(format!("unknown $patch directive {other:?}")));
        }
    }
    let map = as_map(here);
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        map.retain(|key, _| retained.iter().any(|one| one == key));
    }
    for (key, wanted) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        merge_key(map, key, wanted, of, &join(path, key))?;
    }
    for (key, wanted) in patch {
        if let (Some(field), Value::Array(gone)) = (key.strip_prefix(DELETE_PREFIX), wanted)
            && let Some(Value::Array(list)) = map.get_mut(field)
        {
            list.retain(|item| !gone.contains(item));
        }
        if let (Some(field), Value::Array(order)) = (key.strip_prefix(ORDER_PREFIX), wanted) {
            let merge_key = strategic_key(of, &join(path, field));
            if let Some(Value::Array(list)) = map.get_mut(field) {
                reorder(list, order, merge_key);
            }
        }
    }
    Ok(())
}

fn merge_key(
    map: &mut Map<String, Value>,
    key: &str,
    wanted: &Value,
    of: &ResourceType,
    path: &[&str],
) -> Result<(), Failure> {
    match wanted {
        Value::Null => {
            map.remove(key);
        }
        Value::Object(patch) => {
            let slot = map.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            merge_map(slot, patch, of, path)?;
        }
        Value::Array(patch) => {
            let slot = map.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(live) = slot {
                merge_list(live, patch, of, path)?;
            } else {
                *slot = wanted.clone();
            }
        }
        scalar => {
            map.insert(key.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(
    live: &mut Vec<Value>,
    patch: &[Value],
    of: &ResourceType,
    path: &[&str],
) -> Result<(), Failure> {
    let replaces = |item: &Value| item.get(DIRECTIVE).is_some_and(|d| d == "replace");
    if patch.iter().any(replaces) {
        *live = patch.iter().filter(|item| !replaces(item)).cloned().collect();
        return Ok(());
    }
    let Some(key) = strategic_key(of, path) else {
        if path == ["metadata", "finalizers"] {
            for item in patch {
                if !live.contains(item) {
                    live.push(item.clone());
                }
            }
        } else {
            *live = patch.to_vec();
        }
        return Ok(());
    };
    for item in patch {
        let Some(id) = item.get(key) else {
            return Err(Failure::BadRequest(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        let position = live.iter().position(|one| one.get(key) == Some(id));
        let deletes = item.get(DIRECTIVE).is_some_and(|d| d == "delete");
        match (position, deletes) {
            (Some(at), true) => {
                live.remove(at);
            }
            (None, true) => {}
            (Some(at), false) => {
                if let (Some(slot), Value::Object(patch)) = (live.get_mut(at), item) {
                    merge_map(slot, patch, of, path)?;
                }
            }
            (None, false) => live.push(item.clone()),
        }
    }
    Ok(())
}

/// Items that the order names come in that order; the others keep their place before them.
fn reorder(list: &mut [Value], order: &[Value], key: Option<&str>) {
    let rank = |item: &Value| {
        order
            .iter()
            .position(|one| match key {
                Some(key) => one.get(key).is_some() && one.get(key) == item.get(key),
                None => one == item,
            })
            .map_or(0, |at| at + 1)
    };
    list.sort_by_key(rank);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{TypeId, builtin};
    use serde_json::json;

    fn merged(mut object: Value, patch: Value) -> Value {
        let types = builtin();
        merge(&mut object, &patch, &types[&TypeId::new("apps", "statefulsets")]).unwrap();
        object
    }

    fn set_of(containers: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn containers_merge_by_name_and_lists_without_a_key_are_replaced() {
        let live = set_of(json!([{"name": "node", "image": "a", "args": ["x"]}, {"name": "side"}]));
        let patch = set_of(json!([{"name": "node", "args": ["y", "z"]}]));
        let want = json!([{"name": "node", "image": "a", "args": ["y", "z"]}, {"name": "side"}]);
        assert_eq!(merged(live, patch), set_of(want));
    }

    #[test]
    fn directives_delete_replace_and_order() {
        let live = set_of(json!([{"name": "a"}, {"name": "b"}]));
        let patch = set_of(json!([{"name": "a", "$patch": "delete"}]));
        assert_eq!(merged(live, patch), set_of(json!([{"name": "b"}])));

        let live = json!({"spec": {"selector": {"a": "1"}}});
        let patch = json!({"spec": {"selector": {"$patch": "replace", "b": "2"}}});
        assert_eq!(merged(live, patch), json!({"spec": {"selector": {"b": "2"}}}));

        let live = json!({"metadata": {"finalizers": ["a", "b"]}});
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
        assert_eq!(merged(live, patch), json!({"metadata": {"finalizers": ["b"]}}));
    }
}
