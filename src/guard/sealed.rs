//! Sealed links: the way on to places that only the upstream knows the way to, such as a page at a path of its own, or
//! the state and the files of an export (L18, L22).
//!
//! The address is sealed with all that it stands for, so the gateway keeps nothing, and the caller can neither read nor
//! change it. Only who was given a link can use it: in the same role, under the same policy, for a time.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::paging::{Bound, PageKey, joined};

/// What leads to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What is at the place.
    pub place: Place,
    /// The path of the interaction that led there, below the endpoint: whoever may not do that may not go on.
    pub of: Box<str>,
    /// How far that reached, where it was less far than the role.
    pub within: Box<str>,
    /// What was searched, as in [`super::Admission::searched`]; of an export, its query.
    pub searched: Option<Box<str>>,
    /// The resources that may be there, as in [`super::Admission::holds`].
    pub holds: Option<Vec<Box<str>>>,
    /// The path and query below the upstream's URL.
    pub target: Box<str>,
    /// Until when it holds, in seconds since 1970.
    pub until: i64,
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A page of what was asked for.
    Page,
    /// The state of an export.
    State,
    /// A file of an export.
    File,
}

/// The segment below which sealed links are.
pub const SEGMENT: &str = "_fieldgate";

impl Place {
    const ALL: [(Self, &str); 3] = [(Self::Page, "page"), (Self::State, "state"), (Self::File, "file")];
}

/// Seals a link: the segment that stands for it.
pub(super) fn seal(key: &PageKey, bound: Bound<'_>, link: &Sealed) -> Option<String> {
    let Sealed { place, of, within, searched, holds, target, until } = link;
    let place = Place::ALL.iter().find(|(known, _)| known == place)?.1;
    let holds = holds.as_ref().map(|types| types.join(","));
    let optional = |text: Option<&str>| text.map_or_else(String::new, |text| format!("={text}"));
    let (searched, holds) = (optional(searched.as_deref()), optional(holds.as_deref()));
    let until = until.to_string();
    let parts = [place, of, within, &searched, &holds, target, &until];
    // INVARIANT: what is opened has the parts that were sealed.
    if parts.iter().any(|part| part.contains('\n')) {
        return None;
    }
    let mut text = parts.join("\n").into_bytes();
    let (key, aad) = cipher(key, bound)?;
    key.seal_in_place_append_tag(nonce(), aad, &mut text).ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

/// Opens a link; `None` where it was not given to this caller in this role under this policy, or its time is over.
pub(super) fn open(key: &PageKey, bound: Bound<'_>, now: i64, segment: &str) -> Option<Sealed> {
    let mut sealed = URL_SAFE_NO_PAD.decode(segment).ok()?;
    let (key, aad) = cipher(key, bound)?;
    let text = std::str::from_utf8(key.open_in_place(nonce(), aad, &mut sealed).ok()?).ok()?;
    let mut parts = text.split('\n');
    let mut next = || parts.next();
    let (place, of, within, searched, holds, target, until) =
        (next()?, next()?, next()?, next()?, next()?, next()?, next()?);
    let until = until.parse().ok().filter(|until| now <= *until)?;
    Some(Sealed {
        place: Place::ALL.iter().find(|(_, name)| *name == place)?.0,
        of: of.into(),
        within: within.into(),
        searched: searched.strip_prefix('=').map(Box::from),
        holds: holds.strip_prefix('=').map(|types| types.split(',').map(Box::from).collect()),
        target: target.into(),
        until,
    })
}

/// The cipher, and what a link is bound to. How far its bearer reaches is told by the interaction that the link names, so
/// that is sealed in it and not bound to it.
fn cipher(key: &PageKey, bound: Bound<'_>) -> Option<(LessSafeKey, Aad<Vec<u8>>)> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    mac.update(b"fieldgate sealed link");
    let key = UnboundKey::new(&AES_256_GCM_SIV, &mac.finalize().into_bytes()).ok()?;
    Some((LessSafeKey::new(key), Aad::from(joined(Bound { within: "", ..bound }.parts()))))
}

/// Always the same: AES-GCM-SIV (RFC 8452) then tells of two links only whether they are one.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound<'_> =
        Bound { endpoint: "ehr", caller: "idp|ada", role: "front-desk", within: "", generation: "g1" };
    const NOW: i64 = 1_800_000_000;

    fn link() -> Sealed {
        Sealed {
            place: Place::File,
            of: "/Group/1/$export".into(),
            within: "canary scopes".into(),
            searched: None,
            holds: Some(vec!["Patient".into(), "Observation".into()]),
            target: "/files/canary?signature=canary".into(),
            until: NOW,
        }
    }

    #[test]
    fn l18_a_sealed_link_opens_for_its_caller_in_its_role_under_its_policy_until_its_time_is_over() {
        let key = PageKey::new([7; 32]);
        let links = [
            link(),
            Sealed { holds: None, place: Place::Page, searched: Some("*".into()), ..link() },
            Sealed { holds: Some(Vec::new()), within: "".into(), ..link() },
        ];
        for mut link in links {
            let segment = seal(&key, BOUND, &link).unwrap();
            // Nothing is seen where no type is named, or the one without a name.
            link.holds = link.holds.map(|types| if types.is_empty() { vec!["".into()] } else { types });
            assert_eq!(open(&key, BOUND, NOW, &segment).as_ref(), Some(&link));
            assert_eq!(open(&key, Bound { within: "x", ..BOUND }, NOW, &segment), Some(link));
            for other in [
                Bound { endpoint: "other", ..BOUND },
                Bound { caller: "idp|eve", ..BOUND },
                Bound { role: "clinician", ..BOUND },
                Bound { generation: "g2", ..BOUND },
            ] {
                assert_eq!(open(&key, other, NOW, &segment), None, "{other:?}");
            }
            assert_eq!(open(&PageKey::new([8; 32]), BOUND, NOW, &segment), None);
            assert_eq!(open(&key, BOUND, NOW + 1, &segment), None, "its time is over");
        }
    }

    #[test]
    fn l08_a_sealed_link_tells_nothing_and_takes_no_change() {
        let key = PageKey::new([7; 32]);
        let segment = seal(&key, BOUND, &link()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&segment).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"canary"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, BOUND, NOW, &URL_SAFE_NO_PAD.encode(changed)), None, "byte {at}");
        }
        for wrong in ["", "AAAA", "=", segment.split_at(segment.len() - 2).0] {
            assert_eq!(open(&key, BOUND, NOW, wrong), None, "{wrong}");
        }
    }
}
