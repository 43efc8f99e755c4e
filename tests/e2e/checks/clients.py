"""Client libraries through the gateway: the same questions, other fields for each role."""

import gzip

from fhirclient.models.patient import Patient

from checks import asking
from stage import planted
from stage.exchange import Heard
from stage.report import check

# What the front desk may find in a Patient. Everything else must be missing.
FRONT_DESK_PATIENT = {"resourceType", "id", "meta", "contained", "active", "name", "gender", "_gender", "birthDate", "telecom", "address"}


@check("clients: fhirpy reads, searches and pages as front desk, and every link leads to the gateway")
def fhirpy_front_desk(stage):
    fhirpy_all(stage, "front-desk")


@check("clients: fhirpy reads, searches and pages as clinician, and every link leads to the gateway")
def fhirpy_clinician(stage):
    fhirpy_all(stage, "clinician")


def fhirpy_all(stage, role):
    base, token, answers = stage.gateway.base, stage.keep(stage.issuer.token(role)), []
    client = asking.fhirpy_client(stage, base, token, answers, role)
    patient = client.get("Patient", planted.PATIENT)
    assert patient["name"][0]["family"] == "Planted"
    found = client.resources("Appointment").search(status="booked").fetch()
    assert planted.APPOINTMENT in [resource["id"] for resource in found]
    patients, pages = asking.fhirpy_pages(stage, base, token, "Patient", 1, role)
    assert len({patient["id"] for patient in patients}) == 4, f"{len(patients)} patients"
    assert len(pages) >= 4, f"{len(pages)} pages"
    several, more = asking.fhirpy_pages(stage, base, token, "Encounter", 100, role)
    expected = stage.direct("Encounter?_count=1").json()["total"]
    assert len({encounter["id"] for encounter in several}) == expected, f"{len(several)} of {expected} encounters"
    for answer in [*answers, *pages, *more]:
        assert answer.url.startswith(base + "/"), f"{role} was sent to {answer.url}"
        addresses = asking.addresses(answer.json())
        assert all(address.startswith(base + "/") for address in addresses), f"{addresses} lead elsewhere"
        assert stage.upstream_base not in answer.text, "the upstream's address is in the answer"


@check("clients: fhirclient reads, searches and pages as front desk, and every link leads to the gateway")
def fhirclient_front_desk(stage):
    base, answers = stage.gateway.base, []
    server = asking.fhirclient_server(stage, base, stage.keep(stage.issuer.token("front-desk")), answers, "front-desk")
    patient = Patient.read(planted.PATIENT, server)
    assert patient.name[0].family == "Planted" and patient.identifier is None
    assert patient.birthDate.as_json() == planted.BIRTH_DATE[:4]
    found = list(Patient.where({"gender": "female,male,other,unknown", "_count": "1"}).perform_resources_iter(server))
    everybody = {entry["resource"]["id"] for entry in stage.direct("Patient?_count=100").json()["entry"] if "gender" in entry["resource"]}
    assert {resource.id for resource in found} == everybody, [resource.id for resource in found]
    for answer in answers:
        assert answer.url.startswith(base + "/"), f"it was sent to {answer.url}"
        assert stage.upstream_base not in answer.text, "the upstream's address is in the answer"


@check("clients: fhir-kit-client reads, searches and pages as front desk, and every link leads to the gateway")
def kit_front_desk(stage):
    kit_all(stage, "front-desk")


@check("clients: fhir-kit-client reads, searches and pages as clinician, and every link leads to the gateway")
def kit_clinician(stage):
    kit_all(stage, "clinician")


def kit_all(stage, role):
    base = stage.gateway.base
    told = asking.kit(stage, base, stage.keep(stage.issuer.token(role)), role)
    assert told["read"]["id"] == planted.PATIENT
    assert planted.APPOINTMENT in [entry["resource"]["id"] for entry in told["search"]["entry"]]
    assert len({entry["resource"]["id"] for page in told["pages"] for entry in page["entry"]}) == 4
    addresses = [address for bundle in [told["search"], *told["pages"]] for address in asking.addresses(bundle)]
    assert len(addresses) > 4 and all(address.startswith(base + "/") for address in addresses), addresses


