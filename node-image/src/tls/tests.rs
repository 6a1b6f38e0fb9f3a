//! Promises about whom a node trusts, over handshakes in memory.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::*;

/// A folder with an authority and a certificate for `name`; the configuration that names them.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.path().join("ca"), issuer.pem()).unwrap();
        std::fs::write(folder.path().join("cert"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key"), key.serialize_pem()).unwrap();
        Place { folder }
    }

    fn contexts(&self, more: &[(&str, &str)]) -> Result<Contexts, TlsError> {
        let mut config = Config::default();
        let path = |file: &str| self.folder.path().join(file).to_str().unwrap().to_owned();
        let (cert, key, ca) = (path("cert"), path("key"), path("ca"));
        let files = [("tls-cert-file", &*cert), ("tls-key-file", &key), ("tls-ca-cert-file", &ca)];
        for (name, value) in files.into_iter().chain([("tls-cluster", "yes")]).chain(more.to_vec())
        {
            config.set(crate::config::table::find(name).unwrap(), &[value]).unwrap();
        }
        Contexts::load(Settings::of(&config))
    }
}

/// Lets both ends speak until they agree, or until one does not.
fn shake_hands(client: &Contexts, server: &Contexts, name: &str) -> Result<(), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut ends: [Connection; 2] = [
        ClientConnection::new(Arc::clone(&client.client), name)?.into(),
        ServerConnection::new(Arc::clone(&server.bus))?.into(),
    ];
    for turn in 0..20 {
        let [a, b] = &mut ends;
        let (from, to) = if turn % 2 == 0 { (a, b) } else { (b, a) };
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets()?;
        }
    }
    assert!(ends.iter().all(|end| !end.is_handshaking()));
    Ok(())
}

#[test]
fn a_node_under_another_name_than_it_announced_is_refused() {
    let place = Place::new("*.cache-nodes.default.svc");
    let ours = place.contexts(&[]).unwrap();
    shake_hands(&ours, &ours, "cache-0-0.cache-nodes.default.svc").unwrap();
    assert!(shake_hands(&ours, &ours, "cache-0-0.other.default.svc").is_err());
}

#[test]
fn an_address_has_no_name_to_compare() {
    let ours = Place::new("cache-0-0.cache-nodes").contexts(&[]).unwrap();
    shake_hands(&ours, &ours, "10.1.2.3").unwrap();
}

#[test]
fn without_the_check_of_names_the_authority_alone_decides() {
    let place = Place::new("a.b");
    let ours = place.contexts(&[("tls-peer-name-check", "no")]).unwrap();
    shake_hands(&ours, &ours, "c.d").unwrap();
    let foreign = Place::new("c.d").contexts(&[]).unwrap();
    assert!(shake_hands(&ours, &foreign, "c.d").is_err());
}

#[test]
fn the_bus_wants_a_certificate_although_clients_need_none() {
    let place = Place::new("a.b");
    let ours = place.contexts(&[("tls-auth-clients", "no")]).unwrap();
    let stranger = Place::new("a.b");
    std::fs::copy(place.folder.path().join("ca"), stranger.folder.path().join("ca")).unwrap();
    let stranger = stranger.contexts(&[]).unwrap();
    // The stranger trusts our authority, but shows a certificate of another one.
    assert!(shake_hands(&stranger, &ours, "a.b").is_err());
}

#[test]
fn protocols_that_are_not_spoken_are_not_agreed_on() {
    let place = Place::new("a.b");
    let new = place.contexts(&[("tls-protocols", "TLSv1.3")]).unwrap();
    let old = place.contexts(&[("tls-protocols", "TLSv1.2")]).unwrap();
    shake_hands(&old, &old, "a.b").unwrap();
    assert!(shake_hands(&new, &old, "a.b").is_err());
}

#[test]
fn a_missing_authority_is_told_by_the_directives_name() {
    let place = Place::new("a.b");
    let error = place.contexts(&[("tls-ca-cert-file", "")]).unwrap_err();
    assert!(error.to_string().contains("tls-ca-cert-file"), "{error}");
}
