"""Questions by the client libraries, the same for every base address and role."""

import json

from fhirclient.server import FHIRServer
from fhirpy import SyncFHIRClient

from stage import planted
from stage.exchange import Heard


def fhirpy_client(stage, base: str, token: str | None, answers: list, role: str = ""):
    """A fhirpy client; each HTTP answer that it gets is added to `answers` and noted for the search for leaks."""
    def note(response, *_, **__):
        answers.append(response)
        if role:
            headers = "".join(f"{name}: {value}\n" for name, value in response.headers.items())
            stage.hears.append(Heard(role, f"fhirpy {response.url}", f"{headers}\n{response.text}"))
    config = {"verify": str(stage.pki.ca.pem), "timeout": 30, "hooks": {"response": note}}
    return SyncFHIRClient(base, authorization=f"Bearer {token}" if token else None, requests_config=config)


def fhirpy_pages(stage, base: str, token: str | None, resource_type: str, count: int, role: str = "", **parameters):
    """Every resource of a search, page by page, with the HTTP answers."""
    answers = []
    found = fhirpy_client(stage, base, token, answers, role).resources(resource_type).search(**parameters).limit(count).fetch_all()
    return [json.loads(json.dumps(resource)) for resource in found], answers


def fhirclient_server(stage, base: str, token: str, answers: list, role: str = "") -> FHIRServer:
    """A server of fhirclient, which reads every answer into strict models; each is added to `answers` as fhirpy's are."""
    def note(response, *_, **__):
        answers.append(response)
        stage.hears.append(Heard(role, f"fhirclient {response.url}", f"{response.headers}\n{response.text}"))
    server = FHIRServer(None, base_uri=base)
    server.session.headers["Authorization"] = f"Bearer {token}"
    # An environment that names other authorities would win over the session's own.
    server.session.trust_env = False
    server.session.verify = str(stage.pki.ca.pem)
    server.session.hooks["response"].append(note)
    return server


def kit(stage, base: str, token: str, role: str = "") -> dict:
    """What fhir-kit-client reads, searches and pages through."""
    told = stage.node("kit.mjs", {
        "baseUrl": base, "token": token,
        "read": {"resourceType": "Patient", "id": planted.PATIENT},
        "search": {"resourceType": "Appointment", "searchParams": {"status": "booked"}},
        "pages": {"resourceType": "Patient", "searchParams": {"_count": "2"}},
    })
    if role:
        stage.hears.append(Heard(role, "fhir-kit-client", json.dumps(told)))
    return told


def addresses(bundle: dict) -> list[str]:
    """Every address in the envelope of a Bundle."""
    links = [link["url"] for link in bundle.get("link", [])]
    return links + [entry["fullUrl"] for entry in bundle.get("entry", []) if "fullUrl" in entry]
