//! The Lease against an API server that is played by a script.

use super::*;

fn settings(identity: &str) -> LeaseSettings {
    LeaseSettings {
        namespace: "ops".into(),
        name: "holdfast".into(),
        identity: identity.into(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    }
}

fn held_by(identity: &str, version: &str) -> Lease {
    let mut lease = taken(None, &settings(identity));
    lease.metadata.resource_version = Some(version.to_owned());
    lease
}

#[test]
fn a_lease_is_taken_only_after_its_whole_duration_without_a_change_by_the_own_clock() {
    let mut watched = Watched::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(!watched.may_take(&held_by("a", "1"), "b", at(0)));
    assert!(!watched.may_take(&held_by("a", "1"), "b", at(14)));
    // A renewal starts the count anew, whatever times it carries.
    assert!(!watched.may_take(&held_by("a", "2"), "b", at(14)));
    assert!(!watched.may_take(&held_by("a", "2"), "b", at(28)));
    assert!(watched.may_take(&held_by("a", "2"), "b", at(29)));
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut watched = Watched::default();
    let mut lease = held_by("a", "1");
    lease.spec.as_mut().unwrap().holder_identity = Some(String::new());
    assert!(watched.may_take(&lease, "b", Instant::now()));
}

#[test]
fn an_earlier_life_of_the_same_pod_need_not_be_waited_for() {
    assert!(Watched::default().may_take(&held_by("a", "1"), "a", Instant::now()));
}

#[test]
fn each_holder_has_a_higher_token_than_all_before() {
    let first = taken(None, &settings("a"));
    let mut raised = taken(Some(&first), &settings("b"));
    assert!(token_of(&raised) > token_of(&first));
    raised.annotations_mut().insert(ANNOTATION_TOKEN.into(), "1000".into());
    let third = taken(Some(&raised), &settings("c"));
    assert_eq!(token_of(&third), 1001);
    assert_eq!(third.spec.unwrap().lease_transitions, Some(3));
}

#[test]
fn a_lease_whose_token_was_wiped_still_gives_a_token_above_its_transitions() {
    let mut lease = taken(Some(&taken(None, &settings("a"))), &settings("b"));
    lease.annotations_mut().clear();
    assert_eq!(token_of(&taken(Some(&lease), &settings("c"))), 4);
}

/// An API server that knows one Lease, with resourceVersions as the real one has them.
mod api_server {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use http_body_util::{BodyExt, Full};
    use hyper::body::{Bytes, Incoming};
    use hyper::{Method, Request, Response};
    use hyper_util::rt::TokioIo;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    #[derive(Clone, Default)]
    pub(super) struct ApiServer {
        pub(super) lease: Arc<Mutex<Option<Value>>>,
        pub(super) is_dumb: Arc<AtomicBool>,
    }

    impl ApiServer {
        pub(super) async fn client(&self) -> kube::Client {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let server = server.clone();
                    let answer = hyper::service::service_fn(move |request| {
                        let server = server.clone();
                        async move { Ok::<_, Infallible>(server.answer(request).await) }
                    });
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answer),
                    );
                }
            });
            kube::Client::try_from(kube::Config::new(uri)).unwrap()
        }

        async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
            if self.is_dumb.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let method = request.method().clone();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (code, answer) = self.decide(&method, serde_json::from_slice(&body).ok());
            let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
            *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap();
            response
        }

        fn decide(&self, method: &Method, wished: Option<Value>) -> (u16, Value) {
            let mut lease = self.lease.lock().unwrap();
            let failure = |code: u16, reason: &str| {
                let kind = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "metadata": {}, "message": reason, "reason": reason, "code": code});
                (code, kind)
            };
            let version = |l: &Value| l["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let next = match (method, &*lease, wished) {
                (&Method::GET, Some(held), _) => return (200, held.clone()),
                (&Method::GET, None, _) => return failure(404, "NotFound"),
                (&Method::POST, Some(_), _) => return failure(409, "AlreadyExists"),
                (&Method::PUT, Some(held), Some(wished)) if version(held) != version(&wished) => {
                    return failure(409, "Conflict");
                }
                (&Method::POST | &Method::PUT, _, Some(wished)) => wished,
                _ => return failure(400, "BadRequest"),
            };
            let last = lease.as_ref().and_then(version).and_then(|v| v.parse::<u64>().ok());
            let mut next = next;
            next["metadata"]["resourceVersion"] = json!((last.unwrap_or(0) + 1).to_string());
            *lease = Some(next.clone());
            (200, next)
        }
    }
}

