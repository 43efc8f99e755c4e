"""A running gateway's life: a changed policy, a broken one, an upstream that is gone, the end."""

import signal
import time

from stage import planted
from stage.report import check

SETTLE_SECONDS = 15
PATH = f"Patient/{planted.PATIENT}"


@check("life: SIGHUP takes a changed policy without a restart")
def reload(stage):
    desk = stage.caller("front-desk")
    before = desk.get(PATH)
    assert "gender" in before.json()
    changed = stage.gateway.policy.read_text().replace("gender: show, active: show", "active: show")
    stage.gateway.policy.write_text(changed)
    stage.gateway.process.signal(signal.SIGHUP)
    after = until(lambda: desk.get(PATH), lambda answer: answer.header("fieldgate-policy") != before.header("fieldgate-policy"))
    assert after.status == 200 and "gender" not in after.json(), "the new policy isn't in force"


@check("life: a policy with a mistake is not taken, and the old one stays in force")
def broken_reload(stage):
    desk = stage.caller("front-desk")
    generation = desk.get(PATH).header("fieldgate-policy")
    good = stage.gateway.policy.read_text()
    stage.gateway.policy.write_text(good.replace("birthDate: year", "brithDate: year"))
    try:
        stage.gateway.process.signal(signal.SIGHUP)
        until(lambda: stage.gateway.admin("metrics")[1], lambda text: "\nfieldgate_reload_failures_total 1" in text)
        answer = desk.get(PATH)
        assert answer.status == 200 and answer.header("fieldgate-policy") == generation
        done = stage.gateway.command("check", "--config", str(stage.gateway.config))
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 1 and "did you mean birthDate?" in said, said
    finally:
        stage.gateway.policy.write_text(good)


@check("life: without its upstream the gateway answers 502 and stays up")
def upstream_gone(stage):
    stage.upstream.stop()
    answer = stage.caller("front-desk").get(PATH)
    assert answer.status == 502, answer.status
    assert answer.json()["resourceType"] == "OperationOutcome", answer.body[:300]
    assert stage.upstream_base not in answer.body.decode(), "the upstream's address is in the answer"
    assert stage.gateway.admin("livez")[0] == 200


@check("life: SIGTERM ends it in order, with a whole audit trail")
def end(stage):
    stage.gateway.process.signal(signal.SIGTERM)
    code = stage.gateway.process.wait(seconds=20)
    assert code == 0, f"exit {code}:\n{stage.gateway.process.tail()}"
    done = stage.gateway.command("audit", "verify", str(stage.gateway.audit_directory))
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def until(ask, holds):
    """Asks until it holds, within a bound."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        answer = ask()
        if holds(answer):
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"it does not hold after {SETTLE_SECONDS} s")
        time.sleep(0.1)
