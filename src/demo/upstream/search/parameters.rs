//! The types that are served and their search parameters, as a table: facts of FHIR R4, no behaviour.

/// The resource types that are served.
pub(in crate::demo::upstream) const TYPES: &[&str] = &[
    "AllergyIntolerance",
    "Appointment",
    "Claim",
    "Condition",
    "Coverage",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Immunization",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
];

/// How a parameter's value is compared (FHIR R4, 3.1.1.4).
#[derive(Clone, Copy, PartialEq)]
pub(in crate::demo::upstream) enum Kind {
    /// A code, with its system or without.
    Token,
    /// A ContactPoint's value, of one system (`phone`, `email`) or of any where empty.
    Telecom(&'static str),
    /// Text that begins with the value.
    Text,
    /// A date, a period, or an instant, with prefixes.
    Date,
    /// A reference.
    Reference,
}

/// A search parameter of a type, or of all (`*`), and the elements it looks at.
pub(in crate::demo::upstream) struct Parameter {
    pub(in crate::demo::upstream) of: &'static str,
    pub(in crate::demo::upstream) name: &'static str,
    pub(in crate::demo::upstream) kind: Kind,
    pub(in crate::demo::upstream) paths: &'static [&'static str],
}

macro_rules! parameters {
    ($($of:literal { $($name:literal: $kind:expr => [$($path:literal),+]),* $(,)? })*) => {
        /// Every search parameter that is understood.
        pub(in crate::demo::upstream) const PARAMETERS: &[Parameter] =
            &[$($(Parameter { of: $of, name: $name, kind: $kind, paths: &[$($path),+] }),*),*];
    };
}

parameters! {
    "*" {
        "_id": Kind::Token => ["id"],
        "_lastUpdated": Kind::Date => ["meta.lastUpdated"],
        "_security": Kind::Token => ["meta.security"],
    }
    "Patient" {
        "identifier": Kind::Token => ["identifier"],
        "name": Kind::Text => ["name.text", "name.family", "name.given"],
        "family": Kind::Text => ["name.family"],
        "given": Kind::Text => ["name.given"],
        "birthdate": Kind::Date => ["birthDate"],
        "death-date": Kind::Date => ["deceasedDateTime"],
        "gender": Kind::Token => ["gender"],
        "telecom": Kind::Telecom("") => ["telecom"],
        "phone": Kind::Telecom("phone") => ["telecom"],
        "email": Kind::Telecom("email") => ["telecom"],
        "address": Kind::Text => ["address.line", "address.city", "address.state", "address.postalCode"],
        "address-city": Kind::Text => ["address.city"],
        "address-state": Kind::Text => ["address.state"],
        "address-postalcode": Kind::Text => ["address.postalCode"],
        "active": Kind::Token => ["active"],
        "general-practitioner": Kind::Reference => ["generalPractitioner"],
        "organization": Kind::Reference => ["managingOrganization"],
    }
    "Practitioner" {
        "identifier": Kind::Token => ["identifier"],
        "name": Kind::Text => ["name.text", "name.family", "name.given"],
        "family": Kind::Text => ["name.family"],
        "given": Kind::Text => ["name.given"],
    }
    "Organization" {
        "name": Kind::Text => ["name"],
    }
    "Location" {
        "name": Kind::Text => ["name"],
        "organization": Kind::Reference => ["managingOrganization"],
    }
    "Encounter" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "status": Kind::Token => ["status"],
        "class": Kind::Token => ["class"],
        "type": Kind::Token => ["type"],
        "reason-code": Kind::Token => ["reasonCode"],
        "date": Kind::Date => ["period"],
        "participant": Kind::Reference => ["participant.individual"],
        "location": Kind::Reference => ["location.location"],
    }
    "Condition" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "clinical-status": Kind::Token => ["clinicalStatus"],
        "onset-date": Kind::Date => ["onsetDateTime", "onsetPeriod"],
        "recorded-date": Kind::Date => ["recordedDate"],
    }
    "Observation" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "performer": Kind::Reference => ["performer"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["effectiveDateTime"],
    }
    "DiagnosticReport" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "result": Kind::Reference => ["result"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["effectiveDateTime"],
    }
    "MedicationRequest" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["encounter"],
        "requester": Kind::Reference => ["requester"],
        "code": Kind::Token => ["medicationCodeableConcept"],
        "status": Kind::Token => ["status"],
        "intent": Kind::Token => ["intent"],
        "authoredon": Kind::Date => ["authoredOn"],
    }
    "AllergyIntolerance" {
        "patient": Kind::Reference => ["patient"],
        "code": Kind::Token => ["code"],
        "category": Kind::Token => ["category"],
        "criticality": Kind::Token => ["criticality"],
        "clinical-status": Kind::Token => ["clinicalStatus"],
        "date": Kind::Date => ["recordedDate"],
    }
    "Immunization" {
        "patient": Kind::Reference => ["patient"],
        "status": Kind::Token => ["status"],
        "vaccine-code": Kind::Token => ["vaccineCode"],
        "date": Kind::Date => ["occurrenceDateTime"],
    }
    "Procedure" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "code": Kind::Token => ["code"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["performedDateTime", "performedPeriod"],
    }
    "Appointment" {
        "patient": Kind::Reference => ["participant.actor"],
        "practitioner": Kind::Reference => ["participant.actor"],
        "actor": Kind::Reference => ["participant.actor"],
        "status": Kind::Token => ["status"],
        "reason-code": Kind::Token => ["reasonCode"],
        "date": Kind::Date => ["start"],
    }
    "Coverage" {
        "patient": Kind::Reference => ["beneficiary"],
        "beneficiary": Kind::Reference => ["beneficiary"],
        "payor": Kind::Reference => ["payor"],
        "status": Kind::Token => ["status"],
        "type": Kind::Token => ["type"],
    }
    "Claim" {
        "patient": Kind::Reference => ["patient"],
        "provider": Kind::Reference => ["provider"],
        "insurer": Kind::Reference => ["insurer"],
        "status": Kind::Token => ["status"],
        "use": Kind::Token => ["use"],
        "created": Kind::Date => ["created"],
    }
    "ExplanationOfBenefit" {
        "patient": Kind::Reference => ["patient"],
        "claim": Kind::Reference => ["claim"],
        "coverage": Kind::Reference => ["insurance.coverage"],
        "provider": Kind::Reference => ["provider"],
        "status": Kind::Token => ["status"],
        "created": Kind::Date => ["created"],
    }
    "DocumentReference" {
        "patient": Kind::Reference => ["subject"],
        "subject": Kind::Reference => ["subject"],
        "encounter": Kind::Reference => ["context.encounter"],
        "type": Kind::Token => ["type"],
        "category": Kind::Token => ["category"],
        "status": Kind::Token => ["status"],
        "date": Kind::Date => ["date"],
    }
}

/// Whether the type is served.
pub(in crate::demo::upstream) fn knows(resource_type: &str) -> bool {
    TYPES.contains(&resource_type)
}

/// The parameter of a type by name.
pub(super) fn parameter(resource_type: &str, name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|known| (known.of == "*" || known.of == resource_type) && known.name == name)
}
