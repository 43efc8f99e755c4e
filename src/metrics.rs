//! What the gateway counts and measures, as Prometheus text.
//!
//! Each figure has a typed handle, so that its labels cannot be mixed up. A label holds a name of the configuration, a
//! word of the gateway's own or a status, and never a path, an id, a caller or anything else that a request brings.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// The media type of [`Metrics::render`].
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Upper bounds in seconds: from what a cached read takes to what a bulk search does.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Upper bounds in seconds of the processor's time for one body.
const REDACTIONS: [f64; 11] = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 2.5];

/// The figures of one gateway process. Generations of configuration share one.
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    in_flight: IntGauge,
    upstream: HistogramVec,
    redaction: HistogramVec,
    elements: IntCounterVec,
    body_bytes: IntCounterVec,
    failed_closed: IntCounterVec,
    refused: IntCounterVec,
    held_bytes: IntGauge,
    generation: IntGaugeVec,
    reload_failures: IntCounter,
    certificate_expiry: GaugeVec,
    audit_records: IntCounter,
    audit_lag: Gauge,
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the upstream, as it was encoded.
    Received,
    /// To the caller.
    Sent,
}

/// What happened to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treated {
    /// Shown as it was.
    Shown,
    /// Withheld.
    Hidden,
    /// Shown as a transform made it.
    Transformed,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The endpoint's name; empty where the path leads to none.
    pub endpoint: &'a str,
    /// The role's name; empty where it was not decided.
    pub role: &'a str,
    /// The interaction's code; empty where it was not decided.
    pub interaction: &'a str,
    /// The status that the caller got.
    pub status: u16,
    /// From the request's head to the answer's end.
    pub duration: Duration,
}

