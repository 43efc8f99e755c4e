//! Reads the identities out of a client certificate.
//!
//! Trust isn't decided here: the TLS layer has verified the chain before this is called. What must never happen is
//! that one certificate reads as another's name, so nothing is guessed: a name that isn't well-formed refuses the whole
//! certificate, and the subject is escaped so that a value can't pose as an attribute of its own.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Any, FromDer, Tag, ToDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::model::CertificateIdentity;

/// Why no identity could be read from a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes are no certificate of X.509.
    #[error("the client certificate isn't DER of one X.509 certificate: have it issued anew")]
    Malformed,
    /// The subject can't be read.
    #[error("the client certificate's subject isn't a well-formed name: have it issued anew")]
    Subject,
    /// An alternative name isn't what its type asks for.
    #[error("a subject alternative name of the client certificate isn't a well-formed URI or DNS name")]
    AlternativeName,
    /// Neither a subject nor an alternative name of type URI or DNS.
    #[error("the client certificate names nobody: it needs a subject, or a URI or DNS subject alternative name")]
    Nameless,
}

/// The identities that the certificate with this DER form carries.
///
/// # Errors
/// Where the certificate can't be read without doubt; the connection then has no identity and should end.
pub fn identity_of(der: &[u8]) -> Result<CertificateIdentity, CertificateError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let mut identity = CertificateIdentity {
        subject: distinguished_name(certificate.subject())?,
        san_uri: Vec::new(),
        san_dns: Vec::new(),
        fingerprint: Sha256::digest(der).into(),
    };
    let alternatives = certificate.subject_alternative_name().map_err(|_| CertificateError::AlternativeName)?;
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) if is_uri(uri) => identity.san_uri.push((*uri).to_owned()),
            GeneralName::DNSName(dns) if is_dns_name(dns) => identity.san_dns.push((*dns).to_owned()),
            GeneralName::URI(_) | GeneralName::DNSName(_) | GeneralName::Invalid(..) => {
                return Err(CertificateError::AlternativeName);
            }
            _ => {}
        }
    }
    if name_of(&identity).is_empty() {
        return Err(CertificateError::Nameless);
    }
    Ok(identity)
}

/// The name that stands for the certificate in the audit trail: its first URI, else its first DNS name, else its subject.
pub(super) fn name_of(identity: &CertificateIdentity) -> &str {
    identity.san_uri.first().or(identity.san_dns.first()).unwrap_or(&identity.subject)
}

/// RFC 3986 characters with a scheme in front. `|` isn't among them, so no certificate can pose as `issuer|subject`.
fn is_uri(uri: &str) -> bool {
    let visible = uri.bytes().all(|b| b.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&b));
    let scheme = uri.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    visible && scheme
}

/// Host name characters, underscores and the wildcard that certificates use.
fn is_dns_name(dns: &str) -> bool {
    !dns.is_empty() && dns.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b))
}

/// A name in the form of RFC 4514: most specific part first, `,` between parts, `+` inside one, values escaped.
fn distinguished_name(name: &X509Name<'_>) -> Result<String, CertificateError> {
    // INVARIANT: every byte of the name was read. The parser stops silently at a part it can't read, which would leave
    // a shorter name that may be another's; the length of the outer sequence tells.
    match Any::from_der(name.as_raw()) {
        Ok(([], _)) => {}
        _ => return Err(CertificateError::Subject),
    }
    let mut parts = Vec::new();
    for part in name.iter_rdn() {
        let attributes = part.iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

/// `TYPE=value` where RFC 4514 section 3 has a name for the type, else `1.2.3=#hex` of the value's DER form.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, CertificateError> {
    let oid = attribute.attr_type().to_id_string();
    let keyword = match oid.as_str() {
        "2.5.4.3" => Some("CN"),
        "2.5.4.6" => Some("C"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.9" => Some("STREET"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        _ => None,
    };
    match (keyword, text(attribute.attr_value())?) {
        (Some(keyword), Some(value)) => Ok(format!("{keyword}={}", escaped(&value))),
        (keyword, _) => {
            let der = attribute.attr_value().to_der_vec().map_err(|_| CertificateError::Subject)?;
            let mut out = format!("{}=#", keyword.unwrap_or(&oid));
            for byte in der {
                let _ = write!(out, "{byte:02x}");
            }
            Ok(out)
        }
    }
}

/// The text of a string value; `None` where the type isn't a string that Unicode maps without guessing.
fn text(value: &Any<'_>) -> Result<Option<String>, CertificateError> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String => {
            std::str::from_utf8(bytes).map(|s| Some(s.to_owned())).map_err(|_| CertificateError::Subject)
        }
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            let ascii = bytes.is_ascii().then(|| bytes.iter().map(|b| char::from(*b)).collect());
            ascii.map(Some).ok_or(CertificateError::Subject)
        }
        _ => Ok(None),
    }
}

