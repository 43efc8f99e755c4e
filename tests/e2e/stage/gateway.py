"""The gateway under test: its files, its process, and its other commands."""

import base64
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

from stage.pki import Pki
from stage.processes import Process, free_port, run

READY_SECONDS = 30


class Gateway:
    def __init__(self, folder: Path, pki: Pki, policy: str, upstream: str, issuer: str, audience: str, roles: list[str]):
        folder.mkdir()
        self.binary = os.environ["FIELDGATE_BIN"]
        self.folder = folder
        self.policy = folder / "policy.yaml"
        self.config = folder / "gateway.yaml"
        self.log = folder / "gateway.log"
        self.secrets = folder / "secrets.yaml"
        self.audit_directory = folder / "audit"
        self.port, self.admin_port = free_port(), free_port()
        self.base = f"https://127.0.0.1:{self.port}/fhir"
        self.policy.write_text(policy)
        self.secrets.touch(mode=0o600)
        self.secrets.write_text(f"key: {base64.b64encode(secrets.token_bytes(32)).decode()}\n")
        tls = {"certificate": str(pki.server.pem), "key": str(pki.server.key), "client_ca": str(pki.ca.pem), "client_certificates": "optional"}
        # JSON is YAML.
        self.config.write_text(json.dumps({
            "policy": "policy.yaml",
            "listen": [{"address": f"127.0.0.1:{self.port}", "tls": tls}],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "identity": {"tokens": [{"issuer": issuer, "audience": audience, "keys": {"url": f"{issuer}/jwks"}, "algorithms": ["ES256"], "bound": "optional"}]},
            "roles": [{"role": role, "when": {"issuer": issuer, "claims": {"groups": role}}} for role in roles],
            "endpoints": [{"name": "ehr", "path": "/fhir", "upstream": {"url": upstream, "ca": str(pki.ca.pem)}, "serves": "fhir", "roles": roles}],
            "audit": {"directory": "audit", "node": "e2e"},
            "secrets": {"file": "secrets.yaml"},
        }, indent=2))
        # The issuer's keys come over TLS: this run's own authority stands in for the system's.
        self._env = {"SSL_CERT_FILE": str(pki.ca.pem)}
        self.process: Process | None = None

    def start(self) -> None:
        self.process = Process("fieldgate serve", [self.binary, "serve", "--config", str(self.config)], self.log, self._env)
        deadline = time.monotonic() + READY_SECONDS
        while self.admin("readyz")[0] != 200:
            if not self.process.is_running() or time.monotonic() > deadline:
                raise RuntimeError(f"the gateway isn't ready:\n{self.process.tail()}")
            time.sleep(0.05)

    def admin(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the admin listener; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def command(self, *arguments: str, stdin: bytes = b"", seconds: float = 60):
        return run([self.binary, *arguments], seconds, stdin, cwd=self.folder)

    def redact(self, role: str, document: bytes, policy: Path | None = None, seconds: float = 60) -> bytes:
        """What `fieldgate redact` makes of a document, under this gateway's policy if no other is named."""
        arguments = ["--policy", str(policy or self.policy), "--role", role, "--secrets", str(self.secrets)]
        done = self.command("redact", *arguments, stdin=document, seconds=seconds)
        if done.returncode != 0:
            raise RuntimeError(f"fieldgate redact --role {role}: exit {done.returncode}: {done.stderr.decode()[:500]}")
        return done.stdout

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def audit_text(self) -> str:
        return "".join(file.read_text() for file in sorted(self.audit_directory.glob("*.jsonl")))