use api_server::ApiServer;

fn quick(identity: &str) -> LeaseSettings {
    LeaseSettings {
        duration: Duration::from_secs(3),
        renew_deadline: Duration::from_millis(900),
        retry_period: Duration::from_millis(200),
        ..settings(identity)
    }
}

/// Far more than any of the waits in these tests takes.
const AGES: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_leads_and_the_other_follows_at_once_when_the_lease_is_given_back() {
    let client = ApiServer::default().client().await;
    let first = acquire(&client, &quick("a")).await;
    let second = tokio::spawn({
        let client = client.clone();
        async move { acquire(&client, &quick("b")).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!second.is_finished(), "two lead at the same time");
    first.release().await.unwrap();
    let second = tokio::time::timeout(AGES, second).await.unwrap().unwrap();
    assert!(second.show_token() > first.show_token());
}

#[tokio::test]
async fn a_leader_whose_api_server_falls_silent_stops_by_itself_before_another_may_lead() {
    let server = ApiServer::default();
    let leader = acquire(&server.client().await, &quick("a")).await;
    server.is_dumb.store(true, Ordering::Relaxed);
    let stopped = tokio::time::timeout(AGES, leader.keep()).await.unwrap();
    assert!(matches!(stopped, LeaseError::Deadline { .. }), "{stopped}");
    assert!(!leader.is_valid());
}

#[tokio::test]
async fn whoever_lost_the_lease_can_neither_renew_nor_raise_the_token() {
    let server = ApiServer::default();
    let client = server.client().await;
    let first = acquire(&client, &quick("a")).await;
    // A new life of the same pod takes over without waiting.
    let second = acquire(&client, &quick("a")).await;
    assert!(matches!(first.renew().await, Err(LeaseError::Lost { .. })));
    assert!(matches!(first.raise_above(100).await, Err(LeaseError::Lost { .. })));
    second.renew().await.unwrap();
}

#[tokio::test]
async fn the_token_is_durable_before_it_is_above_what_a_node_has_seen() {
    let server = ApiServer::default();
    let leader = acquire(&server.client().await, &quick("a")).await;
    leader.raise_above(41).await.unwrap();
    assert_eq!(leader.show_token(), 42);
    let held = server.lease.lock().unwrap().clone().unwrap();
    assert_eq!(held["metadata"]["annotations"][ANNOTATION_TOKEN], "42");
    // A node that has seen our own token has seen nobody else's.
    leader.raise_above(42).await.unwrap();
    assert_eq!(leader.show_token(), 42);
}

#[tokio::test]
async fn a_token_that_a_node_has_seen_before_we_ever_showed_it_is_somebody_else_s() {
    let leader = acquire(&ApiServer::default().client().await, &quick("a")).await;
    leader.raise_above(2).await.unwrap();
    assert_eq!(leader.show_token(), 3);
}

#[tokio::test]
async fn an_edit_by_hand_costs_nobody_the_lease() {
    let server = ApiServer::default();
    let leader = acquire(&server.client().await, &quick("a")).await;
    {
        let mut held = server.lease.lock().unwrap();
        let held = held.as_mut().unwrap();
        held["metadata"]["resourceVersion"] = "77".into();
        held["metadata"]["labels"] = serde_json::json!({"by": "hand"});
    }
    leader.renew().await.unwrap();
    leader.renew().await.unwrap();
    assert!(leader.is_valid());
}
