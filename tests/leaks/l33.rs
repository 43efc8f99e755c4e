//! L33: who somebody merely says to be.

use crate::caller::Caller;
use crate::judge;
use crate::stage::Stage;
use crate::upstream::{fhir, patient};

/// What proxies and gateways elsewhere take for proofs.
const CLAIMS: [&str; 12] = [
    "x-role: clinician",
    "x-user: clinician",
    "x-forwarded-user: clinician",
    "x-forwarded-client-cert: By=spiffe://x;URI=spiffe://acme.example/billing",
    "x-ssl-client-verify: SUCCESS",
    "x-client-cert: -----BEGIN CERTIFICATE-----",
    "x-authenticated-userid: clinician",
    "remote-user: clinician",
    "x-scopes: user/*.*",
    "smart-scopes: system/*.rs",
    "x-api-key-name: clinician",
    "cookie: role=clinician",
];

#[tokio::test]
async fn l33_what_is_merely_said_gives_nobody_more_than_is_proven() {
    let stage = Stage::new().await;
    stage.answers(fhir(patient()));
    let plain = stage.get("desk", "/Patient/1").await;
    assert_eq!(plain.status, 200);
    for claim in CLAIMS {
        let claimed = stage.ask("desk", "GET /fhir/Patient/1", &format!("{claim}\r\n"), "").await;
        assert_eq!(claimed.told(), plain.told(), "{claim}");
        let asked = stage.all_heard().concat().to_ascii_lowercase();
        assert!(!asked.contains("clinician") && !asked.contains("x-api-key"), "{claim}: {asked}");
    }
    for target in ["access_token=x", "role=clinician", "_role=clinician", "apikey=x"] {
        assert!(stage.get("desk", &format!("/Patient/1?{target}")).await.status >= 400, "{target}");
    }
    for role in ["clinician", "Clinician", "desk,clinician", "billing", "*"] {
        let answered = stage.ask("desk", "GET /fhir/Patient/1", &format!("fieldgate-role: {role}\r\n"), "").await;
        assert_eq!(answered.status, 403, "{role}: {}", answered.text());
    }
    stage.end().await;
}

#[tokio::test]
async fn l33_a_stranger_learns_nothing_whatever_it_says() {
    let stage = Stage::new().await;
    stage.answers(fhir(patient()));
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjbGluaWNpYW4iLCJhdWQiOiJmaGlyIn0.";
    let credentials = [
        format!("authorization: Bearer {unsigned}"),
        "authorization: Basic Y2xpbmljaWFuOng=".to_owned(),
        format!("authorization: ApiKey {}", crate::gateway::key("clinician")),
        "x-api-key: clinician".to_owned(),
        "x-api-key: ".to_owned(),
        format!("x-api-key: {}x", crate::gateway::key("clinician")),
        format!("x-api-key: {0}\r\nx-api-key: {0}", crate::gateway::key("nobody-else")),
    ];
    for credential in CLAIMS.into_iter().map(str::to_owned).chain(credentials) {
        for target in ["/fhir/Patient/1", "/fhir/Condition/c", "/fhir/metadata", "/plan/v1/members/1", "/nowhere"] {
            let message =
                format!("GET {target} HTTP/1.1\r\nhost: gw.example\r\nconnection: close\r\n{credential}\r\n\r\n");
            let answered = Caller::to(stage.gateway.plain).await.ask_last(message).await;
            assert_eq!(answered.status, 401, "{credential} {target}: {}", answered.text());
            judge::learns_nothing(&credential, &answered);
        }
    }
    assert_eq!(stage.all_heard(), Vec::<String>::new());
    stage.end().await;
}
