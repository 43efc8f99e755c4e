//! The CapabilityStatement of the sample upstream: what it does and nothing that it does not.

use serde_json::{Value, json};

use super::search::{Kind, PARAMETERS, TYPES};

/// What `GET /metadata` answers.
pub(super) fn statement(base: &str) -> Value {
    let resources: Vec<Value> = TYPES.iter().map(|resource_type| resource(resource_type)).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "publisher": "fieldgate demo",
        "kind": "instance",
        "software": { "name": "fieldgate sample upstream", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Synthetic patients of a practice that does not exist", "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{ "mode": "server", "resource": resources }],
    })
}

fn resource(resource_type: &str) -> Value {
    let of_type = || PARAMETERS.iter().filter(|parameter| parameter.of == "*" || parameter.of == resource_type);
    let parameters: Vec<Value> = of_type()
        .map(|parameter| {
            let kind = match parameter.kind {
                Kind::Token | Kind::Telecom(_) => "token",
                Kind::Text => "string",
                Kind::Date => "date",
                Kind::Reference => "reference",
            };
            json!({ "name": parameter.name, "type": kind })
        })
        .collect();
    let includes: Vec<String> = of_type()
        .filter(|parameter| matches!(parameter.kind, Kind::Reference))
        .map(|parameter| format!("{resource_type}:{}", parameter.name))
        .collect();
    let mut statement = json!({
        "type": resource_type,
        "interaction": [{ "code": "read" }, { "code": "vread" }, { "code": "search-type" }],
        "versioning": "versioned",
        "searchParam": parameters,
    });
    if let Some(members) = statement.as_object_mut().filter(|_| !includes.is_empty()) {
        members.insert("searchInclude".into(), includes.into());
    }
    statement
}
