//! Label and field selectors, as they stand in a query.
//!
//! Labels: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`. Fields: `path=value`,
//! `path==value`, `path!=value` on any path. Not known here: which objects there are.

use serde_json::Value;

use crate::failure::Failure;
use crate::object::at;

/// A conjunction of requirements on labels and fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`; both may be empty.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split_outside_parentheses(labels)
            .into_iter()
            .map(requirement)
            .collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(field)
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// True when every requirement holds.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = at(object, &["metadata", "labels"]);
        let label = |key: &str| labels.and_then(|all| all.get(key)).and_then(Value::as_str);
        self.labels.iter().all(|(key, test)| match test {
            Test::In(values) => label(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Test::NotIn(values) => !label(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Test::Exists => label(key).is_some(),
            Test::Absent => label(key).is_none(),
        }) && self
            .fields
            .iter()
            .all(|(path, value, equal)| (field_text(object, path) == *value) == *equal)
    }
}

fn field_text(object: &Value, path: &str) -> String {
    let keys: Vec<&str> = path.split('.').collect();
    match at(object, &keys) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn field(part: &str) -> Result<(String, String, bool), Failure> {
    let split = part
        .split_once("!=")
        .map(|(k, v)| (k, v, false))
        .or_else(|| part.split_once("==").map(|(k, v)| (k, v, true)))
        .or_else(|| part.split_once('=').map(|(k, v)| (k, v, true)));
    let (key, value, equal) = split.ok_or_else(|| {
        Failure::BadRequest(format!("invalid field selector: {part:?}; can't understand it"))
    })?;
    Ok((key.trim().to_owned(), value.trim().to_owned(), equal))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn requirement(part: &str) -> Result<(String, Test), Failure> {
    let bad = || Failure::BadRequest(format!("unable to parse requirement: {part:?}"));
    let list = |text: &str| -> Option<Vec<String>> {
        let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inside.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((key, values)) = part.split_once(" notin ") {
        return Ok((key.trim().to_owned(), Test::NotIn(list(values).ok_or_else(bad)?)));
    }
    if let Some((key, values)) = part.split_once(" in ") {
        return Ok((key.trim().to_owned(), Test::In(list(values).ok_or_else(bad)?)));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok((key.trim().to_owned(), Test::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok((key.trim().to_owned(), Test::In(vec![value.trim().to_owned()])));
    }
    match part.strip_prefix('!') {
        Some(key) => Ok((key.trim().to_owned(), Test::Absent)),
        None if part.contains(' ') => Err(bad()),
        None => Ok((part.to_owned(), Test::Exists)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str, fields: &str) -> bool {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "x", "tier": "db"}},
            "status": {"phase": "Running"}});
        Selector::parse(labels, fields).unwrap().matches(&pod)
    }

    #[test]
    fn label_selectors_follow_the_set_and_the_equality_form() {
        for yes in ["", "app=x", "app==x", "app!=y", "app in (x, y),tier", "!gone", "gone!=1"] {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["app=y", "app notin (x)", "!app", "gone", "app=x,tier=web"] {
            assert!(!selects(no, ""), "{no}");
        }
        assert!(Selector::parse("a b c", "").is_err());
    }

    #[test]
    fn field_selectors_compare_any_path() {
        assert!(selects("", "metadata.name=a,status.phase!=Pending"));
        assert!(!selects("", "spec.nodeName=n"));
        assert!(Selector::parse("", "nonsense").is_err());
    }
}
