"""46 MB of synthetic patients through every role of the policy that ships."""

import json
from pathlib import Path

import yaml

from stage.report import Skipped, check, patience
from stage.scene import synthesize

POLICY = Path(__file__).resolve().parents[3] / "config" / "policy.yaml"


@check("large: 46 MB of synthetic patients pass `redact` for each role of config/policy.yaml")
@patience(1800)
def redact_all(stage):
    if not stage.large:
        raise Skipped("ask for it with --large")
    files = synthesize(stage.folder / "large", 10)
    documents = [file.read_bytes() for file in files]
    size = sum(map(len, documents))
    assert size > 40_000_000, f"only {size} bytes"
    roles = list(yaml.safe_load(POLICY.read_text())["roles"])
    for role in roles:
        for file, document in zip(files, documents):
            redacted = stage.gateway.redact(role, document, POLICY, seconds=300)
            assert not redacted or json.loads(redacted)["resourceType"] == "Bundle", f"{role}, {file.name}: no Bundle"
