"""Runs every check on a stage of its own. Started by `run`, which installs what this needs."""

import argparse
import atexit
import importlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from stage import pki, planted, report
from stage.scene import Stage, set_up

# In this order: the search for leaks, the audit trail and the metrics look at what all the others did.
CHECKS = ["parts", "clients", "writes", "tokens", "refusals", "oracle", "validator", "traces", "life", "large"]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="tests/e2e/run", description="Checks fieldgate end to end against parts that others wrote.")
    arguments.add_argument("--large", action="store_true", help="also redact 46 MB of synthetic patients for each role of config/policy.yaml")
    arguments.add_argument("--only", metavar="WORD", help="only the checks whose names hold this word")
    arguments.add_argument("--keep", action="store_true", help="keep the run's folder even if all checks pass")
    options = arguments.parse_args()
    # A signal ends the run by the same way as its end does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGINT, lambda number, frame: sys.exit(128 + number))

    folder = Path(tempfile.mkdtemp(prefix="fieldgate-e2e-"))
    stage = Stage(folder, options.large, pki.make(folder / "pki"), planted.Canaries())
    atexit.register(stage.stop)
    for name in CHECKS:
        importlib.import_module(f"checks.{name}")
    set_up(stage)
    good = report.run(stage, options.only)
    stage.stop()
    if good and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"# logs and files of this run: {folder}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
