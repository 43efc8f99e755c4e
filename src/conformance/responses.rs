//! Reads the responses on one connection, however many there are, as leniently as can be.
//!
//! What comes back from a message with two readings may itself be anything; what can't be taken apart is one answer.

use super::client::Answer;

/// The responses in what was read.
pub(super) fn responses(read: &[u8]) -> Vec<Answer> {
    let (mut found, mut rest) = (Vec::new(), read);
    while let Some((answer, after)) = response(rest) {
        found.push(answer);
        rest = after;
    }
    if !rest.is_empty() {
        found.push(Answer { body: rest.to_vec(), length: rest.len(), ..Answer::default() });
    }
    found
}

fn response(read: &[u8]) -> Option<(Answer, &[u8])> {
    let end = memchr::memmem::find(read, b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(read.get(..end)?).ok()?, read.get(end + 4..)?);
    let mut lines = head.lines();
    let mut status = lines.next()?.strip_prefix("HTTP/1.")?.splitn(3, ' ');
    let status_code: u16 = status.nth(1)?.parse().ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().as_bytes().to_vec()))
    };
    let mut answer = Answer {
        status: status_code,
        reason: status.next().unwrap_or_default().to_owned(),
        headers: lines.filter_map(field).collect(),
        ..Answer::default()
    };
    let (content, after) = if answer.header("transfer-encoding").is_some() {
        chunks(body)
    } else {
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(body.len());
        let length = length.min(body.len());
        (body.get(..length)?.to_vec(), body.get(length..)?)
    };
    answer.length = content.len();
    answer.body = content;
    Some((answer, after))
}

/// The content of chunks (RFC 9112, section 7.1) and what follows them; what is no chunk is taken as it is.
fn chunks(body: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut content, mut rest) = (Vec::new(), body);
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let size = rest.get(..end).and_then(|line| std::str::from_utf8(line).ok());
        let size = size.and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok());
        let Some(size) = size else { break };
        let start = end + 2;
        let stop = start.saturating_add(size);
        let Some(chunk) = rest.get(start..stop) else { break };
        content.extend_from_slice(chunk);
        rest = rest.get(stop + 2..).unwrap_or_default();
        if size == 0 {
            return (content, rest);
        }
    }
    content.extend_from_slice(rest);
    (content, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_one_after_another_are_taken_apart() {
        let read = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 404 Gone Away\r\ntransfer-encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\nrest";
        let found = responses(read);
        let bodies: Vec<_> = found.iter().map(|answer| (answer.status, answer.body.as_slice())).collect();
        assert_eq!(bodies, [(200, b"{}".as_slice()), (404, b"abc"), (0, b"rest")]);
        assert_eq!((found[1].reason.as_str(), found[1].header("x")), ("Gone Away", Some("y")));
    }

    #[test]
    fn what_is_no_response_is_kept_whole() {
        for text in [&b"junk"[..], b"HTTP/1.1 x\r\n\r\n", b"\xff\r\n\r\n"] {
            assert_eq!(responses(text).len(), 1);
        }
        assert!(responses(b"").is_empty());
    }
}
