//! The HTTP skin of the embedded API: TLS on loopback, a bearer token, one task a connection.
//!
//! Requests are read by `route.rs`, answered by `answer.rs`, and watches are streamed by
//! `stream.rs`. Not known here: what objects mean.

mod answer;
mod media;
mod route;
mod stream;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::api::Api;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What every request needs.
#[derive(Debug)]
pub struct Door {
    /// The store behind it.
    pub api: Api,
    /// The bearer token that opens it.
    pub token: String,
    /// Folder of the containers' logs.
    pub logs: PathBuf,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, door: Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                tokio::spawn(connection(socket, peer, tls.clone(), Arc::clone(&door)));
            }
            Err(e) => {
                // Out of descriptors, mostly: existing connections end and free some.
                tracing::warn!(error = %e, "The embedded API could not accept a connection.");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, tls: TlsAcceptor, door: Arc<Door>) {
    let stream = match tls.accept(socket).await {
        Ok(stream) => stream,
        Err(e) => {
            tracing::debug!(%peer, error = %e, "A client did not speak TLS with the embedded API.");
            return;
        }
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let door = Arc::clone(&door);
        async move { Ok::<Response<Body>, Infallible>(answer::answer(&door, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(e) = served {
        tracing::debug!(%peer, error = %e, "A connection to the embedded API broke.");
    }
}
