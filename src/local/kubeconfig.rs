//! Certificate, token and kubeconfig: how clients on this machine get in, and others do not.
//!
//! The API listens on loopback, but so do other users of the machine; and kubectl sends a token
//! only over TLS. So each start makes a certificate and a token of its own. Not known here: what
//! they open.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use holdfast_api_store::defaults::base64;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::LocalError;

/// What a start has made.
pub struct Credentials {
    /// Takes connections.
    pub tls: TlsAcceptor,
    /// The bearer token.
    pub token: String,
    certificate_pem: String,
}

impl Credentials {
    /// Makes a certificate for loopback and a random token.
    pub fn generate() -> Result<Self, LocalError> {
        let fail =
            |what: &str, e: &dyn std::fmt::Display| LocalError::Credentials(format!("{what}: {e}"));
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).map_err(|e| fail("certificate", &e))?;
        let key =
            PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(|e| fail("key", &e))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| fail("TLS", &e))?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .map_err(|e| fail("TLS", &e))?;
        Ok(Self {
            tls: TlsAcceptor::from(Arc::new(config)),
            token: random_hex(24).map_err(|e| fail("token", &e))?,
            certificate_pem: cert.pem(),
        })
    }

    /// The kubeconfig that leads to `address`.
    pub fn kubeconfig(&self, address: SocketAddr) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "holdfast-local",
            "clusters": [{"name": "holdfast-local", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": base64(self.certificate_pem.as_bytes())}}],
            "users": [{"name": "holdfast-local", "user": {"token": self.token}}],
            "contexts": [{"name": "holdfast-local", "context": {
                "cluster": "holdfast-local", "user": "holdfast-local",
                "namespace": "default"}}],
        })
    }
}

/// Random bytes as hexadecimal digits.
pub fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)?;
    let mut digits = String::new();
    for byte in random {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

/// Writes a file that only its owner reads, in one step.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // An interrupted earlier write may have left its file.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    fs::rename(&new, path)
}
