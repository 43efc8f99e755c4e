//! The same JSON laid out in another way, byte by byte: what isn't white space stays as it is written, so that `1.50` is
//! not made `1.5` on the way into a corpus. The text has been parsed before.

/// Calls back for each part of the text: a string with its quotes, or one byte that is neither in a string nor white space.
fn parts(text: &[u8], mut part: impl FnMut(&[u8])) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        match text[at] {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                part(&text[start..at]);
            }
            _ => {
                at += 1;
                part(&text[start..at]);
            }
        }
    }
}

/// Without white space.
pub fn minified(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    parts(text, |part| out.extend_from_slice(part));
    out
}

/// With a line for each member and item, indented by two spaces a level, as serde_json, jq and HAPI do it.
pub fn pretty(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut depth = 0;
    let mut opened = false;
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    parts(text, |part| {
        let closes = matches!(part, b"}" | b"]");
        if closes {
            depth -= 1;
        }
        if opened != closes {
            line(&mut out, depth);
        }
        out.extend_from_slice(part);
        opened = matches!(part, b"{" | b"[");
        match part {
            b"{" | b"[" => depth += 1,
            b"," => line(&mut out, depth),
            b":" => out.push(b' '),
            _ => {}
        }
    });
    out
}

/// The members whose strings people write.
const WRITTEN: [&[u8]; 9] = [
    b"\"family\"",
    b"\"given\"",
    b"\"prefix\"",
    b"\"text\"",
    b"\"display\"",
    b"\"div\"",
    b"\"line\"",
    b"\"city\"",
    b"\"valueString\"",
];

/// The first letters of Cyrillic, Greek, Devanagari, Han and Adlam: two, three and four bytes a letter.
const SCRIPTS: [u32; 5] = [0x430, 0x3b1, 0x905, 0x4e00, 0x1e922];

/// The minified text with what people write in other scripts, letter for letter: names, narratives and displays, each
/// string in the next script. Codes, tags and what is escaped stay as they are.
pub fn in_other_scripts(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut strings: Vec<Vec<u8>> = Vec::new();
    let (mut name, mut script) = (Vec::new(), 0);
    let mut flush = |strings: &mut Vec<Vec<u8>>, out: &mut Vec<u8>, name: &[u8]| {
        for string in strings.drain(..) {
            if WRITTEN.contains(&name) {
                script = (script + 1) % SCRIPTS.len();
                transliterate(&string, SCRIPTS[script], out);
            } else {
                out.extend_from_slice(&string);
            }
        }
    };
    parts(text, |part| match part {
        // Only what follows a string tells whether it was a name.
        [b'"', ..] => strings.push(part.to_vec()),
        b":" => {
            name = strings.pop().unwrap_or_default();
            flush(&mut strings, &mut out, b"");
            out.extend_from_slice(&name);
            out.push(b':');
        }
        _ => {
            flush(&mut strings, &mut out, &name);
            out.extend_from_slice(part);
        }
    });
    flush(&mut strings, &mut out, &name);
    out
}

fn transliterate(string: &[u8], first: u32, out: &mut Vec<u8>) {
    let (mut at, mut until) = (0, None);
    while at < string.len() {
        match (until, string[at]) {
            // The character after it may be any; the digits of `\u00e9` are kept from the letters.
            (_, b'\\') => {
                let end = (at + if string[at + 1] == b'u' { 6 } else { 2 }).min(string.len());
                out.extend_from_slice(&string[at..end]);
                at = end;
                continue;
            }
            (Some(end), byte) => {
                until = (byte != end).then_some(end);
                out.push(byte);
            }
            (None, b'<') => {
                until = Some(b'>');
                out.push(b'<');
            }
            (None, b'&') => {
                until = Some(b';');
                out.push(b'&');
            }
            (None, byte) if byte.is_ascii_alphabetic() => {
                let letter = u32::from(byte.to_ascii_lowercase() - b'a');
                let letter = char::from_u32(first + letter).unwrap_or('?');
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
}
