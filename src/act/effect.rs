//! A step, put into the words that the API server and the nodes understand; pure.
//!
//! One effect is one request. A step that has to be told to several nodes becomes as many effects.
//! Not known here: addresses, passwords, and how a request is sent.

use std::sync::Arc;

use holdfast_wire::slot::SlotSet;

use crate::api::{Carried, FINALIZER, RedisCluster, RedisClusterStatus};
use crate::plan::{Address, FailoverMode, Step};
use crate::report::EventNote;
use crate::resources::{Kind, Object, SecretPurpose};

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Server-side apply of an object.
    Apply(Box<Object>),
    /// Creation of a Secret with a fresh password, if there is none of that name.
    CreateSecret(SecretPurpose),
    /// The label with the role of a pod's node.
    Label {
        /// Name of the pod.
        pod: String,
        /// Its uid.
        uid: String,
        /// The role.
        role: &'static str,
    },
    /// Deletion of the object with this uid, and of no other.
    Delete {
        /// What it is.
        what: Deleted,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// The whole list of the object's finalizers, if the object is still the one that was seen.
    Finalizers(Vec<String>),
    /// The whole status.
    Status(Box<RedisClusterStatus>),
    /// An event.
    Publish(EventNote),
    /// A command to a node.
    Order(Order),
}

/// What can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// An object that the operator renders.
    Rendered(Kind),
    /// A pod.
    Pod,
    /// A volume claim.
    Volume,
}

impl Deleted {
    /// `apiVersion` of the kind.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Rendered(kind) => kind.api_version(),
            Self::Pod | Self::Volume => "v1",
        }
    }

    /// `kind` as Kubernetes names it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Rendered(kind) => kind.as_str(),
            Self::Pod => "Pod",
            Self::Volume => "PersistentVolumeClaim",
        }
    }

    /// The plural in a path of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Rendered(kind) => kind.plural(),
            Self::Pod => "pods",
            Self::Volume => "persistentvolumeclaims",
        }
    }
}

/// A command to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who is told.
    pub at: Address,
    /// The command, word by word.
    pub words: Vec<String>,
    /// Beginnings of errors by which the node says that there is nothing left to do.
    pub already: &'static [&'static str],
}

impl Effect {
    /// Name for a metric.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Apply(_) => "Apply",
            Self::CreateSecret(_) => "CreateSecret",
            Self::Label { .. } => "Label",
            Self::Delete { .. } => "Delete",
            Self::Finalizers(_) => "Finalizers",
            Self::Status(_) => "Status",
            Self::Publish(_) => "Publish",
            Self::Order(_) => "Order",
        }
    }

    /// The pod whose node is told something.
    pub fn pod(&self) -> Option<String> {
        match self {
            Self::Order(order) => Some(order.at.pod.clone()),
            _ => None,
        }
    }

    /// The effect in words for a log; without anything secret.
    pub fn in_prose(&self) -> String {
        match self {
            Self::Apply(object) => format!("apply {} {}", object.kind.as_str(), object.name),
            Self::CreateSecret(purpose) => format!("create the Secret for {purpose:?}"),
            Self::Label { pod, role, .. } => format!("label Pod {pod} as {role}"),
            Self::Delete { what, name, .. } => format!("delete {} {name}", what.kind()),
            Self::Finalizers(names) => format!("set the finalizers to {names:?}"),
            Self::Status(_) => "write the status".to_owned(),
            Self::Publish(event) => format!("publish the event {}", event.reason),
            Self::Order(order) => {
                format!("tell {} to {}", order.at.pod, shortened(&order.words.join(" ")))
            }
        }
    }
}

/// Slot lists can be long; a log line is not.
fn shortened(words: &str) -> String {
    match words.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
        None => words.to_owned(),
    }
}

/// The effects of a step. They may be performed at the same time.
pub fn in_words(step: &Step, object: &Arc<RedisCluster>) -> Vec<Effect> {
    match step {
        Step::Record(carried) => vec![Effect::Status(Box::new(recorded(object, carried)))],
        Step::AddFinalizer => vec![finalizers(object, true)],
        Step::RemoveFinalizer => vec![finalizers(object, false)],
        Step::Apply(object) => vec![Effect::Apply(object.clone())],
        Step::CreateSecret(purpose) => vec![Effect::CreateSecret(*purpose)],
        Step::DeleteObject { kind, name, uid } => vec![delete(Deleted::Rendered(*kind), name, uid)],
        Step::DeletePod { name, uid, .. } => vec![delete(Deleted::Pod, name, uid)],
        Step::LabelRole { pod, uid, role } => {
            vec![Effect::Label { pod: pod.clone(), uid: uid.clone(), role }]
        }
        Step::DeleteStatefulSet { name, uid } => {
            vec![delete(Deleted::Rendered(Kind::StatefulSet), name, uid)]
        }
        Step::DeleteVolume { name, uid } => vec![delete(Deleted::Volume, name, uid)],
        _ => orders(step),
    }
}

