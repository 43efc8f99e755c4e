//! `fieldgate demo`: a whole working gateway with synthetic patients, throw-away keys and nothing to set up.
//!
//! It listens on loopback addresses alone, its keys are made at each start, and its folder is removed at the end. It
//! must never serve anything but its own made-up people.

mod folder;
mod spec;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use self::folder::{Folder, FolderError};
use super::log::{self, Form, LogError};
use super::serve::{self, ServeError};
use super::signals::Signals;
use super::terminal;
use crate::app::Running;
use crate::demo::keys::{Keys, KeysError};
use crate::demo::people::{DEMO_PATIENTS, DEMO_SEED, Population};
use crate::demo::upstream;

/// Where the demo listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// How many ports after a taken one are tried.
const TRIED: u16 = 50;
/// How long the demo's tokens are good for.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The roles that people act in, what each asks for, and what to look for in the answer. `{}` is the id of a patient.
const PEOPLE: [(&str, &str, &str); 4] = [
    ("front-desk", "Patient/{}", "books visits: the year of birth, the end of a phone number, no address"),
    ("clinician", "Patient/{}", "treats patients: everything, byte for byte as the API has it"),
    ("coder", "Patient/{}", "codes visits for billing: age and sex, and no name"),
    (
        "researcher",
        "Patient?_count=1",
        "follows people without knowing them, so it asks by no id: a pseudonym, a year, three digits of a ZIP code",
    ),
];

/// Run a whole gateway with synthetic patients, and print what to ask it
///
/// Nothing needs to be set up, and nothing leaves this machine. Stops on Ctrl-C and removes its folder.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate demo
  fieldgate demo --keep demo --listen 127.0.0.1:10443")]
pub(super) struct Demo {
    /// Where callers reach the gateway, a loopback address [default: 127.0.0.1:8443, or the next free port]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    listen: Option<SocketAddr>,
    /// Where metrics and health are [default: 127.0.0.1:9090, or the next free port]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    admin: Option<SocketAddr>,
    /// Write the files into this new folder, and leave them there: gateway file, policy, keys, audit trail
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Why the demo did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the sample API cannot be started")]
    Upstream(#[source] io::Error),
    #[error("no port from {0} on is free: choose one with --listen and --admin")]
    NoPort(SocketAddr),
    #[error("the demo's people lack what it shows")]
    People,
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl Demo {
    pub(super) fn run(self) -> ExitCode {
        match self.demonstrate() {
            Ok(()) => ExitCode::SUCCESS,
            Err(DemoError::Serve(error)) => serve::tell(Err(error)),
            Err(error) => {
                terminal::complain(&error);
                ExitCode::FAILURE
            }
        }
    }

    fn demonstrate(&self) -> Result<(), DemoError> {
        log::start(Form::Readable)?;
        serve::runtime()?.block_on(async {
            let mut signals = Signals::listen().map_err(ServeError::System)?;
            let now = Timestamp::now();
            let today = now.to_zoned(TimeZone::UTC).date();
            let people = Arc::new(Population::generate(DEMO_SEED, DEMO_PATIENTS, today));
            let keys = Keys::generate(today)?;
            let api = upstream::Running::start(Arc::clone(&people)).await.map_err(DemoError::Upstream)?;
            let (listen, admin) = (free(self.listen, LISTEN)?, free(self.admin, ADMIN)?);
            // INVARIANT: the folder is removed when this is dropped, on each way out of here.
            let folder = Folder::make(self.keep.as_deref(), &keys, listen, admin, api.addr)?;
            for (role, ..) in PEOPLE {
                let claims = Map::from_iter([("groups".to_owned(), json!([role]))]);
                folder.write_token(role, &keys.token(&format!("{role}-demo"), &claims, now, LIFETIME)?)?;
            }
            let running = Running::start(&folder.gateway_file(), Timestamp::now).await.map_err(ServeError::Start)?;
            let page = Page::new(&running, &folder, &people).ok_or(DemoError::People)?;
            folder.write_spec(&spec::front_desk(&people, page.patient).ok_or(DemoError::People)?)?;
            let told = io::stdout().lock().write_all(page.text().as_bytes());
            // Where nobody reads what to ask, there is nothing to demonstrate.
            told.map_err(ServeError::System)?;
            serve::until_stopped(running, &mut signals).await?;
            api.stop().await.map_err(DemoError::Upstream)
        })
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write an address and a port: 127.0.0.1:8443".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the demo is for this machine alone: use a loopback address".to_owned())
    }
}

/// The address that was asked for; or else the usual one, or where that is taken the next port that is free.
fn free(asked: Option<SocketAddr>, usual: SocketAddr) -> Result<SocketAddr, DemoError> {
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let ports = usual.port()..=usual.port().saturating_add(TRIED);
    let mut addresses = ports.map(|port| SocketAddr::new(usual.ip(), port));
    let address = addresses.find(|address| TcpListener::bind(address).is_ok()).ok_or(DemoError::NoPort(usual))?;
    if address != usual {
        terminal::warn(&format!("{usual} is in use: taking {address}"));
    }
    Ok(address)
}

/// What the demo tells.
struct Page<'a> {
    gateway: SocketAddr,
    admin: Option<SocketAddr>,
    folder: &'a Folder,
    patient: &'a str,
    member: &'a str,
}

