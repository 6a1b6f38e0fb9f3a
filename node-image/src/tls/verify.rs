//! Is the node at the other end one of ours?
//!
//! The chain must end at one of our authorities and the dates must hold, always. The name in the
//! certificate is compared with the host name that the other node has announced. A connection to
//! an address alone has no name to compare: pods get new addresses, and a certificate that named
//! them would be wrong within the day. `tls-peer-name-check no` leaves the name out altogether,
//! for certificates that carry a common name only.
//!
//! Not known here: who is connected to.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsError;

/// Checks certificates of other nodes. See the head of this file.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    checks_names: bool,
}

impl PeerVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        checks_names: bool,
    ) -> Result<Self, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        let inner = inner.build().map_err(|error| TlsError::Unfit {
            what: "tls-ca-cert-file for other nodes' certificates",
            reason: error.to_string(),
        })?;
        Ok(PeerVerifier { inner, checks_names })
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let names_count = self.checks_names && !matches!(server_name, ServerName::IpAddress(_));
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The name is compared last, when everything else has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !names_count => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