/// Whether a step is told to nodes, and not to the API server.
pub fn is_for_nodes(step: &Step) -> bool {
    !orders(step).is_empty()
}

fn orders(step: &Step) -> Vec<Effect> {
    match step {
        Step::Meet { on, other, port, bus_port } => {
            let (port, bus_port) = (port.to_string(), bus_port.to_string());
            vec![order(on, &["CLUSTER", "MEET", &other.ip, &port, &bus_port])]
        }
        Step::Forget { on, node_id } | Step::GiveUp { on, node_id, .. } => {
            vec![order_or(on, &["CLUSTER", "FORGET", &node_id.to_string()], &["ERR Unknown node"])]
        }
        Step::SetConfigEpoch { on, epoch } => {
            // It only spares the nodes to settle it among themselves, as they do once they have
            // met; and another node may meet this one at the very moment.
            let is_late = &[
                "ERR The user can assign a config epoch only",
                "ERR Node config epoch is already",
            ];
            vec![order_or(on, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()], is_late)]
        }
        Step::AddSlots { on, slots, .. } => {
            vec![order_of(on, ["CLUSTER", "ADDSLOTSRANGE"], bounds(slots), [])]
        }
        Step::FreeSlots { on, node_id, .. } if on.node_id == *node_id => {
            vec![order(on, &["CLUSTER", "FLUSHSLOTS"])]
        }
        Step::FreeSlots { on, slots, .. } => {
            vec![order_of(on, ["CLUSTER", "DELSLOTSRANGE"], bounds(slots), [])]
        }
        Step::Replicate { on, primary_id } => {
            vec![order(on, &["CLUSTER", "REPLICATE", &primary_id.to_string()])]
        }
        Step::Failover { on, mode, .. } => vec![match mode {
            FailoverMode::Graceful => order(on, &["CLUSTER", "FAILOVER"]),
            FailoverMode::Force => order(on, &["CLUSTER", "FAILOVER", "FORCE"]),
            FailoverMode::Takeover => order(on, &["CLUSTER", "FAILOVER", "TAKEOVER"]),
        }],
        Step::DeclareDead { on, node_id, boot_id, config_epoch, .. } => {
            let (id, epoch) = (node_id.to_string(), config_epoch.to_string());
            on.iter().map(|at| order(at, &["HOLDFAST", "DEAD", &id, boot_id, &epoch])).collect()
        }
        Step::MigrateSlots { source, target, slots } => {
            let target = ["NODE".to_owned(), target.to_string()];
            let head = ["CLUSTER", "MIGRATESLOTS"];
            let mut words = vec!["SLOTSRANGE".to_owned()];
            words.extend(bounds(slots));
            vec![order_of(source, head, words, target)]
        }
        Step::CancelMigrations { source } => {
            vec![order(source, &["CLUSTER", "CANCELSLOTMIGRATIONS"])]
        }
        Step::Record(_)
        | Step::AddFinalizer
        | Step::RemoveFinalizer
        | Step::Apply(_)
        | Step::CreateSecret(_)
        | Step::DeleteObject { .. }
        | Step::DeletePod { .. }
        | Step::LabelRole { .. }
        | Step::DeleteStatefulSet { .. }
        | Step::DeleteVolume { .. } => Vec::new(),
    }
}

fn order(at: &Address, words: &[&str]) -> Effect {
    let words = words.iter().map(|w| (*w).to_owned()).collect();
    Effect::Order(Order { at: at.clone(), words, already: &[] })
}

fn order_or(at: &Address, words: &[&str], already: &'static [&'static str]) -> Effect {
    let words = words.iter().map(|w| (*w).to_owned()).collect();
    Effect::Order(Order { at: at.clone(), words, already })
}

fn order_of(
    at: &Address,
    head: [&str; 2],
    middle: Vec<String>,
    tail: impl IntoIterator<Item = String>,
) -> Effect {
    let words = head.map(str::to_owned).into_iter().chain(middle).chain(tail).collect();
    Effect::Order(Order { at: at.clone(), words, already: &[] })
}

/// Inclusive bounds of each run of slots, one word each.
fn bounds(slots: &SlotSet) -> Vec<String> {
    slots.ranges().into_iter().flat_map(|(from, to)| [from.to_string(), to.to_string()]).collect()
}

fn delete(what: Deleted, name: &str, uid: &str) -> Effect {
    Effect::Delete { what, name: name.to_owned(), uid: uid.to_owned() }
}

fn finalizers(object: &RedisCluster, wanted: bool) -> Effect {
    let mut names = object.metadata.finalizers.clone().unwrap_or_default();
    names.retain(|name| name != FINALIZER);
    if wanted {
        names.push(FINALIZER.to_owned());
    }
    Effect::Finalizers(names)
}

/// The status as it stands, with other carried values.
fn recorded(object: &RedisCluster, carried: &Carried) -> RedisClusterStatus {
    let mut status = object.status.clone().unwrap_or_default();
    record(&mut status, carried);
    status
}

