//! The one reading of a request's path: decoded once, made canonical, and sent upstream in that form.
//!
//! Two servers that read a path differently are how a request for one resource reaches another. So a path that has more
//! than one reading is refused, never repaired, and the decoded segments that the gateway matches are what the canonical
//! form is written from. Pure: no I/O.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What RFC 3986 does not let stand for itself in a path segment.
const NOT_PCHAR: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path with one reading: decoded segments, and the form in which it goes upstream.
///
/// Percent-encoding is used where RFC 3986, section 3.3 asks for it and nowhere else, so `/Patient/%24everything` and
/// `/Patient/$everything` are one path. A slash at the end is kept, since some APIs tell the two apart.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    segments: Vec<String>,
    canonical: String,
}

impl CanonicalPath {
    /// Reads the path of a request target, as it came and without its query.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        let Some(relative) = raw.strip_prefix('/') else { return Err(PathError::Relative) };
        let (relative, trailing_slash) = match relative.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (relative, false),
        };
        if relative.is_empty() {
            return if trailing_slash { Err(PathError::EmptySegment) } else { Ok(Self::of(Vec::new(), false)) };
        }
        let segments = relative.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(segments, trailing_slash))
    }

    // INVARIANT: `canonical` is a function of the decoded segments alone; nothing of the raw form gets through.
    fn of(segments: Vec<String>, trailing_slash: bool) -> Self {
        let mut canonical = String::new();
        for segment in &segments {
            canonical.push('/');
            canonical.extend(percent_encode(segment.as_bytes(), NOT_PCHAR));
        }
        if trailing_slash || segments.is_empty() {
            canonical.push('/');
        }
        Self { segments, canonical }
    }

    /// The decoded segments, without the empty one after a slash at the end.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The canonical form, which starts with a slash.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// What follows `prefix`, at a border between segments; `/` where nothing does.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        let rest = self.segments.strip_prefix(prefix.segments.as_slice())?;
        let trailing_slash = !rest.is_empty() && self.canonical.ends_with('/');
        Some(Self::of(rest.to_vec(), trailing_slash))
    }

    /// This path with `rest` after it; the root adds nothing.
    pub fn join(&self, rest: &Self) -> Self {
        let segments = self.segments.iter().chain(&rest.segments).cloned().collect();
        Self::of(segments, !rest.segments.is_empty() && rest.canonical.ends_with('/'))
    }
}

// A path may hold a patient's id, so it is not for logs.
impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalPath({} segments)", self.segments.len())
    }
}

/// Why a path is refused. Says what to change and never repeats the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not start with a slash.
    #[error("the path must start with '/'")]
    Relative,
    /// Two slashes follow each other.
    #[error("the path has an empty segment: write one '/' between segments")]
    EmptySegment,
    /// A segment is `.` or `..`, also when percent-encoded.
    #[error("the path has a '.' or '..' segment: write the path that it leads to")]
    DotSegment,
    /// A slash, a backslash, a semicolon or a percent sign, which servers read in different ways, also when encoded.
    #[error("the path has a '\\', ';' or encoded '/', '\\', ';' or '%', which servers read in different ways")]
    Ambiguous,
    /// A character that RFC 3986 does not allow in a path.
    #[error("the path has a character that must be percent-encoded (RFC 3986, section 3.3)")]
    Character,
    /// A control character or one outside ASCII, also when percent-encoded.
    #[error("the path has a control character or one outside ASCII")]
    NotPrintable,
    /// A percent sign without two hexadecimal digits after it.
    #[error("the path has a '%' that is not followed by two hexadecimal digits")]
    Encoding,
}

fn segment(raw: &str) -> Result<String, PathError> {
    if raw.is_empty() {
        return Err(PathError::EmptySegment);
    }
    let mut decoded = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let character = if byte == b'%' {
            let high = bytes.next().and_then(hexadecimal).ok_or(PathError::Encoding)?;
            let low = bytes.next().and_then(hexadecimal).ok_or(PathError::Encoding)?;
            high << 4 | low
        } else if is_pchar(byte) || !byte.is_ascii_graphic() || matches!(byte, b'\\' | b';') {
            byte
        } else {
            return Err(PathError::Character);
        };
        match character {
            b'/' | b'\\' | b';' | b'%' => return Err(PathError::Ambiguous),
            b' ' if byte == b' ' => return Err(PathError::Character),
            b' '..=b'~' => decoded.push(char::from(character)),
            _ => return Err(PathError::NotPrintable),
        }
    }
    if decoded == "." || decoded == ".." { Err(PathError::DotSegment) } else { Ok(decoded) }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986, section 3.3, without the percent sign.
fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(raw: &str) -> String {
        CanonicalPath::parse(raw).unwrap().as_str().to_owned()
    }

    fn refusal(raw: &str) -> PathError {
        CanonicalPath::parse(raw).unwrap_err()
    }

    #[test]
    fn l32_paths_that_servers_read_differently_are_refused() {
        for raw in ["/a/../b", "/..", "/.", "/a/.", "/a/%2e%2E/b", "/a/.%2e", "/%2E"] {
            assert_eq!(refusal(raw), PathError::DotSegment, "{raw}");
        }
        for raw in ["//", "//a", "/a//b", "/a//"] {
            assert_eq!(refusal(raw), PathError::EmptySegment, "{raw}");
        }
        for raw in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a;v=1", "/..;/a", "/a%3Bb", "/a%252e"] {
            assert_eq!(refusal(raw), PathError::Ambiguous, "{raw}");
        }
        for raw in ["/a%", "/a%2", "/a%zz", "/a%%20", "/%+1", "/%-1"] {
            assert_eq!(refusal(raw), PathError::Encoding, "{raw}");
        }
        for raw in ["/a\0", "/a%00", "/a%0d%0a", "/a%7f", "/é", "/%c3%a9", "/%c0%ae", "/a\tb"] {
            assert_eq!(refusal(raw), PathError::NotPrintable, "{raw}");
        }
        for raw in ["/a b", "/a\"b", "/a<b", "/a?b", "/a#b", "/a{b}", "/a|b", "/a^b", "/a`b", "/a[b]"] {
            assert_eq!(refusal(raw), PathError::Character, "{raw}");
        }
        for raw in ["", "a", "*", "http://upstream/a"] {
            assert_eq!(refusal(raw), PathError::Relative, "{raw}");
        }
    }

    #[test]
    fn equal_paths_have_one_canonical_form() {
        assert_eq!(canonical("/"), "/");
        assert_eq!(canonical("/Patient/1/$everything"), "/Patient/1/$everything");
        assert_eq!(canonical("/%50atient/1/%24everything"), "/Patient/1/$everything");
        assert_eq!(canonical("/a%20b/%7b%3f%23"), "/a%20b/%7B%3F%23");
        assert_eq!(canonical("/Patient/"), "/Patient/");
        assert_eq!(canonical("/..."), "/...");
    }

    #[test]
    fn a_prefix_ends_between_segments() {
        let path = |raw: &str| CanonicalPath::parse(raw).unwrap();
        let stripped =
            |raw: &str, prefix: &str| path(raw).strip_prefix(&path(prefix)).map(|rest| rest.as_str().to_owned());
        assert_eq!(stripped("/fhir/Patient/1", "/fhir").as_deref(), Some("/Patient/1"));
        assert_eq!(stripped("/fhir/Patient/", "/fhir/").as_deref(), Some("/Patient/"));
        assert_eq!(stripped("/fhir", "/fhir").as_deref(), Some("/"));
        assert_eq!(stripped("/fhir/", "/fhir").as_deref(), Some("/"));
        assert_eq!(stripped("/%66hir/Patient", "/fhir").as_deref(), Some("/Patient"));
        assert_eq!(stripped("/fhirs/Patient", "/fhir"), None);
        assert_eq!(stripped("/FHIR/Patient", "/fhir"), None);
        assert_eq!(stripped("/a", "/").as_deref(), Some("/a"));
    }

    #[test]
    fn joined_paths_keep_the_last_slash_and_no_other() {
        let path = |raw: &str| CanonicalPath::parse(raw).unwrap();
        assert_eq!(path("/api/").join(&path("/v1/")).as_str(), "/api/v1/");
        assert_eq!(path("/api").join(&path("/")).as_str(), "/api");
        assert_eq!(path("/").join(&path("/")).as_str(), "/");
    }

    proptest! {
        #[test]
        fn a_canonical_path_is_its_own_canonical_form(raw in "(/[a-zA-Z0-9$%.{} ;~-]{0,6}){1,4}") {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                prop_assert_eq!(CanonicalPath::parse(path.as_str()).unwrap(), path);
            }
        }
    }
}
