"""Checks by name, one line each."""

import signal
import time
import traceback
from collections.abc import Callable

CHECK_SECONDS = 90

_checks: list[tuple[str, Callable]] = []


class Skipped(Exception):
    """A check that this machine can't make; its text says what is missing."""


def check(name: str):
    """Registers a function of the stage as a check; they run in the order in which they are written."""
    def register(function: Callable) -> Callable:
        _checks.append((name, function))
        return function
    return register


def patience(seconds: int):
    """Gives a check more time than the others."""
    def mark(function: Callable) -> Callable:
        function.seconds = seconds
        return function
    return mark


def needed(function: Callable) -> Callable:
    """Marks a check without which no other can be made: it runs whatever `--only` says."""
    function.needed = True
    return function


def is_open(reason: str):
    """Marks a check that is known to fail, with what is open. Once it passes it counts as failed, so that the mark goes."""
    def mark(function: Callable) -> Callable:
        function.is_open = reason
        return function
    return mark


def run(stage, only: str | None) -> bool:
    """Runs the checks, prints a line for each and the closing one. Whether all passed."""
    passed = failed = 0
    for name, function in _checks:
        if only and only not in name and not hasattr(function, "needed"):
            continue
        known = getattr(function, "is_open", None)
        began = time.monotonic()
        try:
            signal.signal(signal.SIGALRM, _too_slow)
            signal.alarm(getattr(function, "seconds", CHECK_SECONDS))
            function(stage)
            word, why = ("ok  ", "") if known is None else ("FAIL", f": no longer open: {known}")
            passed, failed = (passed + 1, failed) if known is None else (passed, failed + 1)
        except Skipped as skipped:
            word, why = "skip", f": {skipped}"
        except Exception as error:  # noqa: BLE001 - a check that fails in any way has failed
            word, why = ("FAIL", f": {_reason(error)}") if known is None else ("open", f": {known}: {_reason(error)}")
            failed += known is None
        finally:
            signal.alarm(0)
        print(f"{word} {name} ({time.monotonic() - began:.1f} s){why}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed == 0 and passed > 0


def _too_slow(signum, frame):
    raise TimeoutError("no result in time")


def _reason(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}: {str(error)[:1500]}"
