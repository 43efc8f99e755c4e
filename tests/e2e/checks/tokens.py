"""Who is believed: tokens of a real issuer, its changing keys, and tokens bound to certificates."""

import time

from stage import planted
from stage.exchange import claims, header
from stage.report import check
from stage.scene import AUDIENCE, OTHER_AUDIENCE

PATH = f"Patient/{planted.PATIENT}"


@check("tokens: a token is accepted by the keys at the issuer's URL")
def accepted(stage):
    answer = stage.caller("clinician").get(PATH)
    assert answer.status == 200, f"{answer.status} {answer.body[:500]}"


@check("tokens: after a change of keys the new key's token is accepted without a restart, and the old one's still is")
def rotation(stage):
    before = stage.caller("clinician")
    assert before.get(PATH).status == 200
    kid = stage.issuer.rotate()
    after = stage.caller("clinician")
    assert header(after.token)["kid"] == kid != header(before.token)["kid"], "the issuer's key is the old one"
    answer = after.get(PATH)
    assert answer.status == 200, f"new key: {answer.status} {answer.body[:500]}"
    assert before.get(PATH).status == 200, "the old key's token is refused though its key is published"


@check("tokens: a token bound to a certificate is accepted with it, and refused without and with another")
def bound(stage):
    token = stage.keep(stage.issuer.bound_token("ward", stage.pki.ward))
    assert "x5t#S256" in claims(token)["cnf"], sorted(claims(token))
    bare = stage.caller("clinician").with_(token=token)
    answer = bare.with_(certificate=stage.pki.ward).get(PATH)
    assert answer.status == 200, f"with its certificate: {answer.status} {answer.body[:500]}"
    refused(bare.get(PATH), "without a certificate")
    refused(bare.with_(certificate=stage.pki.stranger).get(PATH), "with another certificate")


@check("tokens: expired, early, for others, by others, changed, garbage and none at all: 401 with WWW-Authenticate")
def not_accepted(stage):
    now = int(time.time())
    good = {"aud": AUDIENCE, "sub": "clinician", "groups": ["clinician"], "iat": now - 4000, "exp": now + 600}
    caller = stage.caller("clinician")
    assert caller.with_(token=stage.keep(stage.issuer.sign(good))).get(PATH).status == 200, "the issuer's own good token is refused"
    signed = caller.token.split(".")
    cases = {
        "expired": stage.issuer.sign({**good, "exp": now - 3600}),
        "not valid yet": stage.issuer.sign({**good, "nbf": now + 3600}),
        "for another audience": stage.issuer.token("clinician", resource=OTHER_AUDIENCE),
        "of another issuer": stage.issuer.sign({**good, "iss": "https://evil.example"}),
        "without a subject": stage.issuer.sign({**good, "sub": ""}),
        "of another's signature": ".".join([*stage.issuer.sign({**good, "groups": ["visitor"]}).split(".")[:2], signed[2]]),
        "unsigned": "eyJhbGciOiJub25lIn0." + signed[1] + ".",
        "garbage": "garbage-" + "x" * 200,
    }
    for what, token in cases.items():
        refused(caller.with_(token=stage.keep(token)).get(PATH), what)
    refused(caller.with_(token=None).get(PATH), "no token", error=False)
    refused(caller.with_(token=None).get(f"{PATH}?access_token={caller.token}"), "a token in the query", error=False)


@check("tokens: a caller without a role here, and one who asks for another's role, are refused")
def no_role(stage):
    visitor = stage.caller("clinician").with_(role="visitor", token=stage.keep(stage.issuer.token("visitor")))
    assert visitor.get(PATH).status == 403
    assert stage.caller("front-desk").get(PATH, headers={"Fieldgate-Role": "clinician"}).status == 403
    # A header that merely says who somebody is changes nothing.
    claimed = stage.caller("front-desk").get(PATH, headers={"X-Role": "clinician", "X-Forwarded-Client-Cert": "Subject=clinician"})
    assert claimed.status == 200 and "identifier" not in claimed.json()


@check("tokens: a purpose that the role does not have is refused")
def purpose(stage):
    desk = stage.caller("front-desk")
    assert desk.get(PATH, headers={"Purpose-Of-Use": "TREAT"}).status == 200
    assert desk.get(PATH, headers={"Purpose-Of-Use": "HRESCH"}).status == 403


def refused(answer, what: str, error: bool = True) -> None:
    assert answer.status == 401, f"{what}: {answer.status}"
    challenge = answer.header("www-authenticate") or ""
    assert challenge.startswith("Bearer "), f"{what}: WWW-Authenticate: {challenge}"
    assert ('error="invalid_token"' in challenge) == error, f"{what}: WWW-Authenticate: {challenge}"
    assert answer.json()["resourceType"] == "OperationOutcome", f"{what}: {answer.body[:300]}"
