"""Plain HTTP exchanges, as they are on the wire: no client library between a check and the gateway's answer.

Every answer is kept with the role that got it, for the search for leaks at the end.
"""

import base64
import http.client
import json
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from stage.pki import Certificate, Pki

SECONDS = 30

# What tokens allow (SMART App Launch, scopes of version 2): to read and search, and to change what is there as well.
READS = "system/*.rs"
CHANGES = "system/*.rus"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.body)


@dataclass
class Heard:
    """What came out of the gateway, and to whom."""

    role: str
    what: str
    text: str


@dataclass
class Caller:
    """Somebody who asks: a role's token, and perhaps a client certificate. `hears` takes what the gateway answers."""

    role: str
    base: str
    pki: Pki
    token: str | None = None
    certificate: Certificate | None = None
    hears: list[Heard] = field(default_factory=list)

    def get(self, path: str, **options) -> Answer:
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        url = path if path.startswith("https://") else f"{self.base}/{path}"
        sent = {"Accept": "application/fhir+json", **(headers or {})}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        answer = exchange(method, url, self.pki, self.certificate, sent, body)
        lines = "".join(f"{name}: {value}\n" for name, value in answer.headers)
        self.hears.append(Heard(self.role, f"{method} {path}", f"{answer.status}\n{lines}\n{answer.body.decode(errors='replace')}"))
        return answer

    def with_(self, **changes) -> "Caller":
        """The same caller with another token or certificate; what it hears goes to the same place."""
        return Caller(**{**self.__dict__, **changes})


def exchange(method: str, url: str, pki: Pki, certificate: Certificate | None = None,
             headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    context = ssl.create_default_context(cafile=str(pki.ca.pem))
    if certificate:
        context.load_cert_chain(certificate.pem, certificate.key)
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=SECONDS, context=context)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers={"Accept-Encoding": "identity", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Issuer:
    """The token issuer, as a client of it sees it."""

    url: str
    pki: Pki
    secrets: dict[str, str]

    def token(self, client: str, resource: str | None = None, scope: str = READS) -> str:
        """An access token by the client-credentials grant (RFC 6749 section 4.4)."""
        credentials = base64.b64encode(f"{client}:{self.secrets[client]}".encode()).decode()
        return self._grant({"Authorization": f"Basic {credentials}"}, {"scope": scope}, None, resource)

    def bound_token(self, client: str, certificate: Certificate) -> str:
        """An access token that is bound to the client's certificate (RFC 8705)."""
        return self._grant({}, {"client_id": client}, certificate, None)

    def sign(self, claims: dict) -> str:
        """A token with any claims, under the issuer's present key."""
        answer = exchange("POST", f"{self.url}/control/sign", self.pki, body=json.dumps(claims).encode())
        return answer.body.decode()

    def rotate(self) -> str:
        """Signs with a new key from now on, and publishes it beside the old. The new key's id."""
        return exchange("POST", f"{self.url}/control/rotate", self.pki).body.decode()

    def keys(self) -> list[dict]:
        return exchange("GET", f"{self.url}/jwks", self.pki).json()["keys"]

    def _grant(self, headers: dict[str, str], fields: dict[str, str], certificate: Certificate | None, resource: str | None) -> str:
        fields = {"grant_type": "client_credentials", "scope": READS, **fields}
        if resource:
            fields["resource"] = resource
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        answer = exchange("POST", f"{self.url}/token", self.pki, certificate, headers, urlencode(fields).encode())
        if answer.status != 200:
            raise RuntimeError(f"the issuer answered {answer.status}: {answer.body.decode()}")
        return answer.json()["access_token"]


def claims(token: str) -> dict:
    """What a token says, unverified."""
    return _part(token, 1)


def header(token: str) -> dict:
    return _part(token, 0)


def _part(token: str, at: int) -> dict:
    text = token.split(".")[at]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