/// Writes the carried values into a status.
pub(super) fn record(status: &mut RedisClusterStatus, carried: &Carried) {
    status.cluster_id = carried.cluster_id.clone().unwrap_or_default();
    let version = carried.template_version.and_then(|v| i32::try_from(v).ok());
    status.template_version = version.unwrap_or_default();
    status.formed = carried.formed;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(pod: &str) -> Address {
        Address { pod: pod.into(), ip: "10.0.0.1".into(), node_id: "a".repeat(40).parse().unwrap() }
    }

    fn object() -> Arc<RedisCluster> {
        let object = serde_json::json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "RedisCluster",
            "metadata": {"name": "cache", "finalizers": ["other/one"]},
            "spec": {"shards": 3},
            "status": {"phase": "Ready", "clusterId": "old"},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn words(step: &Step) -> Vec<String> {
        let effects = in_words(step, &object());
        let order = |e: &Effect| match e {
            Effect::Order(order) => format!("{}: {}", order.at.pod, order.words.join(" ")),
            other => other.in_prose(),
        };
        effects.iter().map(order).collect()
    }

    #[test]
    fn slots_are_named_by_inclusive_ranges() {
        let slots = SlotSet::from_ranges(&[(0, 99), (200, 200)]);
        let target = "b".repeat(40).parse().unwrap();
        let step = Step::MigrateSlots { source: address("cache-0-0"), target, slots };
        let target = "b".repeat(40);
        let expected =
            format!("cache-0-0: CLUSTER MIGRATESLOTS SLOTSRANGE 0 99 200 200 NODE {target}");
        assert_eq!(words(&step), [expected]);
        let step = Step::AddSlots {
            on: address("cache-0-0"),
            slots: SlotSet::from_ranges(&[(5461, 10922)]),
            lost: false,
        };
        assert_eq!(words(&step), ["cache-0-0: CLUSTER ADDSLOTSRANGE 5461 10922"]);
    }

    #[test]
    fn a_lame_owner_gives_up_its_slots_only_while_it_is_empty() {
        let on = address("cache-0-0");
        let slots = SlotSet::from_ranges(&[(0, 99)]);
        let own = Step::FreeSlots { on: on.clone(), node_id: on.node_id, slots: slots.clone() };
        assert_eq!(words(&own), ["cache-0-0: CLUSTER FLUSHSLOTS"]);
        let believed = Step::FreeSlots { on, node_id: "d".repeat(40).parse().unwrap(), slots };
        assert_eq!(words(&believed), ["cache-0-0: CLUSTER DELSLOTSRANGE 0 99"]);
    }

    #[test]
    fn a_death_is_told_to_everybody_at_once() {
        let step = Step::DeclareDead {
            on: vec![address("cache-0-0"), address("cache-1-0")],
            node_id: "d".repeat(40).parse().unwrap(),
            boot_id: "0f".repeat(16),
            config_epoch: 7,
            evidence: "its container has ended".into(),
        };
        let tail = format!("HOLDFAST DEAD {} {} 7", "d".repeat(40), "0f".repeat(16));
        assert_eq!(words(&step), [format!("cache-0-0: {tail}"), format!("cache-1-0: {tail}")]);
    }

    #[test]
    fn a_node_that_has_forgotten_already_is_as_wished() {
        let node_id = "b".repeat(40).parse().unwrap();
        let step = Step::Forget { on: address("cache-0-0"), node_id };
        let effects = in_words(&step, &object());
        let Some(Effect::Order(order)) = effects.first() else { unreachable!("{effects:?}") };
        assert_eq!(order.already, ["ERR Unknown node"]);
    }

    #[test]
    fn a_node_that_has_met_others_needs_no_first_epoch_any_more() {
        let step = Step::SetConfigEpoch { on: address("cache-0-0"), epoch: 1 };
        let effects = in_words(&step, &object());
        let Some(Effect::Order(order)) = effects.first() else { unreachable!("{effects:?}") };
        let refusal = "ERR The user can assign a config epoch only when the node does not know any \
                       other node.";
        assert!(order.already.iter().any(|already| refusal.starts_with(already)));
    }

    #[test]
    fn a_record_changes_nothing_else_in_the_status() {
        let carried = Carried { cluster_id: Some("new".into()), ..Carried::default() };
        let effects = in_words(&Step::Record(carried), &object());
        let Some(Effect::Status(status)) = effects.first() else { unreachable!("{effects:?}") };
        assert_eq!((status.phase.as_str(), status.cluster_id.as_str()), ("Ready", "new"));
    }

    #[test]
    fn the_finalizers_of_others_stay() {
        let with = in_words(&Step::AddFinalizer, &object());
        let both = vec!["other/one".to_owned(), FINALIZER.to_owned()];
        assert_eq!(with, [Effect::Finalizers(both)]);
        let without = in_words(&Step::RemoveFinalizer, &object());
        assert_eq!(without, [Effect::Finalizers(vec!["other/one".to_owned()])]);
    }
}
