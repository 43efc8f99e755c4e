"""Throw-away keys and certificates, made by openssl for one run."""

from dataclasses import dataclass
from pathlib import Path

from stage.processes import run


@dataclass(frozen=True)
class Certificate:
    pem: Path
    key: Path


@dataclass(frozen=True)
class Pki:
    """One authority, a certificate for every server on loopback, and two clients."""

    ca: Certificate
    server: Certificate
    ward: Certificate
    stranger: Certificate

    WARD_SUBJECT = "CN=ward-7"


def make(folder: Path) -> Pki:
    folder.mkdir()
    leaf = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
    ca = _certificate(folder, "ca", "fieldgate e2e", None, ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"])
    server = [*leaf, "extendedKeyUsage=serverAuth", "subjectAltName=IP:127.0.0.1"]
    client = [*leaf, "extendedKeyUsage=clientAuth"]
    return Pki(
        ca=ca,
        server=_certificate(folder, "server", "server", ca, server),
        ward=_certificate(folder, "ward", "ward-7", ca, [*client, "subjectAltName=URI:spiffe://hospital.example/ward-7"]),
        stranger=_certificate(folder, "stranger", "stranger", ca, [*client, "subjectAltName=URI:spiffe://elsewhere.example/it"]))


def _certificate(folder: Path, name: str, subject: str, signer: Certificate | None, extensions: list[str]) -> Certificate:
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", f"/CN={subject}", "-keyout", str(made.key), "-out", str(made.pem)]
    if signer:
        command += ["-CA", str(signer.pem), "-CAkey", str(signer.key)]
    for extension in extensions:
        command += ["-addext", extension]
    done = run(command, seconds=20)
    if done.returncode != 0:
        raise RuntimeError(f"openssl can't make {name}.pem: {done.stderr.decode()}")
    made.key.chmod(0o600)
    return made
