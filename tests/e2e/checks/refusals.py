"""What may not be asked, and that a refusal says what to change and nothing else."""

from stage import planted
from stage.report import check

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/fhir+json"}


@check("refusals: a search by a generalised element names the parameter and the element")
def hidden_parameter(stage):
    refused(stage, stage.caller("front-desk").get(f"Patient?birthdate={asked(stage, planted.BIRTH_DATE)}"), "birthdate", "Patient.birthDate")


@check("refusals: the same element by POST, prefix, modifier, chain, reverse chain, sort and inclusion")
def ways_around(stage):
    desk = stage.caller("front-desk")
    born = asked(stage, "1899-10-22")
    form = f"birthdate=gt{born}".encode()
    refused(stage, desk.ask("POST", "Patient/_search", headers=FORM, body=form), "birthdate", "Patient.birthDate")
    for path in [
        f"Patient?birthdate=lt{born}", "Patient?birthdate:missing=false", f"Patient?name=Planted&birthdate={born}",
        "Patient?_sort=birthdate", "Patient?_sort=-birthdate",
    ]:
        refused(stage, desk.get(path), "birthdate", path)
    for path, parameter in [
        (f"Appointment?patient.birthdate={born}", "patient"), (f"Observation?subject:Patient.birthdate={born}", "subject"),
        ("Patient?_has:Condition:patient:code=38341003", "_has"), ("Patient?_filter=birthdate%20eq%201899-10-23", "birthdate"),
        (f"Patient?identifier={asked(stage, 'canary-query-identifier')}", "identifier"), ("Patient?_text=canary", "_text"),
        ("Patient?address-city=Boston", "address-city"), ("Observation?_include=Observation:performer", "performer"),
    ]:
        refused(stage, desk.get(path), parameter, path)
    before = len(stage.asked_upstream())
    desk.get(f"Patient?birthdate={born}")
    assert len(stage.asked_upstream()) == before, "a refused search went upstream"


# Each tests an element that the front desk does not see as it is, or something that nobody can follow to its elements.
HIDDEN = [
    "phone=6175550142", "telecom=x", "email=x", "address=Boston", "address-postalcode=98117", "address-state:missing=true", "death-date=2019",
    "deceased=true", "general-practitioner=x", "language=en", "link=x", "organization=x", "_source=x",
    "_content=x", "_query=x", "_list=x", "_revinclude=Observation:patient", "_contained=true", "_sort=gender,-birthdate",
    "identifier:of-type=x", "_foo=1", "_summary=count", "_count=0", "_offset=1", "_getpages=x",
]


@check("refusals: every parameter on an element that isn't shown as it is, and every one that isn't known")
def all_parameters(stage):
    desk = stage.caller("front-desk")
    before = len(stage.asked_upstream())
    for parameter in HIDDEN:
        refused(stage, desk.get(f"Patient?{parameter}"), f"Patient?{parameter}")
    for path in ("Observation?category=vital-signs", "Observation?_has:Patient:x:y=1", "Patient/x/Observation", "?_type=Condition&_id=x",
                 "Appointment?reason-code=x", "Encounter?reason-code=x", "Encounter?participant=x"):
        answer = desk.get(path)
        assert answer.status == 403, f"{path}: {answer.status}"
    assert len(stage.asked_upstream()) == before, "a refused search went upstream"


@check("refusals: a search by a shown element is answered")
def shown_parameter(stage):
    desk, criteria = stage.caller("front-desk"), f"family={asked(stage, 'Planted')}&gender=female"
    for answer in (desk.get(f"Patient?{criteria}"), desk.ask("POST", "Patient/_search", headers=FORM, body=criteria.encode())):
        assert answer.status == 200, f"{answer.status} {answer.body[:500]}"
        assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [planted.PATIENT]


@check("refusals: a clinician may search by birth date")
def unrestricted_search(stage):
    answer = stage.caller("clinician").get(f"Patient?birthdate={planted.BIRTH_DATE}")
    assert answer.status == 200, f"{answer.status} {answer.body[:500]}"
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [planted.PATIENT]


