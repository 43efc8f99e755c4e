"""Writes through the gateway: what a role does not see stays in the upstream byte for byte, whoever changes the rest."""

import json

from fhirclient.models.patient import Patient

from checks import asking
from stage import planted
from stage.exchange import CHANGES, Heard
from stage.report import check

PATIENT = f"Patient/{planted.PATIENT}"


def stored(stage) -> dict:
    """What the upstream stores, without what it writes anew with each version."""
    resource = stage.direct(PATIENT).json()
    for name in ("versionId", "lastUpdated"):
        resource.get("meta", {}).pop(name, None)
    return resource


@check("writes: fhirpy changes a filtered Patient as front desk, and all that it does not see stays")
def fhirpy_updates(stage):
    before, token, answers = stored(stage), stage.keep(stage.issuer.token("front-desk", scope=CHANGES)), []
    client = asking.fhirpy_client(stage, stage.gateway.base, token, answers, "front-desk")
    patient = client.get("Patient", planted.PATIENT)
    assert "identifier" not in patient and patient["birthDate"] == planted.BIRTH_DATE[:4]
    patient["active"] = False
    patient["name"][0]["prefix"] = ["Dr"]
    client.save(patient)
    expected = {**before, "active": False, "name": [{**before["name"][0], "prefix": ["Dr"]}]}
    assert stored(stage) == expected, [name for name in expected if stored(stage).get(name) != expected[name]]
    del patient["name"][0]["prefix"]
    patient["active"] = True
    client.save(patient)
    assert stored(stage) == before


@check("writes: fhirclient changes a filtered Patient as front desk, and all that it does not see stays")
def fhirclient_updates(stage):
    before, token, answers = stored(stage), stage.keep(stage.issuer.token("front-desk", scope=CHANGES)), []
    server = asking.fhirclient_server(stage, stage.gateway.base, token, answers, "front-desk")
    for suffix in (["Jr"], None):
        patient = Patient.read(planted.PATIENT, server)
        patient.name[0].suffix = suffix
        # The library's models know no siblings: what is seen of this one goes back as it came.
        server.put_json(patient.relativePath(), {**patient.as_json(), "_gender": answers[-1].json()["_gender"]})
        name = {**before["name"][0], "suffix": suffix} if suffix else before["name"][0]
        expected = {**before, "name": [name]}
        assert stored(stage) == expected, [name for name in expected if stored(stage).get(name) != expected[name]]


@check("writes: fhir-kit-client updates and patches a filtered Patient, and all that it does not see stays")
def kit_updates(stage):
    before, token = stored(stage), stage.keep(stage.issuer.token("front-desk", scope=CHANGES))
    told = stage.node("writes.mjs", {"baseUrl": stage.gateway.base, "token": token, "id": planted.PATIENT})
    stage.hears.append(Heard("front-desk", "fhir-kit-client", json.dumps(told)))
    assert told["updated"]["gender"] == "other" and told["patched"]["gender"] == "female", told
    assert stored(stage) == before
    assert told["stale"] == 412, "a change in between was overwritten"


@check("writes: what a role does not see can't be set, tested or taken away, and never reaches the upstream")
def refused_writes(stage):
    before = stored(stage)
    desk = stage.caller("front-desk").with_(token=stage.keep(stage.issuer.token("front-desk", scope=CHANGES)))
    copy = desk.get(PATIENT).json()
    asked = len(stage.asked_upstream())
    json_body = {"Content-Type": "application/fhir+json"}
    for name, value in [("identifier", [{"value": "mine"}]), ("birthDate", "1999-01-01"), ("maritalStatus", {"text": "x"}),
                        ("extension", [{"url": "http://example.org", "valueString": "x"}])]:
        answer = desk.ask("PUT", PATIENT, headers=json_body, body=json.dumps({**copy, name: value}).encode())
        issue, = answer.json()["issue"]
        assert answer.status == 403 and issue["expression"] == [f"Patient.{name}"], (name, answer.status, issue)
    for operation in [{"op": "test", "path": "/identifier/0/value", "value": stage.canaries.by_element["Patient.identifier"]},
                      {"op": "copy", "from": "/identifier/0/value", "path": "/name/0/text"},
                      {"op": "move", "from": "/address/0/city", "path": "/name/0/text"}]:
        patch = {"Content-Type": "application/json-patch+json"}
        answer = desk.ask("PATCH", PATIENT, headers=patch, body=json.dumps([operation]).encode())
        assert answer.status == 422, (operation["op"], answer.status, answer.body[:300])
    for method, path in [("PUT", "Patient?identifier=x"), ("POST", "Patient"), ("DELETE", PATIENT)]:
        answer = desk.ask(method, path, headers=json_body, body=b"" if method == "DELETE" else json.dumps(copy).encode())
        assert answer.status == 403, (method, path, answer.status)
    assert {request["method"] for request in stage.asked_upstream()[asked:]} <= {"GET"}
    assert stored(stage) == before


@check("writes: a validator is the caller's own, and tells it that nothing has changed")
def validators(stage):
    desk, clinician = stage.caller("front-desk"), stage.caller("clinician")
    tag = desk.get(PATIENT).header("etag")
    assert tag and tag != stage.direct(PATIENT).header("etag")
    again = desk.get(PATIENT, headers={"If-None-Match": tag})
    assert again.status == 304 and not again.body, again.status
    assert clinician.get(PATIENT, headers={"If-None-Match": tag}).status == 200


@check("writes: a token that may read alone can't change what its role may")
def scopes_bound_writes(stage):
    desk, before = stage.caller("front-desk"), stored(stage)
    copy = desk.get(PATIENT)
    answer = desk.ask("PUT", PATIENT, headers={"Content-Type": "application/fhir+json"}, body=copy.body)
    assert answer.status == 403 and "scope" in answer.json()["issue"][0]["diagnostics"], answer.body[:300]
    assert stored(stage) == before
