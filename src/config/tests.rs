//! What a gateway file is held to.

use super::*;
use jiff::civil::{Date, date};

const GOOD: &str = r#"
policy: policy.yaml
listen:
  - address: 0.0.0.0:8443
    tls: { certificate: tls/gateway.pem, key: tls/gateway.key, client_ca: tls/clients.pem, client_certificates: optional }
admin: { address: 127.0.0.1:9090 }
identity:
  tokens:
    - issuer: https://idp.example
      audience: fieldgate
      keys: { file: jwks.json }
      algorithms: [RS256, ES256]
      bound: optional
  api_keys: { file: keys.yaml }
roles:
  - { role: front-desk, when: { issuer: https://idp.example, claims: { groups: front-desk } } }
  - { role: billing-vendor, when: { certificate: { san_uri: "spiffe://acme.example/billing" } } }
endpoints:
  - name: ehr
    path: /fhir
    upstream: { url: "https://ehr.internal/fhir", ca: tls/internal.pem }
    serves: fhir
    roles: [front-desk]
  - name: acme
    path: /vendors/acme
    upstream: { url: "http://127.0.0.1:8081/api" }
    serves: { "/v1/members/{id}": member-record }
    roles: [billing-vendor]
    until: 2027-06-30
    from: ["203.0.113.0/24"]
    hours: { days: Mon-Fri, between: "07:00-19:00", zone: America/New_York }
    rate: { requests: 50, per: 1s, burst: 100 }
    public_url: https://api.example/vendors/acme
    search_parameters: { Patient: { nhs-number: [identifier], called: [name.family, telecom] } }
audit: { directory: audit }
secrets: { file: secrets.yaml }
limits: { drain_timeout: 5s, value_bytes: 4MiB }
"#;

fn today() -> Date {
    date(2026, 11, 22)
}

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("etc/gateway.yaml")).unwrap()
}

