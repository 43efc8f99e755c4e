"""The gateway's body is what `fieldgate redact` makes of the upstream's own body, but for addresses."""

import json

from stage import planted
from stage.report import check

QUESTIONS = [
    "Patient", f"Patient/{planted.PATIENT}", "Patient?_count=2", "Patient?gender=female", "Appointment?status=booked",
    "Observation?code=85354-9&_count=50", f"Observation?patient={planted.PATIENT}", "Encounter?_count=100", "Encounter?status=finished",
    "Condition?_count=100", "Practitioner?_count=100",
]


@check("oracle: every answer equals `fieldgate redact` of the upstream's own, for each role")
def same_as_redact(stage):
    compared = 0
    for role in ("front-desk", "registrar", "analyst", "clinician"):
        caller = stage.caller(role)
        for question in QUESTIONS:
            before = len(stage.asked_upstream())
            answer = caller.get(question)
            if answer.status in (403, 404):
                continue
            assert answer.status == 200, f"{role} {question}: {answer.status} {answer.body[:300]}"
            request, = stage.asked_upstream()[before:]
            expected = stage.gateway.redact(role, stage.direct(request["url"]).body)
            given, wanted = canonical(answer.body, stage.gateway.base), canonical(expected, stage.upstream_base)
            assert given == wanted, f"{role} {question}: {difference(given, wanted)}"
            compared += 1
    # Front desk and clinician are answered nearly all of them, the others some.
    assert compared >= 25, f"only {compared} answers were compared"


def canonical(body: bytes, base: str) -> str:
    """The JSON with its members in their order, one address for both sides, and without the links, which the gateway makes its own."""
    document = json.loads(body.decode().replace(base + "/", "https://base.example/"))
    document.pop("link", None)
    return json.dumps(document, indent=1, ensure_ascii=False)


def difference(given: str, wanted: str) -> str:
    """The first line that differs, without more of the body than that."""
    for number, (one, other) in enumerate(zip(given.split("\n"), wanted.split("\n")), start=1):
        if one != other:
            return f"line {number}: the gateway has {one.strip()[:120]}, redact has {other.strip()[:120]}"
    return "one is longer than the other"