/// A value escaped by RFC 4514 section 2.4; control characters too, which keeps lines of a log whole.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            '#' if at == 0 => out.push_str("\\#"),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(subject: &[(DnType, &str)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_identities_of_a_certificate_are_read() {
        let der = certificate(
            &[(DnType::OrganizationName, "Acme"), (DnType::CommonName, "billing")],
            vec![
                SanType::URI("spiffe://acme.example/billing".try_into().unwrap()),
                SanType::DnsName("billing.acme.example".try_into().unwrap()),
                SanType::Rfc822Name("a@acme.example".try_into().unwrap()),
            ],
        );
        let identity = identity_of(&der).unwrap();
        assert_eq!(identity.subject, "CN=billing,O=Acme");
        assert_eq!(identity.san_uri, ["spiffe://acme.example/billing"]);
        assert_eq!(identity.san_dns, ["billing.acme.example"]);
        assert_eq!(identity.fingerprint, <[u8; 32]>::from(Sha256::digest(&der)));
        assert_eq!(name_of(&identity), "spiffe://acme.example/billing");
    }

    #[test]
    fn a_value_of_the_subject_cannot_pose_as_another_attribute() {
        let der = certificate(&[(DnType::CommonName, "x,O=Hospital+OU=\"a\"\n")], vec![]);
        assert_eq!(identity_of(&der).unwrap().subject, r#"CN=x\,O=Hospital\+OU=\"a\"\0A"#);
    }

    #[test]
    fn spaces_and_hashes_at_the_ends_are_escaped() {
        let escape = |value| identity_of(&certificate(&[(DnType::CommonName, value)], vec![])).unwrap().subject;
        assert_eq!(escape(" a b "), r"CN=\ a b\ ");
        assert_eq!(escape("#a#"), r"CN=\#a#");
        assert_eq!(escape("Zoë"), "CN=Zoë");
    }

    #[test]
    fn an_attribute_that_rfc_4514_has_no_name_for_is_a_number_and_hex() {
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let der = certificate(&[(email, "a@b")], vec![]);
        assert_eq!(identity_of(&der).unwrap().subject, "1.2.840.113549.1.9.1=#0c03614062");
    }

    #[test]
    fn a_malformed_alternative_name_refuses_the_certificate() {
        for name in ["https://idp.example|alice", "no scheme", "a:\nb", "spiffe:"] {
            let der = certificate(&[(DnType::CommonName, "x")], vec![SanType::URI(name.try_into().unwrap())]);
            assert_eq!(identity_of(&der), Err(CertificateError::AlternativeName), "{name:?}");
        }
        for name in ["api-key|acme", "CN=x", "", "a b"] {
            let der = certificate(&[(DnType::CommonName, "x")], vec![SanType::DnsName(name.try_into().unwrap())]);
            assert_eq!(identity_of(&der), Err(CertificateError::AlternativeName), "{name:?}");
        }
    }

    #[test]
    fn a_certificate_that_names_nobody_is_refused() {
        assert_eq!(identity_of(&certificate(&[], vec![])), Err(CertificateError::Nameless));
    }

    #[test]
    fn a_subject_that_is_read_in_part_is_refused() {
        let mut der =
            certificate(&[(DnType::OrganizationName, "Acme"), (DnType::CommonName, "billing-canary")], vec![]);
        // The CN's SET, whose tag stands 11 bytes before the value; the subject comes after the issuer.
        let value = der.windows(14).rposition(|window| window == b"billing-canary").unwrap();
        assert_eq!(der[value - 11], 0x31);
        der[value - 11] = 0x30;
        assert_eq!(identity_of(&der), Err(CertificateError::Subject));
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        let der = certificate(&[(DnType::CommonName, "x")], vec![]);
        let trailing = [der.as_slice(), &[0]].concat();
        for bytes in [&b""[..], b"x", &trailing, der.get(..der.len() - 1).unwrap()] {
            assert_eq!(identity_of(bytes), Err(CertificateError::Malformed));
        }
    }
}
