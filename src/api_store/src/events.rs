//! Events in both API groups: what is written to `events.k8s.io` is read as a core event, too.
//!
//! Kubernetes keeps one object and shows it in two groups. Here the newer form is stored as it is
//! and mirrored into the core group, where `kubectl get events` and `describe` look; core events
//! are not mirrored back. Not known here: who reports what.

use serde_json::{Value, json};

use crate::object::{self, at, text};
use crate::resource::TypeId;

/// True for the group that is mirrored.
pub fn is_mirrored(of: &TypeId) -> bool {
    of.group == "events.k8s.io" && of.plural == "events"
}

/// Where the mirror images are.
pub fn mirror() -> TypeId {
    TypeId::new("", "events")
}

/// The core event that says the same.
pub fn to_core(event: &Value) -> Value {
    let first = [text(event, &["eventTime"]), text(event, &["metadata", "creationTimestamp"])];
    let first = first.into_iter().find(|at| !at.is_empty()).unwrap_or("");
    let last = match text(event, &["series", "lastObservedTime"]) {
        "" => first,
        last => last,
    };
    // The core group's times have whole seconds.
    let seconds = |at: &str| object::parse_rfc3339(at).map(object::rfc3339);
    let reporter = text(event, &["reportingController"]);
    let mut core = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": event.get("metadata"),
        "involvedObject": event.get("regarding"), "reason": event.get("reason"),
        "message": event.get("note"), "type": event.get("type"), "action": event.get("action"),
        "source": {"component": reporter}, "reportingComponent": reporter,
        "reportingInstance": event.get("reportingInstance"),
        "eventTime": event.get("eventTime"), "series": event.get("series"),
        "related": event.get("related"), "firstTimestamp": seconds(first),
        "lastTimestamp": seconds(last),
        "count": at(event, &["series", "count"]).cloned().unwrap_or(json!(1)),
    });
    if let Some(map) = core.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    core
}