@check("clients: the same Patient has other fields for front desk, registrar, analyst and clinician")
def same_question_other_fields(stage):
    desk, registrar, analyst, clinician = (
        stage.caller(role).get(f"Patient/{planted.PATIENT}").json() for role in ("front-desk", "registrar", "analyst", "clinician"))
    assert set(desk) <= FRONT_DESK_PATIENT, f"the front desk sees {sorted(set(desk) - FRONT_DESK_PATIENT)}"
    assert desk["birthDate"] == planted.BIRTH_DATE[:4], "the front desk's birthDate is no year"
    assert desk["address"] == [{"postalCode": "981"}], desk["address"]
    phone, = (entry for entry in desk["telecom"] if entry["system"] == "phone")
    assert phone["value"].endswith(planted.PHONE[-4:]) and set(phone["value"][:-4]) == {"*"}, phone
    assert [set(entry) for entry in desk["telecom"] if entry["system"] == "email"] == [{"system"}], desk["telecom"]
    assert desk["name"] == [{"family": "Planted", "given": ["Petra"]}], desk["name"]
    assert desk["_gender"] == {"id": "x"}, "an extension of a shown element came through"
    assert desk["contained"] == [{"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Inside"}]}], "a contained resource is seen as more than its type"
    assert "birthDate" not in registrar and "gender" not in registrar and "telecom" not in registrar, sorted(registrar)
    for element in ("_birthDate", "_gender"):
        extension, = registrar[element]["extension"]
        assert extension["url"].endswith("/data-absent-reason") and extension["valueCode"] == "masked", extension
    assert set(registrar) == {"resourceType", "id", "meta", "active", "name", "_birthDate", "_gender"}, sorted(registrar)
    # Born in 1899, so over 89: no year at all. 981 has more than 20,000 people.
    assert "birthDate" not in analyst and "name" not in analyst and "id" in analyst, sorted(analyst)
    again = stage.caller("analyst").get(f"Patient/{planted.PATIENT}").json()
    pseudonym = analyst["identifier"][0]["value"]
    assert analyst["identifier"] == [{"value": pseudonym}] == again["identifier"], "the pseudonym isn't stable, or stands beside more"
    assert pseudonym != clinician["identifier"][0]["value"]
    assert clinician == stage.direct(f"Patient/{planted.PATIENT}").json(), "the clinician's copy differs from the upstream's"


@check("clients: a filtered resource says that it is one, a whole one does not")
def redacted_label(stage):
    labels = {}
    for role in ("front-desk", "clinician"):
        resource = stage.caller(role).get(f"Appointment/{planted.APPOINTMENT}").json()
        labels[role] = [label["code"] for label in resource["meta"].get("security", [])]
    assert "REDACTED" in labels["front-desk"], labels
    assert "REDACTED" not in labels["clinician"], labels


@check("clients: hidden elements of an Appointment are missing for the front desk alone")
def hidden_elements(stage):
    hidden = {"comment", "description", "reasonCode", "extension"}
    desk, clinician = (stage.caller(role).get(f"Appointment/{planted.APPOINTMENT}").json() for role in ("front-desk", "clinician"))
    assert not hidden & set(desk), sorted(desk)
    assert hidden <= set(clinician), sorted(clinician)
    assert desk["start"] == clinician["start"] and desk["participant"][0]["status"] == "accepted"
    assert "display" not in desk["participant"][0]["actor"], "a reference's display came through"


@check("clients: rows, labels and types that a role does not see are withheld, and no total tells of them")
def rows_labels_types(stage):
    desk, clinician = stage.caller("front-desk"), stage.caller("clinician")
    for path, kept, gone in [
        (f"Observation?patient={planted.PATIENT}", planted.VITAL_SIGNS, planted.LABORATORY),
        (f"Appointment?patient={planted.PATIENT}", planted.APPOINTMENT, planted.SECRET_APPOINTMENT),
    ]:
        seen = {entry["resource"]["id"] for entry in clinician.get(path).json()["entry"]}
        assert seen == {kept, gone}, f"{path}: the clinician sees {seen}"
        answer = desk.get(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.body[:300]}"
        seen = {entry["resource"]["id"] for entry in answer.json()["entry"]}
        assert seen == {kept}, f"{path}: the front desk sees {seen}"
        assert "total" not in answer.json(), f"{path}: the total counts what is withheld"
    assert desk.get(f"Condition/{planted.CONDITION}").status in (403, 404)
    assert desk.get("Condition").status in (403, 404)