impl<'a> Page<'a> {
    fn new(running: &Running, folder: &'a Folder, people: &'a Population) -> Option<Self> {
        let patient = people.of_type("Patient").find(|patient| shows_well(patient))?;
        Some(Self {
            gateway: *running.addresses().first()?,
            admin: running.admin_address(),
            folder,
            patient: patient.get("id")?.as_str()?,
            member: people.members().next()?.0,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { gateway, folder, patient, member, .. } = self;
        let (bold, plain) = if terminal::is_coloured(&io::stdout()) { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let dir = folder.path().display();
        let kept = if folder.is_kept() { "kept" } else { "removed when you stop" };
        writeln!(
            out,
            "{bold}fieldgate demo{plain}: a gateway before {DEMO_PATIENTS} made-up patients. Ctrl-C stops it.\n"
        )?;
        writeln!(out, "  gateway  https://{gateway}")?;
        if let Some(admin) = self.admin {
            writeln!(out, "  metrics  http://{admin}/metrics")?;
        }
        writeln!(out, "  files    {dir} ({kept})\n")?;
        writeln!(out, "Patients, asked for by each role. Paste into another terminal:\n")?;
        for (role, asks, look) in PEOPLE {
            writeln!(out, "{bold}# {role}{plain}: {look}")?;
            let url = format!("https://{gateway}/fhir/{}", asks.replace("{}", patient));
            writeln!(out, "curl -s --cacert {dir}/keys/ca.pem -H @{dir}/{role}.header '{url}'; echo\n")?;
        }
        writeln!(
            out,
            "{bold}# billing-vendor{plain}: proven by its certificate: what a bill needs of a member, and no diagnosis"
        )?;
        let url = format!("https://{gateway}/vendors/acme/v1/members/{member}");
        let proof = format!("--cert {dir}/keys/client.pem --key {dir}/keys/client.key");
        writeln!(out, "curl -s --cacert {dir}/keys/ca.pem {proof} '{url}'; echo\n")?;
        writeln!(out, "{bold}# refused{plain}: why somebody comes is none of the front desk's business")?;
        let url = format!("https://{gateway}/fhir/Condition?patient={patient}");
        writeln!(out, "curl -s --cacert {dir}/keys/ca.pem -H @{dir}/front-desk.header '{url}'; echo\n")?;
        if let Some(admin) = self.admin {
            writeln!(out, "{bold}# counted{plain}: elements shown, hidden and changed, by role")?;
            writeln!(out, "curl -s http://{admin}/metrics | grep fieldgate_elements_total\n")?;
        }
        let program = program();
        writeln!(out, "{bold}# recorded{plain}: who saw what of this patient, when, why, by which way")?;
        writeln!(out, "{program} audit patient {dir}/audit {patient}\n")?;
        writeln!(out, "{bold}# tried{plain}: the ways around a field filter, in the front desk's name")?;
        let target = format!("https://{gateway}/fhir");
        writeln!(out, "{program} conformance --rate 200 --target {target} --spec {dir}/conformance.yaml\n")?;
        writeln!(out, "{bold}# changed{plain}: edit {dir}/policy.yaml, then check it and have it taken")?;
        writeln!(out, "{program} check --config {dir}/gateway.yaml && kill -HUP {}\n", std::process::id())
    }
}

/// Whether each role sees something else of a patient, and none nothing: a normal label, and all that is treated.
fn shows_well(patient: &Value) -> bool {
    let has = |name: &str| patient.get(name).is_some_and(|value| !value.is_null());
    let labels = patient.pointer("/meta/security").and_then(Value::as_array);
    let is_normal = |label: &Value| label.get("code").is_some_and(|code| code == "N");
    ["name", "telecom", "address", "birthDate", "identifier"].into_iter().all(has)
        && labels.is_none_or(|labels| labels.iter().all(is_normal))
}

/// How this program was called, so that what is printed can be pasted.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "fieldgate".to_owned(), |name| Path::new(&name).display().to_string())
}
