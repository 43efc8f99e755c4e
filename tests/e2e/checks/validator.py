"""What comes out is FHIR, as far as a strict validator goes, wherever the view leaves required elements in."""

from stage import planted
from stage.report import check

# Roles and searches whose view keeps every required element of the type, or puts `absent` in its place.
KEPT_WHOLE = [
    ("front-desk", "Patient"), ("front-desk", "Encounter?_count=30"), ("front-desk", "Observation?code=8867-4&_count=30"),
    ("registrar", "Patient"), ("analyst", "Patient"), ("analyst", "Observation?_count=30"),
]


@check("validator: what comes out is valid FHIR R4 wherever the upstream's own is")
def valid(stage):
    judged = 0
    for role, question in KEPT_WHOLE:
        before = len(stage.asked_upstream())
        answer = stage.caller(role).get(question)
        assert answer.status == 200, f"{role} {question}: {answer.status} {answer.body[:300]}"
        request, = stage.asked_upstream()[before:]
        resources = [entry["resource"] for entry in answer.json()["entry"]]
        # The data is a generator's and has faults of its own: those are no fault of the gateway.
        own = [entry["resource"] for entry in stage.direct(request["url"]).json()["entry"]]
        faulty = {fault["id"]: fault["problems"] for fault in stage.node("validate.mjs", own)}
        for fault in stage.node("validate.mjs", resources):
            new = set(fault["problems"]) - set(faulty.get(fault["id"], []))
            assert not new, f"{role} {question}: {fault['type']}: {sorted(new)[:5]}"
        judged += len(resources)
    assert judged > 60, f"only {judged} resources were judged"


@check("validator: an element that is `absent` leaves a valid Patient behind")
def absent_is_valid(stage):
    patient = stage.caller("registrar").get(f"Patient/{planted.PATIENT}").json()
    assert "_birthDate" in patient and "birthDate" not in patient
    assert stage.node("validate.mjs", [patient]) == [], stage.node("validate.mjs", [patient])


@check("validator: it does find faults")
def finds_faults(stage):
    patient = stage.caller("registrar").get(f"Patient/{planted.PATIENT}").json()
    faults = stage.node("validate.mjs", [{**patient, "birthDate": "****"}, {**patient, "favouriteColour": "red"}])
    assert len(faults) == 2, faults
