//! `fieldgate ready`: asks a running gateway's admin listener whether it is ready, for health checks.
//!
//! It must never call a gateway ready that has not said so in full, and never print what it has not checked: whatever
//! listens at the address may not be fieldgate.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;

use super::terminal::complain;

/// From the first packet to the last: shorter than any health check waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer that is read, in bytes; the real one has about a hundred.
const MOST_BYTES: usize = 8 * 1024;
/// The longest reason that is printed, in bytes.
const LONGEST_REASON: usize = 32;

/// Ask a running gateway whether it is ready to serve
///
/// Exit code 0 if it is; 1 if it is not, with the reasons, or if it cannot be asked. The reasons: "starting"; "draining",
/// it is about to stop; "audit", records do not reach the disk, so that requests are refused.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate ready
  fieldgate ready --admin 127.0.0.1:9191 && echo in service")]
pub(super) struct Ready {
    /// The address of the gateway's admin listener: admin.address in its gateway file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
}

impl Ready {
    /// Asks, and prints what is said.
    pub(super) fn run(self) -> ExitCode {
        match ask(self.admin, Instant::now() + PATIENCE) {
            Ok(()) => {
                // The exit code says it too; where stdout is closed there is nobody to tell.
                let _ = writeln!(io::stdout(), "ready");
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        }
    }
}

/// Why a gateway does not count as ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("nothing answers at {admin}: check that the gateway runs and that its admin.address is this")]
    Unreachable {
        admin: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{admin} did not answer in time: check that it is fieldgate's admin listener")]
    Silent { admin: SocketAddr },
    #[error("what answers at {admin} is not fieldgate's admin listener: check admin.address in the gateway file")]
    Foreign { admin: SocketAddr },
    #[error("not ready: {}", reasons.join(", "))]
    Reasons { reasons: Vec<String> },
}

/// What `/readyz` answers with.
#[derive(Deserialize)]
struct Readyz {
    ready: bool,
    not_ready: Vec<String>,
}

fn ask(admin: SocketAddr, deadline: Instant) -> Result<(), NotReady> {
    let answer = exchange(admin, deadline).map_err(|source| match source.kind() {
        // A socket's time-out is told as either of the two, by system.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => NotReady::Silent { admin },
        _ => NotReady::Unreachable { admin, source },
    })?;
    match read(&answer) {
        Some(reasons) if reasons.is_empty() => Ok(()),
        Some(reasons) => Err(NotReady::Reasons { reasons }),
        None => Err(NotReady::Foreign { admin }),
    }
}

/// One request, and all that comes back until the connection ends or there is too much of it.
fn exchange(admin: SocketAddr, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&admin, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request =
        format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while answer.len() <= MOST_BYTES {
        // Set anew each time: whoever sends a byte now and then must not hold this up for ever.
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// The time that is left, which is never none: a socket takes that for an error or for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// The reasons against readiness; none where this is no whole answer of `/readyz`, status and body of one mind.
fn read(answer: &[u8]) -> Option<Vec<String>> {
    if answer.len() > MOST_BYTES {
        return None;
    }
    let (head, body) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    let status = rest.split([' ', '\r']).next()?;
    let Readyz { ready, not_ready } = serde_json::from_str(body).ok()?;
    match (version, status, ready) {
        ("HTTP/1.1", "200", true) if not_ready.is_empty() => Some(Vec::new()),
        ("HTTP/1.1", "503", false) if !not_ready.is_empty() && not_ready.iter().all(|reason| is_word(reason)) => {
            Some(not_ready)
        }
        _ => None,
    }
}

/// Whether this can be printed on a terminal without a second thought.
fn is_word(reason: &str) -> bool {
    (1..=LONGEST_REASON).contains(&reason.len()) && reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::thread;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        ready: Ready,
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// Asks a listener that reads the request's head and sends this; answers with that head too.
    fn asked(answer: Vec<u8>) -> (Result<(), NotReady>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            // Whoever has heard too much hangs up before the end.
            let _ = stream.write_all(&answer);
            String::from_utf8(request).unwrap()
        });
        let result = ask(admin, soon());
        (result, server.join().unwrap())
    }

    fn http(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }

    const READY: &str = "{\"ready\":true,\"not_ready\":[]}\n";

    #[test]
    fn a_gateway_that_says_so_is_ready() {
        let (result, request) = asked(http("200 OK", READY));
        result.unwrap();
        assert!(request.starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
    }

    #[test]
    fn a_gateway_that_is_not_ready_says_what_is_not() {
        let (result, _) =
            asked(http("503 Service Unavailable", "{\"ready\":false,\"not_ready\":[\"draining\",\"audit\"]}\n"));
        assert_eq!(result.unwrap_err().to_string(), "not ready: draining, audit");
    }

    #[test]
    fn whatever_is_not_a_whole_answer_of_one_mind_is_not_ready() {
        let whole = http("200 OK", READY);
        for answer in [
            Vec::new(),
            whole[..whole.len() - 2].to_vec(),
            whole[..40].to_vec(),
            http("200 OK", "ok\n"),
            http("200 OK", "{\"ready\":false,\"not_ready\":[]}"),
            http("200 OK", "{\"ready\":true,\"not_ready\":[\"audit\"]}"),
            http("200 OK", "{\"ready\":true}"),
            http("204 No Content", READY),
            http("503 Service Unavailable", READY),
            http("503 Service Unavailable", "{\"ready\":false,\"not_ready\":[]}"),
            http("404 Not Found", "here are /metrics, /livez and /readyz\n"),
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
            b"\x15\x03\x01\x00\x02\x02\x46".to_vec(),
        ] {
            let (result, _) = asked(answer.clone());
            assert!(matches!(result, Err(NotReady::Foreign { .. })), "{}", answer.escape_ascii());
        }
    }

    #[test]
    fn nothing_that_could_steer_a_terminal_is_printed() {
        for reason in ["\\u001b[2J", "", "Audit", "a b", &"a".repeat(LONGEST_REASON + 1)] {
            let body = format!("{{\"ready\":false,\"not_ready\":[\"{reason}\"]}}");
            let (result, _) = asked(http("503 Service Unavailable", &body));
            assert!(matches!(result, Err(NotReady::Foreign { .. })), "{reason}");
        }
    }

    #[test]
    fn an_answer_without_end_is_not_read_to_it() {
        let (result, _) = asked(http("200 OK", &" ".repeat(1024 * 1024)));
        assert!(matches!(result, Err(NotReady::Foreign { .. })), "{result:?}");
    }

    #[test]
    fn a_listener_that_never_answers_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let result = ask(admin, Instant::now() + Duration::from_millis(50));
        assert!(matches!(result, Err(NotReady::Silent { .. })), "{result:?}");
        let result = ask(admin, Instant::now());
        assert!(matches!(result, Err(NotReady::Silent { .. })), "{result:?}");
    }

    #[test]
    fn where_nothing_listens_the_address_and_what_to_check_are_said() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        drop(listener);
        let refused = ask(admin, soon()).unwrap_err();
        assert!(
            matches!(&refused, NotReady::Unreachable { source, .. } if source.kind() == ErrorKind::ConnectionRefused)
        );
        assert!(refused.to_string().contains("admin.address"), "{refused}");
        assert_eq!(Ready { admin }.run(), ExitCode::FAILURE);
    }

    #[test]
    fn the_arguments_hold_together() {
        Line::command().debug_assert();
        assert_eq!(Line::try_parse_from(["ready"]).unwrap().ready.admin.to_string(), "127.0.0.1:9090");
        assert!(Line::try_parse_from(["ready", "--admin", "somewhere"]).is_err());
    }
}
