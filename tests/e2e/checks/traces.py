"""What is left behind: bodies, headers, logs, metrics and the audit trail, after all the other checks."""

import json
import re
import shutil

from stage import planted
from stage.processes import run
from stage.report import Skipped, check

RESTRICTED = ("front-desk", "registrar", "analyst", "visitor")


@check("traces: no canary in any body or header that a restricted role got")
def bodies_and_headers(stage):
    heard = [one for one in stage.hears if one.role in RESTRICTED]
    assert len(heard) > 50, f"only {len(heard)} answers were heard"
    for one in heard:
        found = [element for element in stage.canaries.found_in(one.text) if not allowed(one, element)]
        assert not found, f"{one.role}, {one.what}: {found}"
    whole = "".join(one.text for one in stage.hears if one.role == "clinician")
    missing = {"Patient.text", "Patient.identifier", "Appointment.comment", "Observation.note"} - set(stage.canaries.found_in(whole))
    assert not missing, f"the clinician should have seen {missing}: the search for canaries finds nothing"


def allowed(one, element: str) -> bool:
    """The analyst's view shows an observation's value and a condition's code as they are."""
    shown = {"analyst": {"Observation.value of a laboratory result"}, "registrar": set(), "front-desk": set(), "visitor": set()}
    return element in shown[one.role]


@check("traces: no canary, token or query value in any log line")
def logs(stage):
    text = stage.gateway.log_text()
    clean(stage, text, "the log")


@check("traces: no canary, token or query value in the metrics")
def metrics_hold_no_values(stage):
    status, text = stage.gateway.admin("metrics")
    assert status == 200
    clean(stage, text, "the metrics page")
    for value in (planted.PATIENT, stage.upstream_base, "/fhir/"):
        assert value not in text, f"{value} is on the metrics page"


@check("traces: no canary, token or query value in any audit record")
def audit_holds_no_values(stage):
    text = stage.gateway.audit_text()
    assert text.count("\n") > 100, f"only {text.count(chr(10))} records"
    clean(stage, text, "the audit trail")


def clean(stage, text: str, where: str) -> None:
    found = stage.canaries.found_in(text)
    assert not found, f"in {where}: {found}"
    for token in stage.tokens:
        for part in token.split("."):
            assert len(part) < 16 or part not in text, f"a part of a token is in {where}"
    asked = [value for value in stage.asked if value in text]
    assert not asked, f"a value of a query is in {where}"


@check("traces: the audit trail verifies, and a changed record is found")
def audit_verifies(stage):
    done = stage.gateway.command("audit", "verify", str(stage.gateway.audit_directory))
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    forged = stage.folder / "forged-audit"
    shutil.copytree(stage.gateway.audit_directory, forged)
    file = sorted(forged.glob("*.jsonl"))[0]
    lines = file.read_text().split("\n")
    victim = next(number for number, line in enumerate(lines) if '"role":"clinician"' in line)
    lines[victim] = lines[victim].replace('"role":"clinician"', '"role":"front-desk"')
    file.write_text("\n".join(lines))
    done = stage.gateway.command("audit", "verify", str(forged))
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, f"exit {done.returncode}: {said}"
    assert str(json.loads(lines[victim])["seq"]) in said or file.name in said, f"the bad record isn't named: {said}"


@check("traces: audit patient tells who saw the patient, as what, and which elements")
def audit_patient(stage):
    done = stage.gateway.command("audit", "patient", str(stage.gateway.audit_directory), planted.PATIENT, "--json")
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    rows = [line for line in lines if "report" not in line]
    roles = {row["asked"].get("role") for row in rows}
    assert {"front-desk", "registrar", "analyst", "clinician"} <= roles, f"roles: {sorted(map(str, roles))}"
    assert stage.issuer.url in done.stdout.decode(), "no caller is named by its issuer"
    reads = [row for row in rows if row["asked"]["interaction"] == "read" and row.get("answered", {}).get("status") == 200
             and row["asked"]["resource_type"] == "Patient"]
    for role, seen in (("front-desk", False), ("clinician", True)):
        one = next(row for row in reads if row["asked"]["role"] == role)["answered"]
        assert ("identifier" in one["released"]["Patient"]) == seen, f"{role}: {one['released']}"
        assert ("identifier" in one.get("withheld", {}).get("Patient", {})) != seen, f"{role}: {one.get('withheld')}"
    table = stage.gateway.command("audit", "patient", str(stage.gateway.audit_directory), planted.PATIENT)
    assert table.returncode == 0 and b"clinician" in table.stdout, table.stdout[:300]
    nobody = stage.gateway.command("audit", "patient", str(stage.gateway.audit_directory), "nobody-has-this-id", "--json")
    assert all("report" in json.loads(line) for line in nobody.stdout.decode().splitlines()), nobody.stdout[:300]


METRICS = [
    "fieldgate_http_request_duration_seconds", "fieldgate_http_requests_in_flight", "fieldgate_upstream_request_duration_seconds",
    "fieldgate_redaction_seconds", "fieldgate_elements_total", "fieldgate_body_bytes_total", "fieldgate_refused_total",
    "fieldgate_held_bytes", "fieldgate_policy_generation_info", "fieldgate_certificate_expiry_timestamp_seconds",
    "fieldgate_audit_records_total", "fieldgate_audit_lag_seconds",
]
SAMPLE = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\\n]|\\.)*",?)*\})? (NaN|[+-]?Inf|[-+0-9.eE]+)$')


@check("traces: the metrics page has what the contract names, in Prometheus' form")
def metrics_page(stage):
    _, text = stage.gateway.admin("metrics")
    for line in text.splitlines():
        assert not line or line.startswith("#") or SAMPLE.match(line), f"not a sample: {line[:200]}"
    told = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    missing = [name for name in METRICS if name not in told]
    assert not missing, f"missing: {missing}"
    assert re.search(r'^fieldgate_elements_total\{[^}]*resource="Patient"[^}]*\} [1-9]', text, re.MULTILINE), "no element is counted"
    assert len(text.splitlines()) < 5000, "there are too many series"


@check("traces: promtool finds nothing wrong with the metrics page")
def promtool(stage):
    if shutil.which("promtool") is None:
        raise Skipped("promtool isn't installed")
    done = run(["promtool", "check", "metrics"], 30, stage.gateway.admin("metrics")[1].encode())
    assert done.returncode == 0 and not done.stderr, (done.stdout + done.stderr).decode()


@check("traces: the gateway wrote no panic")
def no_panic(stage):
    assert "panicked" not in stage.gateway.log_text(), "there is a panic in the log"
