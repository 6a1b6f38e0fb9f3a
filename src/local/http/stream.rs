//! Watches: a response that goes on.
//!
//! A watch asks the store what happened since the version it has seen, writes it, and sleeps
//! until the next change. It begins with what is there when no version is given. Bookmarks keep
//! the client's version fresh. Not known here: routes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use holdfast_api_store::resource::ResourceType;
use holdfast_api_store::selector::Selector;
use holdfast_api_store::store::ListOptions;
use holdfast_api_store::{Change, Failure, WatchEvent};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Body;
use super::media::Shape;
use super::route::Query;
use crate::local::api::{Api, now_ms};

const BOOKMARK_PERIOD: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_hours(1);

/// One client's watch.
pub(super) struct Watch {
    api: Api,
    of: Arc<ResourceType>,
    namespace: Option<String>,
    selector: Selector,
    shape: Shape,
    seen: u64,
    bookmarks: bool,
    columns_due: bool,
    next_bookmark: Instant,
    end: Instant,
    changes: watch::Receiver<u64>,
    ready: VecDeque<Bytes>,
    over: bool,
}

/// Starts a watch; None of its failures but a bad selector is known before the stream runs.
pub(super) fn start(
    api: &Api,
    of: Arc<ResourceType>,
    namespace: Option<String>,
    query: &Query,
    shape: Shape,
) -> Result<Body, Failure> {
    let timeout = query.number("timeoutSeconds").and_then(|s| u64::try_from(s).ok());
    let mut watch = Watch {
        api: api.clone(),
        of,
        namespace,
        selector: query.selector()?,
        shape,
        seen: query.text("resourceVersion").parse().unwrap_or(0),
        bookmarks: query.flag("allowWatchBookmarks"),
        columns_due: true,
        next_bookmark: Instant::now() + BOOKMARK_PERIOD,
        end: Instant::now() + timeout.map_or(LONGEST, Duration::from_secs).min(LONGEST),
        changes: api.changes(),
        ready: VecDeque::new(),
        over: false,
    };
    let initial = query.flag("sendInitialEvents");
    if initial || watch.seen == 0 {
        watch.begin_with_everything(initial)?;
    }
    Ok(Body::new(StreamBody::new(stream::unfold(watch, next_frame))))
}

async fn next_frame(mut watch: Watch) -> Option<(Result<Frame<Bytes>, Infallible>, Watch)> {
    loop {
        if let Some(bytes) = watch.ready.pop_front() {
            return Some((Ok(Frame::data(bytes)), watch));
        }
        if watch.over || Instant::now() >= watch.end {
            return None;
        }
        watch.changes.mark_unchanged();
        watch.fetch();
        if watch.ready.is_empty() {
            tokio::select! {
                alive = watch.changes.changed() => watch.over |= alive.is_err(),
                () = sleep_until(watch.end) => watch.over = true,
                () = sleep_until(watch.next_bookmark) => {
                    watch.next_bookmark = Instant::now() + BOOKMARK_PERIOD;
                    if watch.bookmarks {
                        watch.bookmark(false);
                    }
                }
            }
        }
    }
}

impl Watch {
    fn begin_with_everything(&mut self, initial: bool) -> Result<(), Failure> {
        let options = ListOptions { selector: self.selector.clone(), ..ListOptions::default() };
        let namespace = self.namespace.as_deref();
        let listing = self.api.read(|store| store.list(&self.of.id, namespace, &options))?;
        self.seen = listing.revision;
        for object in listing.items {
            self.push(Change::Added.as_str(), &object);
        }
        if initial {
            self.bookmark(true);
        }
        Ok(())
    }

    fn fetch(&mut self) {
        let found: Result<(Vec<WatchEvent>, u64), Failure> = self.api.read(|store| {
            if self.seen > store.revision() {
                let text = format!("too large resource version: {}", self.seen);
                return Err(Failure::Expired(text));
            }
            let namespace = self.namespace.as_deref();
            let events = store.since(&self.of.id, namespace, &self.selector, self.seen)?;
            Ok((events, store.revision()))
        });
        match found {
            Ok((events, revision)) => {
                self.seen = revision;
                for event in events {
                    self.push(event.change.as_str(), &event.object);
                }
            }
            Err(failure) => {
                self.line(&json!({"type": "ERROR", "object": failure.to_status()}));
                self.over = true;
            }
        }
    }

    fn push(&mut self, change: &str, object: &Arc<Value>) {
        let shown = self.shape.show(&self.of, object, now_ms(), self.columns_due);
        self.columns_due = false;
        self.line(&json!({"type": change, "object": shown}));
    }

    fn bookmark(&mut self, initial_end: bool) {
        let mut object = json!({"kind": self.of.kind, "apiVersion": self.of.api_version(),
            "metadata": {"resourceVersion": self.seen.to_string(), "creationTimestamp": null}});
        if initial_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        if let Shape::Table(_) = self.shape {
            object = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"], "columnDefinitions": [], "rows": []});
        }
        self.line(&json!({"type": "BOOKMARK", "object": object}));
    }

    fn line(&mut self, event: &Value) {
        let mut bytes = event.to_string().into_bytes();
        bytes.push(b'\n');
        self.ready.push_back(bytes.into());
    }
}
