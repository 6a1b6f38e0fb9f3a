//! The JSON paths of printer columns and scale: `.a.b`, `['a.b']`, `[0]`, `[?(@.type=="Ready")]`.
//!
//! Not covered: recursive descent, slices, unions. Not known here: what the value is for.

use serde_json::Value;

/// The first value at the path.
pub fn first<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = vec![object];
    let mut rest =
        path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = split(rest)?;
        here = here.into_iter().flat_map(|value| walk(value, &step)).collect();
        rest = after;
    }
    here.first().copied()
}

/// The map keys of a plain path such as `.spec.replicas`.
pub fn keys(path: &str) -> Vec<&str> {
    path.trim_start_matches('.').split('.').filter(|key| !key.is_empty()).collect()
}

enum Step {
    Key(String),
    Index(usize),
    All,
    Where(String, String),
}

fn split(rest: &str) -> Option<(Step, &str)> {
    if let Some(after) = rest.strip_prefix('[') {
        let end = after.find(']')?;
        let (inside, after) = (after.get(..end)?, after.get(end + 1..)?);
        return Some((bracket(inside)?, after));
    }
    let name = rest.strip_prefix('.').unwrap_or(rest);
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let step = match name.get(..end)? {
        "*" => Step::All,
        key => Step::Key(key.to_owned()),
    };
    Some((step, name.get(end..)?))
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(@.").and_then(|f| f.strip_suffix(')')) {
        let (key, value) = filter.split_once("==")?;
        return Some(Step::Where(key.trim().to_owned(), unquote(value.trim())));
    }
    match inside.parse() {
        Ok(index) => Some(Step::Index(index)),
        Err(_) => Some(Step::Key(unquote(inside))),
    }
}

fn unquote(text: &str) -> String {
    text.trim_matches(['\'', '"']).to_owned()
}

fn walk<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    let list = || value.as_array().map_or(&[][..], Vec::as_slice);
    match step {
        Step::Key(key) => value.get(key).into_iter().collect(),
        Step::Index(index) => list().get(*index).into_iter().collect(),
        Step::All => list().iter().collect(),
        Step::Where(key, wanted) => list()
            .iter()
            .filter(|item| item.get(key).and_then(Value::as_str) == Some(wanted))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_printer_columns_ask_for() {
        let object = json!({"status": {"conditions": [
            {"type": "Available", "status": "False"}, {"type": "Ready", "status": "True"}]},
            "metadata": {"labels": {"a.b/c": "x"}}});
        let ready = ".status.conditions[?(@.type==\"Ready\")].status";
        assert_eq!(first(&object, ready), Some(&json!("True")));
        assert_eq!(first(&object, ".metadata.labels['a.b/c']"), Some(&json!("x")));
        assert_eq!(first(&object, ".status.conditions[0].type"), Some(&json!("Available")));
        assert_eq!(first(&object, ".status.missing.deeper"), None);
    }
}
