"""The whole stage: upstream, issuer and gateway, started for one run and stopped after it."""

import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from stage import pki, planted
from stage.exchange import Answer, Caller, Heard, Issuer, exchange
from stage.gateway import Gateway
from stage.processes import Process, run

HERE = Path(__file__).resolve().parents[1]
AUDIENCE = "https://fieldgate.example/fhir"
OTHER_AUDIENCE = "https://elsewhere.example/fhir"
ROLES = ["front-desk", "registrar", "analyst", "clinician"]
PART_SECONDS = 60



@dataclass
class Stage:
    """Everything that a check may use."""

    folder: Path
    large: bool
    pki: pki.Pki
    canaries: planted.Canaries
    hears: list[Heard] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    # Values that callers sent in queries, for the search for leaks.
    asked: list[str] = field(default_factory=list)
    synthetic: list[Path] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    upstream: Process | None = None
    upstream_base: str = ""
    issuer: Issuer | None = None
    gateway: Gateway | None = None

    def caller(self, role: str) -> Caller:
        """Somebody with a new token of this role."""
        return Caller(role, self.gateway.base, self.pki, self.keep(self.issuer.token(role)), hears=self.hears)

    def keep(self, token: str) -> str:
        """Notes a token, for the search for leaks."""
        self.tokens.append(token)
        return token

    def direct(self, path: str) -> Answer:
        """What the upstream itself answers; `path` is one below its base, or an absolute one."""
        origin = self.upstream_base.split("/fhir")[0]
        url = f"{origin}{path}" if path.startswith("/") else f"{self.upstream_base}/{path}"
        return exchange("GET", url, self.pki, headers={"Accept": "application/fhir+json"})

    def asked_upstream(self) -> list[dict]:
        """The requests that reached the upstream, in order: method, url, headers."""
        return json.loads(exchange("GET", f"{self.upstream_base.split('/fhir')[0]}/control/seen", self.pki).body)

    def node(self, script: str, stdin: object, seconds: float = 60):
        """Runs a script of parts/ to its end and returns what it prints, read as JSON."""
        done = run(["node", "--no-warnings", str(HERE / "parts" / script)], seconds, json.dumps(stdin).encode(),
                   env={**os.environ, "NODE_EXTRA_CA_CERTS": str(self.pki.ca.pem)})
        if done.returncode != 0:
            raise RuntimeError(f"{script}: {done.stderr.decode()[-1500:]}")
        return json.loads(done.stdout)

    def start_part(self, script: str, options: dict) -> tuple[Process, dict]:
        command = ["node", "--experimental-websocket", "--no-warnings", str(HERE / "parts" / script), json.dumps(options)]
        process = Process(script, command, self.folder / f"{script}.log", answers=True)
        self.processes.append(process)
        return process, json.loads(process.first_line(PART_SECONDS))

    def stop(self) -> None:
        for process in reversed([*self.processes, *([self.gateway.process] if self.gateway and self.gateway.process else [])]):
            process.stop()


def synthesize(folder: Path, patients: int) -> list[Path]:
    """Synthetic patients as transaction Bundles."""
    command = [str(Path(sys.executable).parent / "synthea"), "generate", "-p", str(patients), "-s", "12345", "-r", "20260101", "-o", str(folder)]
    done = run(command, seconds=120)
    files = sorted((folder / "fhir").glob("*.json"))
    if done.returncode != 0 or not files:
        raise RuntimeError(f"synthea makes nothing: {done.stderr.decode()[-1000:]}")
    return files


def set_up(stage: Stage) -> None:
    stage.synthetic = synthesize(stage.folder / "synthea", 3)
    canary_file = stage.folder / "planted.json"
    canary_file.write_text(json.dumps(planted.bundle(stage.canaries)))
    server = {"key": str(stage.pki.server.key), "certificate": str(stage.pki.server.pem)}
    stage.upstream, told = stage.start_part("upstream.mjs", {
        **server, "load": [str(canary_file), *map(str, stage.synthetic)],
        "leakyHeader": stage.canaries.new("header of the upstream"), "leakyText": stage.canaries.new("text of an upstream's error")})
    stage.upstream_base = f"https://127.0.0.1:{told['port']}/fhir/R4"

    passwords = {role: secrets.token_urlsafe(32) for role in [*ROLES, "visitor"]}
    clients = [{"id": role, "secret": password, "groups": [role]} for role, password in passwords.items()]
    clients.append({"id": "ward", "subject": stage.pki.WARD_SUBJECT, "groups": ["clinician"]})
    _, told = stage.start_part("issuer.mjs", {
        **server, "ca": str(stage.pki.ca.pem), "audience": AUDIENCE, "otherAudience": OTHER_AUDIENCE, "clients": clients})
    stage.issuer = Issuer(told["issuer"], stage.pki, passwords)

    policy = (HERE / "policy.yaml").read_text()
    stage.gateway = Gateway(stage.folder / "gateway", stage.pki, policy, stage.upstream_base, stage.issuer.url, AUDIENCE, ROLES)
