//! Events, aggregated: the same sentence about the same object is one event with a count.
//!
//! The cluster of a flapping node must not fill the API server with events, so a repetition within
//! [`QUIET`] is only counted, and told with the next one after it. A sentence that differs is
//! another event, since its words are what people read.
//! Not known here: what is worth an event.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use ::kube::{Api, Client, Resource, ResourceExt};
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use crate::api::{FIELD_MANAGER, RedisCluster};
use crate::report::EventNote;

/// Shortest time between two writes of the same event.
const QUIET: Duration = Duration::from_secs(30);

/// Time after which a repetition is a new event; shorter than API servers keep events.
const SERIES_AGE_MAX: Duration = Duration::from_mins(10);

/// Name of the reporting controller.
const CONTROLLER: &str = "holdfast.dev/operator";

/// Uid of the object, reason, words.
type Sentence = (String, String, String);

struct Series {
    name: String,
    count: i32,
    first_at: Instant,
    written_at: Instant,
}

/// What has been published lately.
pub struct Events {
    instance: String,
    series: Mutex<BTreeMap<Sentence, Series>>,
}

/// What is to be written about a sentence.
#[derive(Debug, PartialEq, Eq)]
enum Writing {
    Nothing,
    New,
    Repetition { name: String, count: i32 },
}

impl Events {
    /// Nothing published yet. `instance` names this process.
    pub fn new(instance: String) -> Self {
        Self { instance, series: Mutex::new(BTreeMap::new()) }
    }

    /// Publishes an event about a cluster.
    pub(super) async fn publish(
        &self,
        client: &Client,
        object: &RedisCluster,
        note: &EventNote,
    ) -> ::kube::Result<()> {
        let api: Api<Event> =
            Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
        let uid = object.uid().unwrap_or_default();
        let sentence = (uid, note.reason.clone(), note.note.clone());
        match self.writing(&sentence, Instant::now()) {
            Writing::Nothing => Ok(()),
            Writing::New => self.create(&api, object, note, sentence).await,
            Writing::Repetition { name, count } => {
                let last_observed_time = MicroTime(Timestamp::now());
                let series = EventSeries { count, last_observed_time };
                let patch = serde_json::json!({ "series": series });
                let params = PatchParams::default();
                match api.patch(&name, &params, &Patch::Merge(&patch)).await {
                    // The API server has dropped it; the sentence is new again.
                    Err(::kube::Error::Api(status)) if status.code == 404 => {
                        self.create(&api, object, note, sentence).await
                    }
                    other => other.map(|_| ()),
                }
            }
        }
    }

    fn writing(&self, sentence: &Sentence, now: Instant) -> Writing {
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, series| now.duration_since(series.first_at) < SERIES_AGE_MAX);
        let Some(series) = known.get_mut(sentence) else { return Writing::New };
        series.count = series.count.saturating_add(1);
        if now.duration_since(series.written_at) < QUIET {
            return Writing::Nothing;
        }
        series.written_at = now;
        Writing::Repetition { name: series.name.clone(), count: series.count }
    }

    async fn create(
        &self,
        api: &Api<Event>,
        object: &RedisCluster,
        note: &EventNote,
        sentence: Sentence,
    ) -> ::kube::Result<()> {
        let now = Timestamp::now();
        let name = format!("{}.{:x}", object.name_any(), now.as_nanosecond());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: object.namespace(),
                ..ObjectMeta::default()
            },
            action: Some(note.reason.clone()),
            reason: Some(note.reason.clone()),
            // The API server takes 1024 bytes.
            note: Some(note.note.chars().take(250).collect()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(object.object_ref(&())),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        api.create(&params, &event).await?;
        self.remember(sentence, name, Instant::now());
        Ok(())
    }

    fn remember(&self, sentence: Sentence, name: String, now: Instant) {
        let series = Series { name, count: 1, first_at: now, written_at: now };
        self.series.lock().unwrap_or_else(PoisonError::into_inner).insert(sentence, series);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(note: &str) -> Sentence {
        ("uid".to_owned(), "Promoted".to_owned(), note.to_owned())
    }

    #[test]
    fn a_repetition_is_counted_and_told_only_after_a_while() {
        let (events, start) = (Events::new("a".into()), Instant::now());
        assert_eq!(events.writing(&sentence("x"), start), Writing::New);
        events.remember(sentence("x"), "cache.1".into(), start);
        assert_eq!(events.writing(&sentence("x"), start), Writing::Nothing);
        let later = events.writing(&sentence("x"), start + QUIET);
        assert_eq!(later, Writing::Repetition { name: "cache.1".into(), count: 3 });
    }

    #[test]
    fn other_words_are_another_event() {
        let (events, start) = (Events::new("a".into()), Instant::now());
        events.remember(sentence("x"), "cache.1".into(), start);
        assert_eq!(events.writing(&sentence("y"), start), Writing::New);
    }

    #[test]
    fn after_a_long_time_a_repetition_is_a_new_event() {
        let (events, start) = (Events::new("a".into()), Instant::now());
        events.remember(sentence("x"), "cache.1".into(), start);
        assert_eq!(events.writing(&sentence("x"), start + SERIES_AGE_MAX), Writing::New);
    }
}
