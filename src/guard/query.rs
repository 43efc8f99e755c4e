//! The one reading of a query or a form (`application/x-www-form-urlencoded`).
//!
//! What two servers could read differently is refused, and what goes upstream is written anew from what was read. No
//! error holds a name or a value.

use percent_encoding::percent_decode;
use url::form_urlencoded;

/// The most parameters of one request.
const MOST: usize = 128;

/// A parameter's name and value, decoded.
pub(super) type Parameter = (String, String);

/// Why a query or a form has no one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("the query has a '%' that is not followed by two hexadecimal digits")]
    Encoding,
    /// Not UTF-8, or control characters.
    #[error("the query has a control character or is not UTF-8 once decoded")]
    NotText,
    /// A `;`, which some servers take for an `&`.
    #[error("the query has a ';' that servers read in different ways: write %3B")]
    Ambiguous,
    /// More parameters than anyone needs.
    #[error("the query has more than {MOST} parameters")]
    TooMany,
}

/// The parameters in their order. Empty parts, as in `a=1&&b=2`, say nothing.
pub(super) fn read(raw: &[u8]) -> Result<Vec<Parameter>, QueryError> {
    let mut parameters = Vec::new();
    for part in raw.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        if part.contains(&b';') {
            return Err(QueryError::Ambiguous);
        }
        if parameters.len() == MOST {
            return Err(QueryError::TooMany);
        }
        let (name, value) = match part.iter().position(|byte| *byte == b'=') {
            Some(at) => (part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default()),
            None => (part, &[][..]),
        };
        parameters.push((decoded(name)?, decoded(value)?));
    }
    Ok(parameters)
}

/// The parameters as a query or form; `None` where there are none.
pub(super) fn write<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Option<String> {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        serializer.append_pair(name, value);
    }
    Some(serializer.finish()).filter(|query| !query.is_empty())
}

fn decoded(raw: &[u8]) -> Result<String, QueryError> {
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        let hexadecimal = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hexadecimal(rest.next()) && hexadecimal(rest.next())) {
            return Err(QueryError::Encoding);
        }
    }
    let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| QueryError::NotText)?;
    if text.chars().any(char::is_control) { Err(QueryError::NotText) } else { Ok(text.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_what_was_read() {
        for raw in ["name=Ada+L%C3%B6vel&_count=2&x", "a=1&&b=%26%3D%2B", "code=http://loinc.org|1234-5"] {
            let parameters = read(raw.as_bytes()).unwrap();
            let written = write(&parameters).unwrap();
            assert_eq!(read(written.as_bytes()).unwrap(), parameters, "{raw}");
        }
        assert_eq!(write(&read(b"&").unwrap()), None);
    }

    #[test]
    fn l32_a_query_with_more_than_one_reading_is_refused() {
        assert_eq!(read(b"a=%"), Err(QueryError::Encoding));
        assert_eq!(read(b"a=%4"), Err(QueryError::Encoding));
        assert_eq!(read(b"%zz=1"), Err(QueryError::Encoding));
        assert_eq!(read(b"a=%ff"), Err(QueryError::NotText));
        assert_eq!(read(b"a=%00"), Err(QueryError::NotText));
        assert_eq!(read(b"a=1;b=2"), Err(QueryError::Ambiguous));
        assert_eq!(read("a&".repeat(MOST + 1).as_bytes()), Err(QueryError::TooMany));
    }
}