/// Counts a request as in flight until it is dropped.
#[must_use = "a request is in flight as long as this lives"]
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The figures could not be set up, or not be written as text.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be used")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Every figure at nothing, with those of the process.
    ///
    /// # Errors
    /// Where a name is invalid or stands twice; a test holds this off.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let durations = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let vec = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone())).map(|()| vec)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let requests = durations(
            "fieldgate_http_request_duration_seconds",
            "From the head of a request to the end of its answer.",
            &DURATIONS,
            &["endpoint", "role", "interaction", "status"],
        )?;
        let in_flight = gauge("fieldgate_http_requests_in_flight", "Requests whose answer has not ended.")?;
        let upstream = durations(
            "fieldgate_upstream_request_duration_seconds",
            "From the request to an upstream to the head of its response; status 0 where none came.",
            &DURATIONS,
            &["endpoint", "status"],
        )?;
        let redaction = durations(
            "fieldgate_redaction_seconds",
            "Time spent on decoding and redacting one body.",
            &REDACTIONS,
            &["endpoint"],
        )?;
        let elements = counters(
            "fieldgate_elements_total",
            "Elements by what happened to them: show, hide, transform.",
            &["role", "resource", "treatment"],
        )?;
        let body_bytes = counters(
            "fieldgate_body_bytes_total",
            "Bytes of bodies: received from upstreams, sent to callers.",
            &["endpoint", "direction"],
        )?;
        let failed_closed = counters(
            "fieldgate_failed_closed_total",
            "Answers that were ended since they could not be filtered with certainty.",
            &["reason"],
        )?;
        let refused = counters("fieldgate_refused_total", "Requests that were refused.", &["reason"])?;
        let held_bytes = gauge("fieldgate_held_bytes", "Bytes that are held until it is decided what they are.")?;
        let generation = IntGaugeVec::new(
            Opts::new("fieldgate_policy_generation_info", "The policy that decides new requests; always 1."),
            &["generation"],
        )?;
        registry.register(Box::new(generation.clone()))?;
        let reload_failures =
            counter("fieldgate_reload_failures_total", "Configurations that were not taken when reloading.")?;
        let certificate_expiry = GaugeVec::new(
            Opts::new("fieldgate_certificate_expiry_timestamp_seconds", "When a certificate expires."),
            &["name"],
        )?;
        registry.register(Box::new(certificate_expiry.clone()))?;
        let audit_records = counter("fieldgate_audit_records_total", "Audit records that are durable.")?;
        let audit_lag = Gauge::new("fieldgate_audit_lag_seconds", "Age of the oldest audit record not yet durable.")?;
        registry.register(Box::new(audit_lag.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            registry,
            requests,
            in_flight,
            upstream,
            redaction,
            elements,
            body_bytes,
            failed_closed,
            refused,
            held_bytes,
            generation,
            reload_failures,
            certificate_expiry,
            audit_records,
            audit_lag,
        })
    }

    /// A request has ended.
    pub fn request(&self, request: Request<'_>) {
        let Request { endpoint, role, interaction, status, duration } = request;
        let labels = [endpoint, role, interaction, &*code(status)];
        self.requests.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// A request has come. It is in flight as long as what this answers lives.
    pub fn in_flight(self: &Arc<Self>) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// An upstream has answered with this status, or not at all.
    pub fn upstream(&self, endpoint: &str, status: Option<u16>, duration: Duration) {
        let labels = [endpoint, &*code(status.unwrap_or(0))];
        self.upstream.with_label_values(&labels).observe(duration.as_secs_f64());
    }

    /// A body has been decoded and redacted, for so long.
    pub fn redaction(&self, endpoint: &str, duration: Duration) {
        self.redaction.with_label_values(&[endpoint]).observe(duration.as_secs_f64());
    }

    /// So many elements of a resource type, a data type or a document were treated in this way.
    pub fn elements(&self, role: &str, resource: &str, treated: Treated, count: u64) {
        if count > 0 {
            let treatment = match treated {
                Treated::Shown => "show",
                Treated::Hidden => "hide",
                Treated::Transformed => "transform",
            };
            self.elements.with_label_values(&[role, resource, treatment]).inc_by(count);
        }
    }

    /// So many bytes of a body went this way.
    pub fn body_bytes(&self, endpoint: &str, direction: Direction, bytes: u64) {
        let direction = match direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        self.body_bytes.with_label_values(&[endpoint, direction]).inc_by(bytes);
    }

    /// An answer was ended for this reason.
    pub fn failed_closed(&self, reason: &'static str) {
        self.failed_closed.with_label_values(&[reason]).inc();
    }

    /// A request was refused for this reason.
    pub fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// So many bytes are held in all.
    pub fn held_bytes(&self, bytes: usize) {
        self.held_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// This policy decides new requests from now on.
    pub fn policy_generation(&self, generation: &str) {
        self.generation.reset();
        self.generation.with_label_values(&[generation]).set(1);
    }

    /// A configuration was not taken.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    /// A certificate of this name in the configuration expires at this time, in seconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact in a double")]
    pub fn certificate_expiry(&self, name: &str, seconds: i64) {
        self.certificate_expiry.with_label_values(&[name]).set(seconds as f64);
    }

    /// So many audit records are durable in all, and the oldest that is not has waited for so long.
    pub fn audit(&self, written: u64, lag: Duration) {
        self.audit_records.inc_by(written.saturating_sub(self.audit_records.get()));
        self.audit_lag.set(lag.as_secs_f64());
    }

    /// All figures in the text format of Prometheus, [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// Where a figure has no text form.
    pub fn render(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// The label of a status. An upstream may send any number from 100 to 999; those that HTTP has not are one label a class.
fn code(status: u16) -> std::borrow::Cow<'static, str> {
    match http::StatusCode::from_u16(status) {
        Ok(known) if known.canonical_reason().is_some() => known.as_str().to_owned().into(),
        Ok(unknown) => format!("{}xx", unknown.as_u16() / 100).into(),
        Err(_) => "0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_under_the_names_of_the_contract() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let in_flight = metrics.in_flight();
        metrics.request(Request {
            endpoint: "ehr",
            role: "front-desk",
            interaction: "read",
            status: 200,
            duration: Duration::from_millis(3),
        });
        metrics.upstream("ehr", None, Duration::from_millis(2));
        metrics.redaction("ehr", Duration::from_micros(7));
        metrics.elements("front-desk", "Patient", Treated::Hidden, 4);
        metrics.elements("front-desk", "Patient", Treated::Shown, 0);
        metrics.body_bytes("ehr", Direction::Sent, 11);
        metrics.failed_closed("syntax");
        metrics.refused("role");
        metrics.held_bytes(5);
        metrics.policy_generation("one");
        metrics.policy_generation("two");
        metrics.reload_failed();
        metrics.certificate_expiry("listen", 1_900_000_000);
        metrics.audit(3, Duration::from_millis(500));
        metrics.audit(3, Duration::ZERO);
        let text = metrics.render().unwrap();
        for line in [
            r#"fieldgate_http_request_duration_seconds_count{endpoint="ehr",interaction="read",role="front-desk",status="200"} 1"#,
            "fieldgate_http_requests_in_flight 1",
            r#"fieldgate_upstream_request_duration_seconds_count{endpoint="ehr",status="0"} 1"#,
            r#"fieldgate_redaction_seconds_count{endpoint="ehr"} 1"#,
            r#"fieldgate_elements_total{resource="Patient",role="front-desk",treatment="hide"} 4"#,
            r#"fieldgate_body_bytes_total{direction="sent",endpoint="ehr"} 11"#,
            r#"fieldgate_failed_closed_total{reason="syntax"} 1"#,
            r#"fieldgate_refused_total{reason="role"} 1"#,
            "fieldgate_held_bytes 5",
            r#"fieldgate_policy_generation_info{generation="two"} 1"#,
            "fieldgate_reload_failures_total 1",
            r#"fieldgate_certificate_expiry_timestamp_seconds{name="listen"} 1900000000"#,
            "fieldgate_audit_records_total 3",
            "fieldgate_audit_lag_seconds 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains(r#"generation="one""#));
        assert!(!text.contains(r#"treatment="show""#), "what never happened is not told");
        drop(in_flight);
        assert!(metrics.render().unwrap().contains("fieldgate_http_requests_in_flight 0"));
        if cfg!(target_os = "linux") {
            assert!(text.contains("process_resident_memory_bytes"));
        }
    }

    #[test]
    fn a_status_that_http_does_not_have_is_a_label_of_its_class() {
        assert_eq!([code(200), code(499), code(999), code(0)], ["200", "4xx", "9xx", "0"]);
    }
}
