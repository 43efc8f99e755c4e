"""The parts without the gateway: a check that fails here says that the stage is wrong, not the gateway."""

from checks import asking
from stage import planted
from stage.exchange import claims, header
from stage.report import check, needed


@check("parts: both clients page through the upstream itself")
def clients_page_directly(stage):
    resources, answers = asking.fhirpy_pages(stage, stage.upstream_base, None, "Patient", 2)
    assert len(resources) == 4 and len(answers) == 2, f"{len(resources)} patients in {len(answers)} pages"
    kit = asking.kit(stage, stage.upstream_base, "none")
    assert kit["read"]["id"] == planted.PATIENT
    assert len(kit["pages"]) == 2, f"{len(kit['pages'])} pages"


@check("parts: the upstream holds every canary")
def upstream_holds_canaries(stage):
    pages = ["Patient", "Appointment", "Condition?_id=" + planted.CONDITION, "Encounter?_id=" + planted.ENCOUNTER,
             f"Observation?_id={planted.LABORATORY},{planted.VITAL_SIGNS}", "Patient/upstream-fails"]
    answers = [stage.direct(page) for page in pages]
    text = "".join(answer.body.decode() + str(answer.headers) for answer in answers)
    missing = set(stage.canaries.by_element) - set(stage.canaries.found_in(text))
    assert not missing, f"not found: {sorted(missing)}"


@check("parts: the issuer signs ES256 access tokens for the gateway, with groups")
def issuer_signs(stage):
    token = stage.keep(stage.issuer.token("front-desk"))
    assert header(token)["typ"] == "at+jwt" and header(token)["alg"] == "ES256", header(token)
    said = claims(token)
    assert said["iss"] == stage.issuer.url and said["groups"] == ["front-desk"] and said["sub"] == "front-desk", sorted(said)
    assert [key["kid"] for key in stage.issuer.keys()] == [header(token)["kid"]]
    assert "d" not in stage.issuer.keys()[0]


@check("parts: the issuer binds a token to a client's certificate, and gives none to a stranger")
def issuer_binds(stage):
    said = claims(stage.keep(stage.issuer.bound_token("ward", stage.pki.ward)))
    assert list(said["cnf"]) == ["x5t#S256"] and said["groups"] == ["clinician"], sorted(said)
    try:
        stage.issuer.bound_token("ward", stage.pki.stranger)
    except RuntimeError:
        return
    raise AssertionError("the issuer gives the ward's token to a stranger")


@check("parts: the gateway accepts its files (fieldgate check)")
def files_are_accepted(stage):
    done = stage.gateway.command("check", "--config", str(stage.gateway.config))
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@check("parts: the gateway starts and is ready")
@needed
def gateway_starts(stage):
    stage.gateway.start()
    assert stage.gateway.admin("livez")[0] == 200