@check("clients: page links do not tell of rows that are withheld")
def pages_of_withheld_rows(stage):
    # Both ask for one shown observation and one that the role does not see; in the second, there is none of the latter.
    desk = stage.caller("front-desk")
    seen = []
    for code in ("7917-8", "0000-0"):
        bundle = desk.get(f"Observation?patient={planted.PATIENT}&code={code},8867-4&_count=1").json()
        seen.append((len(bundle.get("entry", [])), sorted(link["relation"] for link in bundle["link"])))
    assert seen[0] == seen[1], f"with a withheld match {seen[0]}, without {seen[1]}"


@check("clients: a withheld resource and one that does not exist get the same answer")
def withheld_as_absent(stage):
    desk = stage.caller("front-desk")
    withheld, absent = desk.get(f"Observation/{planted.LABORATORY}"), desk.get("Observation/there-is-no-such-one")
    assert withheld.status == absent.status == 404, (withheld.status, absent.status)
    assert withheld.body == absent.body, (withheld.body, absent.body)
    varying = {"date", "fieldgate-request", "x-request-id", "request-id"}
    headers = [sorted(name.lower() for name, _ in answer.headers if name.lower() not in varying) for answer in (withheld, absent)]
    assert headers[0] == headers[1], headers


@check("clients: answers are private, name what decided them, and pass on no header of the upstream")
def answer_headers(stage):
    answer = stage.caller("front-desk").get(f"Patient/{planted.PATIENT}")
    assert answer.header("content-type").startswith("application/fhir+json"), answer.headers
    assert {"private", "no-store"} <= {part.strip() for part in answer.header("cache-control").split(",")}, answer.headers
    assert answer.header("fieldgate-policy"), answer.headers
    assert "authorization" in answer.header("vary").lower(), answer.headers
    assert answer.header("x-patient") is None and answer.header("server") != "medplum-in-memory", answer.headers
    etag = stage.direct(f"Patient/{planted.PATIENT}").header("etag")
    assert answer.header("etag") != etag, "the upstream's validator stands for a filtered body"


@check("clients: the gateway reads a compressed upstream, and sends it no token and no caller's certificate")
def upstream_side(stage):
    stage.caller("front-desk").get(f"Patient/{planted.PATIENT}")
    request = stage.asked_upstream()[-1]
    assert "gzip" in request["headers"].get("accept-encoding", ""), request["headers"].get("accept-encoding")
    assert "authorization" not in request["headers"], "the caller's token went upstream"


@check("clients: HTTP/2, HEAD and a compressed answer hold what a plain GET does")
def other_forms(stage):
    desk, path = stage.caller("front-desk"), f"Patient/{planted.PATIENT}"
    plain = desk.get(path)
    origin = stage.gateway.base.removesuffix("/fhir")
    several = stage.node("http2.mjs", {"origin": origin, "token": desk.token, "paths": [f"/fhir/{path}"] * 5})
    for answer in several:
        stage.hears.append(Heard("front-desk", "HTTP/2", str(answer)))
        assert answer["status"] == 200 and answer["body"] == plain.body.decode(), answer["status"]
    head = desk.ask("HEAD", path)
    assert head.status == 200 and not head.body and head.header("content-length") is None, head.headers
    packed = desk.get(path, headers={"Accept-Encoding": "gzip"})
    body = gzip.decompress(packed.body) if packed.header("content-encoding") == "gzip" else packed.body
    assert body == plain.body, "the compressed answer differs"


@check("clients: the capability statement comes without the upstream's addresses")
def capabilities(stage):
    answer = stage.caller("front-desk").get("metadata")
    assert answer.status == 200 and answer.json()["resourceType"] == "CapabilityStatement", answer.body[:300]
    assert stage.upstream_base not in answer.body.decode(), "the upstream's address is in it"
