//! The folder of a gateway that runs as a process: all that the example gateway file names, and who may call it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fieldgate::demo::keys::Keys;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Curl, page};
use crate::process::Process;

const GATEWAY: &str = include_str!("../../config/gateway.yaml");
pub const POLICY: &str = include_str!("../../config/policy.yaml");

/// The key of pseudonyms and moved dates.
pub const SECRET: [u8; 32] = *b"a key of the tests of 32 letters";

/// A folder with all that the example gateway file names.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(api: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let keys = Keys::generate(now.to_zoned(TimeZone::UTC).date()).unwrap();
        keys.write(&folder.path().join("keys")).unwrap();
        for role in ["front-desk", "clinician", "coder", "researcher"] {
            let claims = Map::from_iter([("groups".to_owned(), json!(role))]);
            let token = keys.token("somebody", &claims, now, Duration::from_secs(3600)).unwrap();
            fs::write(folder.path().join(role), format!("Authorization: Bearer {token}\n")).unwrap();
        }
        let folder = Self(folder);
        folder.write("policy.yaml", POLICY);
        folder.write("secrets.yaml", &format!("key: {}\n", STANDARD.encode(SECRET)));
        folder.mode("secrets.yaml", 0o600);
        let gateway = GATEWAY
            .replace("address: 127.0.0.1:8443", "address: 127.0.0.1:0")
            .replace("address: 127.0.0.1:9090", "address: 127.0.0.1:0")
            .replace("http://127.0.0.1:8080/", &format!("http://{api}/"));
        folder.write("gateway.yaml", &gateway);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Replaces a part of a file that is there.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(name, &text.replace(from, to));
    }

    pub fn gateway(&self) -> String {
        self.path("gateway.yaml").to_str().unwrap().to_owned()
    }

    pub fn ask(&self, gateway: SocketAddr, role: &str, path: &str) -> Curl {
        Curl {
            url: format!("https://{gateway}/fhir/{path}"),
            authority: Some(self.path("keys/ca.pem")),
            header: Some(self.path(role)),
            identity: None,
        }
    }

    /// What the start of a gateway that cannot start says.
    pub fn refusal(&self) -> String {
        let (status, said) = Process::start(&["serve", "--config", &self.gateway()]).ended();
        assert_eq!(status.code(), Some(1), "{said}");
        said
    }
}

pub struct Gateway {
    pub process: Process,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

pub fn serve(folder: &Folder) -> Gateway {
    let process = Process::start(&["serve", "--config", &folder.gateway()]);
    let ready: Value = serde_json::from_str(&process.line_with("\"ready\"")).unwrap();
    assert!(ready["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{ready}");
    assert_eq!((ready["level"].as_str(), ready["target"].as_str()), (Some("INFO"), Some("fieldgate::app")));
    let addresses = ready["addresses"].as_str().unwrap();
    let address = addresses.trim_matches(['[', ']']).parse().unwrap();
    let admin = ready["admin"].as_str().unwrap().parse().unwrap();
    Gateway { process, address, admin }
}

impl Gateway {
    pub async fn admin(&self, path: &str) -> Answer {
        page(&format!("http://{}{path}", self.admin)).await
    }
}
