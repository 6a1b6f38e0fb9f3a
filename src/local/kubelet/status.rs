//! A pod's status as the kubelet reports it.
//!
//! Not known here: how the facts come about.

use std::net::Ipv4Addr;

use holdfast_api_store::object::{at, rfc3339, text};
use serde_json::{Value, json};

/// Where a container stands.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Not running, for this reason.
    Waiting { reason: &'static str, message: String },
    /// Running since.
    Running { since_ms: i64 },
    /// Ended.
    Ended(End),
}

/// How a life ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
    pub(super) started_ms: i64,
    pub(super) finished_ms: i64,
    pub(super) container_id: String,
}

/// Everything that the status says.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) address: Option<Ipv4Addr>,
    pub(super) started_ms: i64,
    pub(super) stage: Stage,
    pub(super) last: Option<End>,
    pub(super) restarts: i64,
    pub(super) container_id: String,
    pub(super) started: bool,
    pub(super) ready: bool,
}

impl End {
    fn to_json(&self) -> Value {
        let reason = if self.code == 0 { "Completed" } else { "Error" };
        let mut out = json!({
            "exitCode": self.code, "reason": reason, "containerID": self.container_id,
            "startedAt": rfc3339(self.started_ms), "finishedAt": rfc3339(self.finished_ms),
        });
        if let Some(signal) = self.signal {
            out["signal"] = signal.into();
        }
        json!({"terminated": out})
    }
}

impl Facts {
    /// The status of a pod with one container; conditions keep the time of their last change.
    pub(super) fn to_json(&self, pod: &Value, container: &Value, now_ms: i64) -> Value {
        let (state, running) = match &self.stage {
            Stage::Waiting { reason, message } => {
                (json!({"waiting": {"reason": reason, "message": message}}), false)
            }
            Stage::Running { since_ms } => {
                (json!({"running": {"startedAt": rfc3339(*since_ms)}}), true)
            }
            Stage::Ended(end) => (end.to_json(), false),
        };
        let ready = running && self.ready;
        let mut of_container = json!({
            "name": text(container, &["name"]), "image": text(container, &["image"]),
            "imageID": text(container, &["image"]), "restartCount": self.restarts,
            "ready": ready, "started": running && self.started, "state": state, "lastState": {},
        });
        if !self.container_id.is_empty() {
            of_container["containerID"] = self.container_id.clone().into();
        }
        if let Some(last) = &self.last {
            of_container["lastState"] = last.to_json();
        }
        let condition = |kind: &str, holds: bool| condition(pod, kind, holds, now_ms);
        let ran = running || self.restarts > 0 || matches!(self.stage, Stage::Ended(_));
        let mut status = json!({
            "phase": if ran { "Running" } else { "Pending" },
            "startTime": rfc3339(self.started_ms), "hostIP": "127.0.0.1", "qosClass": "BestEffort",
            "hostIPs": [{"ip": "127.0.0.1"}], "containerStatuses": [of_container],
            "conditions": [condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready)],
        });
        if let Some(address) = self.address {
            status["podIP"] = address.to_string().into();
            status["podIPs"] = json!([{"ip": address.to_string()}]);
        }
        status
    }
}

fn condition(pod: &Value, kind: &str, holds: bool, now_ms: i64) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = at(pod, &["status", "conditions"])
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|one| text(one, &["type"]) == kind))
        .filter(|one| text(one, &["status"]) == status)
        .map(|one| text(one, &["lastTransitionTime"]).to_owned());
    let since = before.unwrap_or_else(|| rfc3339(now_ms));
    json!({"type": kind, "status": status, "lastTransitionTime": since})
}
