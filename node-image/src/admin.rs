//! The admin port: `/metrics`, `/livez`, `/readyz` and `/startupz` over HTTP.
//!
//! It has a thread and a small tokio runtime of its own, so that a scrape neither waits for a
//! command nor delays one. What it tells is read through one function at the moment of the
//! request. It only reads: nothing that changes the node has a place here. Not known here: the
//! threads that the facts come from.

mod facts;
pub mod health;
mod metrics;

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};

pub use self::health::Health;
use self::health::Verdict;
use crate::config::Name;
use crate::event_loop::listen_at;
use crate::shared::Shared;
use holdfast_wire::state::NodeRole;

/// Connections served at the same time; more are closed at once.
const CONNECTIONS_MAX: usize = 64;

/// A client that has not sent its request's head within this time is cut off.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// Everything that the port can tell, at one moment.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "each field is one metric, described where it is rendered")]
pub struct Facts {
    pub health: Health,
    pub uptime_s: u64,
    pub used_bytes: u64,
    pub max_bytes: u64,
    pub clients: u64,
    pub clients_blocked: u64,
    pub connections_accepted: u64,
    pub connections_refused: u64,
    pub commands: u64,
    pub net_in_bytes: u64,
    pub net_out_bytes: u64,
    pub keys: u64,
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    pub evicted: u64,
    pub offset: u64,
    pub replicas: u64,
    pub slots_assigned: u64,
    pub slots_pfail: u64,
    pub slots_fail: u64,
    pub known_nodes: u64,
    pub cluster_size: u64,
    pub current_epoch: u64,
    pub config_epoch: u64,
    pub packets_sent: u64,
    pub packets_read: u64,
    pub packets_refused: u64,
    pub migrations_running: u64,
}

impl Facts {
    fn is_replica(&self) -> bool {
        self.health.role == NodeRole::Replica
    }
}

/// Serves at `admin-port`, when there is one.
pub fn start_for(shared: &Arc<Shared>) -> std::io::Result<()> {
    let config = shared.config.load();
    let port = u16::try_from(config.int(Name::AdminPort)).unwrap_or(0);
    let listeners = listen_at(&config, port).map_err(std::io::Error::other)?;
    for listener in listeners {
        let shared = Arc::clone(shared);
        let listener = std::os::fd::OwnedFd::from(listener).into();
        start(listener, move || facts::of(&shared))?;
    }
    Ok(())
}

/// Serves on `listener` until the process ends.
fn start<F>(listener: TcpListener, facts: F) -> std::io::Result<()>
where
    F: Fn() -> Facts + Send + Sync + 'static,
{
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = Arc::new(facts);
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(accept(listener, facts)) {
            tracing::error!("The admin port stopped serving: {error}");
        }
    })?;
    Ok(())
}

async fn accept<F>(listener: TcpListener, facts: Arc<F>) -> std::io::Result<()>
where
    F: Fn() -> Facts + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, most likely: try again when some may be free.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let facts = Arc::clone(&facts);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, facts.as_ref());
                async move { Ok::<_, Infallible>(answer) }
            });
            // What goes wrong on a client's connection is the client's matter.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, facts: &impl Fn() -> Facts) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are answered\n".to_owned(),
        );
    }
    route(request.uri().path(), facts)
}

fn route(path: &str, facts: &impl Fn() -> Facts) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => match metrics::render(facts()) {
            Ok(text) => {
                let mut response = plain(StatusCode::OK, text);
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                response
            }
            Err(error) => {
                let text = format!("failed to render the metrics: {error}\n");
                plain(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        },
        "/livez" => verdict(facts().health.alive()),
        "/readyz" => verdict(facts().health.ready()),
        "/startupz" => verdict(facts().health.started()),
        _ => plain(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn verdict(verdict: Verdict) -> Response<Full<Bytes>> {
    match verdict {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use holdfast_wire::state::BootState;

    fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_path_answers_with_its_verdict_and_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut facts = Facts::default();
        facts.health.boot = BootState::Lame;
        start(listener, move || facts.clone()).unwrap();
        assert!(get(address, "/livez").starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/startupz").starts_with("HTTP/1.1 200 "));
        let ready = get(address, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
        assert!(ready.ends_with("the data was lost; a replica must take over\n"), "{ready}");
        assert!(get(address, "/metrics").contains("\nredis_up 1\n"));
        assert!(get(address, "/nothing").starts_with("HTTP/1.1 404 "));
    }
}