fn said(found: &[Finding]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

/// The findings of the good file with these changes made.
fn changed(changes: &[(&str, &str)]) -> Findings {
    let mut text = GOOD.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    config(&text).check(today())
}

fn refusal(text: &str) -> String {
    Config::parse(text, Path::new("etc/gateway.yaml")).unwrap_err().to_string()
}

#[test]
fn a_file_with_every_key_is_taken_without_a_word() {
    let config = config(GOOD);
    let found = config.check(today());
    assert!(found.mistakes.is_empty() && found.warnings.is_empty(), "{found:?}");
    assert_eq!(config.policy(), Path::new("etc/policy.yaml"));
    assert_eq!(config.secrets().unwrap(), Path::new("etc/secrets.yaml"));
    assert_eq!(config.limits().value_bytes.get(), 4 << 20);
    assert!(matches!(&config.endpoints()[1].serves, Serves::Documents(documents) if documents.len() == 1));
}

#[test]
fn a_key_that_is_not_known_is_told_with_its_place() {
    let told = refusal(&GOOD.replace("rate:", "rates:"));
    assert!(told.starts_with("etc/gateway.yaml:32:5: "), "{told}");
    assert!(told.contains("rates") && told.ends_with(": did you mean rate?") && !told.contains('\n'), "{told}");
    for (from, to) in
        [("bound: optional", "bounds: optional"), ("serves: fhir", "serves: hl7"), ("limits: {", "limits: { x: 1s,")]
    {
        assert!(refusal(&GOOD.replace(from, to)).starts_with("etc/gateway.yaml:"), "{to}");
    }
}

#[test]
fn nothing_stands_twice() {
    assert!(refusal(&format!("{GOOD}policy: other.yaml\n")).contains("policy"));
}

#[test]
fn plain_text_is_for_loopback_alone() {
    let open = "address: 0.0.0.0:8443\n    tls: { certificate: tls/gateway.pem, key: tls/gateway.key, client_ca: tls/clients.pem, client_certificates: optional }";
    let vendor = "certificate: { san_uri: \"spiffe://acme.example/billing\" }";
    let found = changed(&[(open, "address: 0.0.0.0:8443"), (vendor, "api_key: acme")]);
    assert_eq!(
        said(&found.mistakes),
        [
            "etc/gateway.yaml:4:14: 0.0.0.0:8443 would take health data over the network in plain text: add tls, or listen on a loopback address"
        ]
    );
    let found = changed(&[(open, "address: 127.0.0.1:8443"), (vendor, "api_key: acme")]);
    assert!(found.mistakes.is_empty(), "{found:?}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = changed(&[
        ("path: /vendors/acme", "path: /fhir"),
        ("name: acme", "name: ehr"),
        ("roles: [front-desk]", "roles: []"),
        ("serves: { \"/v1/members/{id}\": member-record }", "serves: {}"),
        ("127.0.0.1:9090", "0.0.0.0:8443"),
        ("audit: {", "store: sqlite:fieldgate.db\naudit: {"),
        ("https://api.example/vendors/acme", "https://user@api.example/?x=1"),
    ]);
    let told = said(&found.mistakes).join("\n");
    for part in [
        "the endpoint ehr has the same path",
        "another endpoint has the name ehr",
        "has no role",
        "serves no document",
        "another listener has the address 0.0.0.0:8443",
        "store is not supported by this version",
        "public_url is http or https",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert_eq!(found.mistakes.len(), 7, "{told}");
}

#[test]
fn a_path_with_two_readings_is_no_endpoint() {
    for path in ["fhir", "/a/../b", "/a//b", "/%2e%2e/x"] {
        let found = changed(&[("path: /vendors/acme", &format!("path: {path:?}"))]);
        assert!(said(&found.mistakes).join("\n").contains("this path cannot be used"), "{path}");
    }
}

#[test]
fn a_search_parameter_of_the_servers_own_names_elements_that_there_are() {
    let good = "{ Patient: { nhs-number: [identifier], called: [name.family, telecom] } }";
    for (declared, told) in [
        ("{ Patien: { x: [name] } }", "34:26: FHIR R4 has no resource type Patien: did you mean Patient?"),
        ("{ Patient: { x: [nmae] } }", "34:41: unknown element Patient.nmae: did you mean name?"),
        ("{ Patient: { x: [name.famly] } }", "34:41: unknown element Patient.name.famly: did you mean family?"),
        (
            "{ Patient: { x: [] } }",
            "34:37: x of Patient tests no element, so nothing can be said of it: name each element that it tests",
        ),
        (
            "{ Patient: { birthdate: [name] } }",
            "34:37: FHIR R4 says itself what birthdate of Patient tests: leave it out",
        ),
        (
            "{ Patient: { a.b: [name] } }",
            "34:37: a search parameter can't be named a.b: its name is letters, digits, `-` and `_`",
        ),
        (
            "{ Patient: { _text2: [name] } }",
            "34:37: a search parameter can't be named _text2: its name is letters, digits, `-` and `_`",
        ),
    ] {
        let found = changed(&[(good, declared)]);
        assert_eq!(said(&found.mistakes), [format!("etc/gateway.yaml:{told}")], "{declared}");
    }
    assert!(refusal(&GOOD.replace(good, "{ Patient: { x: [name], x: [telecom] } }")).contains("gateway.yaml:34"));
    assert!(refusal(&GOOD.replace(good, "[name]")).starts_with("etc/gateway.yaml:34"));
}

#[test]
fn what_nobody_can_use_is_a_warning() {
    let found = changed(&[("role: front-desk,", "role: clinician,"), ("until: 2027-06-30", "until: 2026-11-21")]);
    assert!(found.mistakes.is_empty(), "{found:?}");
    let told = said(&found.warnings).join("\n");
    for part in ["gives the role front-desk", "open to the role clinician", "its last day has passed"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let found =
        changed(&[("127.0.0.1:9090", "0.0.0.0:9090"), ("https://ehr.internal/fhir", "http://ehr.internal/fhir")]);
    assert_eq!(found.warnings.len(), 2, "{found:?}");
}

#[test]
fn a_certificate_that_no_listener_takes_proves_nobody() {
    let found = changed(&[("client_ca: tls/clients.pem, client_certificates: optional ", "")]);
    assert!(said(&found.mistakes).join("\n").contains("no listener takes one"), "{found:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refused = Config::read(Path::new("nowhere/gateway.yaml")).unwrap_err().to_string();
    assert!(refused.starts_with("nowhere/gateway.yaml: cannot be read"), "{refused}");
}