@check("refusals: a page link is refused to another role and when it is changed")
def page_links(stage):
    desk = stage.caller("front-desk")
    bundle = desk.get("Patient?_count=1").json()
    link, = (link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert desk.get(link).status == 200
    for role in ("registrar", "clinician"):
        answer = stage.caller(role).get(link)
        assert answer.status == 403, f"{role} follows the front desk's link: {answer.status}"
    joint = "&" if "?" in link else "?"
    answer = desk.get(f"{link}{joint}birthdate=1899-10-23")
    assert answer.status == 403, f"a link with one more parameter: {answer.status}"


@check("refusals: create, update, patch, delete and a batch are refused of who may not, and nothing is written")
def writes(stage):
    body = b'{"resourceType":"Patient","id":"%s","name":[{"family":"Overwritten"}]}' % planted.PATIENT.encode()
    before = len(stage.asked_upstream())
    for role in ("registrar", "clinician"):
        caller = stage.caller(role)
        for method, path in [("POST", "Patient"), ("PUT", f"Patient/{planted.PATIENT}"), ("PATCH", f"Patient/{planted.PATIENT}"),
                             ("DELETE", f"Patient/{planted.PATIENT}"), ("POST", "")]:
            answer = caller.ask(method, path, headers=JSON, body=body)
            assert answer.status in (403, 405), f"{role} {method} {path}: {answer.status}"
            assert answer.json()["resourceType"] == "OperationOutcome", answer.body[:300]
    override = stage.caller("clinician").get(f"Patient/{planted.PATIENT}", headers={"X-HTTP-Method-Override": "DELETE"})
    assert override.status in (200, 400), override.status
    asked_since = [request for request in stage.asked_upstream()[before:] if request["method"] != "GET"]
    assert not asked_since, "a write went upstream"
    assert stage.direct(f"Patient/{planted.PATIENT}").json()["name"][0]["family"] == "Planted"


@check("refusals: XML, Turtle and HTML are not acceptable")
def media_types(stage):
    desk = stage.caller("front-desk")
    for accept in ("application/fhir+xml", "application/xml", "text/turtle", "text/html"):
        answer = desk.get(f"Patient/{planted.PATIENT}", headers={"Accept": accept})
        assert answer.status == 406, f"Accept: {accept}: {answer.status}"
        assert answer.json()["resourceType"] == "OperationOutcome", answer.body[:300]
    for path in (f"Patient/{planted.PATIENT}?_format=xml", "Patient?_format=application/fhir%2Bxml"):
        assert desk.get(path).status == 406, f"{path}: {desk.get(path).status}"


@check("refusals: $graphql, $everything, $export, history and unknown paths")
def operations(stage):
    desk = stage.caller("front-desk")
    for path in (f"Patient/{planted.PATIENT}/$everything", "$graphql?query=%7BPatientList%7Bid%7D%7D", "Patient/$export", "_history",
                 f"Patient/{planted.PATIENT}/_history", "Binary/x"):
        answer = desk.get(path)
        assert answer.status in (403, 404, 405), f"{path}: {answer.status}"
    for path in ("Nonsense", "control/seen", "../control/seen", "..%2f..%2fcontrol/seen", "Patient//x"):
        answer = desk.get(path)
        assert answer.status in (400, 403, 404), f"{path}: {answer.status}"


@check("refusals: an upstream's own error text does not pass")
def upstream_error(stage):
    for role in ("front-desk", "registrar"):
        answer = stage.caller(role).get("Patient/upstream-fails")
        assert answer.status in (500, 502), answer.status
        assert answer.json()["resourceType"] == "OperationOutcome", answer.body[:300]
        assert not stage.canaries.found_in(answer.body.decode()), "the upstream's text is in the answer"


def asked(stage, value: str) -> str:
    """Notes a value of a query, which no log may hold."""
    stage.asked.append(value)
    return value


def refused(stage, answer, *named: str) -> None:
    """Refused by name, and without any value of the query. The first of `named` is a parameter, further ones elements."""
    what = named[-1]
    assert answer.status == 403, f"{what}: {answer.status} {answer.body[:300]}"
    assert answer.json()["resourceType"] == "OperationOutcome", f"{what}: {answer.body[:300]}"
    text = answer.body.decode()
    for name in named:
        assert name in text or "?" in name, f"{what}: {name} isn't named in {text}"
    echoed = [value for value in stage.asked if value in text]
    assert not echoed, f"{what}: the answer repeats a value of the query"
