//! Who gets through a handshake with a listener, and what files are refused.

use std::path::Path;
use std::sync::Arc;

use fieldgate::net::tls::{
    ServerTls, TlsError, certificate_expiry, client_config, crl_expiry, is_readable_by_others, server_config,
};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::{Authority, Folder};

/// What the listener knows after a handshake.
#[derive(Debug)]
struct Met {
    certificates: usize,
    kind: HandshakeKind,
    version: ProtocolVersion,
    alpn: Option<Vec<u8>>,
}

/// A handshake over a socket, with one byte each way after it; what the listener knows, or why it refused.
async fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<Met, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(server.clone());
    let accepted = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await?;
        stream.write_u8(1).await?;
        stream.read_u8().await?;
        let (_, connection) = stream.get_ref();
        Ok(Met {
            certificates: connection.peer_certificates().map_or(0, <[_]>::len),
            kind: connection.handshake_kind().unwrap(),
            version: connection.protocol_version().unwrap(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        })
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(client.clone());
    if let Ok(mut stream) = connector.connect("localhost".try_into().unwrap(), stream).await
        && stream.read_u8().await.is_ok()
    {
        let _ = stream.write_u8(1).await;
    }
    accepted.await.unwrap()
}

/// A folder with the server's and the client's authority, `server` issued by the first and `client` by the second.
struct Scene {
    folder: Folder,
    clients: Authority,
}

impl Scene {
    fn new() -> Self {
        let (folder, servers, clients) = (Folder::new(), Authority::new("servers"), Authority::new("clients"));
        folder.write("servers.pem", servers.pem());
        folder.write("clients.pem", clients.pem());
        servers.issue(1, 4000).write(&folder, "server");
        clients.issue(7, 4000).write(&folder, "client");
        Self { folder, clients }
    }

    /// The listener's configuration with `settings` added to it.
    fn listener(&self, settings: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let yaml = format!("{{ certificate: server.pem, key: server.key, {settings} }}");
        server_config(&serde_saphyr::from_str::<ServerTls>(&yaml).unwrap(), self.folder.path())
    }

    fn caller(&self, identity: Option<&str>) -> Arc<ClientConfig> {
        let files = identity.map(|name| (format!("{name}.pem"), format!("{name}.key")));
        let files = files.as_ref().map(|(certificate, key)| (Path::new(certificate), Path::new(key)));
        Arc::new(client_config(Some(Path::new("servers.pem")), files, self.folder.path()).unwrap())
    }

    async fn meets(&self, settings: &str, identity: Option<&str>) -> Result<Met, std::io::Error> {
        handshake(&self.listener(settings).unwrap(), &self.caller(identity)).await
    }
}

fn reason(refused: &std::io::Error) -> String {
    format!("{:?}", refused.get_ref())
}

#[tokio::test]
async fn a_required_certificate_lets_its_owner_in_and_nobody_else() {
    let scene = Scene::new();
    let settings = "client_ca: clients.pem, client_certificates: required";
    assert_eq!(scene.meets(settings, Some("client")).await.unwrap().certificates, 1);
    assert!(reason(&scene.meets(settings, None).await.unwrap_err()).contains("NoCertificatesPresented"));
}

#[tokio::test]
async fn an_optional_certificate_may_be_left_out_and_must_be_valid_where_shown() {
    let scene = Scene::new();
    Authority::new("clients").issue(7, 4000).write(&scene.folder, "impostor");
    for settings in ["client_ca: clients.pem", "client_ca: clients.pem, client_certificates: optional"] {
        assert_eq!(scene.meets(settings, Some("client")).await.unwrap().certificates, 1);
        assert_eq!(scene.meets(settings, None).await.unwrap().certificates, 0);
        let refused = scene.meets(settings, Some("impostor")).await.unwrap_err();
        assert!(reason(&refused).contains("InvalidCertificate"), "{refused:?}");
    }
}

#[tokio::test]
async fn no_certificate_is_asked_for_without_an_authority() {
    let scene = Scene::new();
    assert_eq!(scene.meets("", Some("client")).await.unwrap().certificates, 0);
}

#[tokio::test]
async fn l33_an_expired_client_certificate_is_refused() {
    let scene = Scene::new();
    scene.clients.issue(8, 2020).write(&scene.folder, "old");
    let refused = scene.meets("client_ca: clients.pem", Some("old")).await.unwrap_err();
    assert!(reason(&refused).contains("Expired"), "{refused:?}");
}

#[tokio::test]
async fn l33_a_revoked_client_certificate_is_refused() {
    let scene = Scene::new();
    scene.clients.issue(8, 4000).write(&scene.folder, "revoked");
    let list = scene.clients.revoke(&[8], 4000);
    scene.folder.write("pem.crl", list.pem().unwrap());
    scene.folder.write("der.crl", list.der().as_ref());
    for crl in ["pem.crl", "der.crl"] {
        let settings = format!("client_ca: clients.pem, crl: {crl}");
        assert_eq!(scene.meets(&settings, Some("client")).await.unwrap().certificates, 1);
        let refused = scene.meets(&settings, Some("revoked")).await.unwrap_err();
        assert!(reason(&refused).contains("Revoked"), "{refused:?}");
    }
}

#[tokio::test]
async fn l33_a_certificate_that_no_revocation_list_covers_is_refused() {
    let scene = Scene::new();
    scene.folder.write("other.crl", Authority::new("others").revoke(&[], 4000).pem().unwrap());
    let refused = scene.meets("client_ca: clients.pem, crl: other.crl", Some("client")).await.unwrap_err();
    assert!(reason(&refused).contains("UnknownRevocationStatus"), "{refused:?}");
}

#[tokio::test]
async fn l33_an_expired_revocation_list_covers_nobody() {
    let scene = Scene::new();
    scene.folder.write("old.crl", scene.clients.revoke(&[], 2021).pem().unwrap());
    let refused = scene.meets("client_ca: clients.pem, crl: old.crl", Some("client")).await.unwrap_err();
    assert!(reason(&refused).contains("ExpiredRevocationList"), "{refused:?}");
}

#[tokio::test]
async fn l33_no_session_is_resumed_where_certificates_are_asked_for() {
    let scene = Scene::new();
    for (settings, second) in [
        ("", HandshakeKind::Resumed),
        ("client_ca: clients.pem", HandshakeKind::Full),
        ("client_ca: clients.pem, client_certificates: required", HandshakeKind::Full),
    ] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let (server, caller) = (scene.listener(settings).unwrap(), scene.caller(Some("client")));
            let mut caller = ClientConfig::clone(&caller);
            caller = only(caller, version, &scene);
            let caller = Arc::new(caller);
            assert_eq!(handshake(&server, &caller).await.unwrap().kind, HandshakeKind::Full);
            assert_eq!(handshake(&server, &caller).await.unwrap().kind, second, "{settings} {version:?}");
        }
    }
}

/// The same client, speaking one version alone.
fn only(client: ClientConfig, version: &'static rustls::SupportedProtocolVersion, scene: &Scene) -> ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let pem = |name: &str| scene.folder.path().join(name);
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(pem("servers.pem")).unwrap()).unwrap();
    ClientConfig::builder_with_provider(client.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![rustls::pki_types::CertificateDer::from_pem_file(pem("client.pem")).unwrap()],
            rustls::pki_types::PrivateKeyDer::from_pem_file(pem("client.key")).unwrap(),
        )
        .unwrap()
}

#[tokio::test]
async fn the_lowest_version_is_held_to() {
    let scene = Scene::new();
    let old = Arc::new(only(ClientConfig::clone(&scene.caller(None)), &rustls::version::TLS12, &scene));
    let met = handshake(&scene.listener("").unwrap(), &old).await.unwrap();
    assert_eq!(met.version, ProtocolVersion::TLSv1_2);
    let refused = handshake(&scene.listener("minimum: \"1.3\"").unwrap(), &old).await.unwrap_err();
    assert!(reason(&refused).contains("PeerIncompatible"), "{refused:?}");
}

#[tokio::test]
async fn http_2_is_preferred_and_http_1_1_understood() {
    let scene = Scene::new();
    let server = scene.listener("").unwrap();
    for (offered, picked) in [(vec!["http/1.1", "h2"], "h2"), (vec!["http/1.1"], "http/1.1")] {
        let mut caller = ClientConfig::clone(&scene.caller(None));
        caller.alpn_protocols = offered.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        let met = handshake(&server, &Arc::new(caller)).await.unwrap();
        assert_eq!(met.alpn.as_deref(), Some(picked.as_bytes()));
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_in_the_error() {
    let scene = Scene::new();
    scene.folder.write("empty.pem", "");
    scene.folder.write("damaged.key", "-----BEGIN PRIVATE KEY-----\n!canary!\n-----END PRIVATE KEY-----\n");
    let refusal = |certificate: &str, key: &str| {
        let yaml = format!("{{ certificate: {certificate}, key: {key} }}");
        server_config(&serde_saphyr::from_str::<ServerTls>(&yaml).unwrap(), scene.folder.path()).unwrap_err()
    };
    let missing = refusal("absent.pem", "server.key");
    assert!(matches!(missing, TlsError::Read { .. }) && missing.to_string().contains("absent.pem"), "{missing}");
    let empty = refusal("empty.pem", "server.key");
    assert!(matches!(empty, TlsError::Empty { .. }) && empty.to_string().contains("empty.pem"), "{empty}");
    let keyless = refusal("server.pem", "server.pem");
    assert!(matches!(keyless, TlsError::Empty { .. }) && keyless.to_string().contains("private key"), "{keyless}");
    let damaged = refusal("server.pem", "damaged.key");
    assert!(matches!(damaged, TlsError::Damaged { .. }), "{damaged}");
    assert!(!format!("{damaged:?}").contains("canary"));
    let other = refusal("server.pem", "client.key");
    assert!(matches!(other, TlsError::Identity { .. }) && other.to_string().contains("client.key"), "{other}");
}

#[test]
fn a_client_with_the_key_of_another_certificate_is_refused() {
    let scene = Scene::new();
    let files = Some((Path::new("client.pem"), Path::new("server.key")));
    let refused = client_config(None, files, scene.folder.path()).unwrap_err();
    assert!(matches!(refused, TlsError::Identity { .. }), "{refused}");
}

#[test]
fn settings_that_need_an_authority_are_refused_without_one() {
    let scene = Scene::new();
    for settings in ["crl: clients.crl", "client_certificates: required", "client_certificates: optional"] {
        assert!(matches!(scene.listener(settings).unwrap_err(), TlsError::NoClientCa { .. }), "{settings}");
    }
}

#[test]
fn the_earliest_expiry_of_a_file_is_told() {
    let scene = Scene::new();
    let (long, short) = (scene.clients.issue(1, 2900), scene.clients.issue(2, 2031));
    let both = scene.folder.write("both.pem", long.certificate + &short.certificate);
    let start_of_2031 = 1_924_992_000;
    assert_eq!(certificate_expiry(&both).unwrap(), start_of_2031);
    let list = scene.folder.write("clients.crl", scene.clients.revoke(&[], 2031).pem().unwrap());
    assert_eq!(crl_expiry(&list).unwrap(), start_of_2031);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let key = folder.write("server.key", "");
    for (mode, noticed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(is_readable_by_others(&key).unwrap(), noticed, "{mode:o}");
    }
}
