"""Processes that the checks start: each has a log, a deadline for its first word, and an end."""

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 10


class Process:
    """A process in a group of its own, which `stop` ends as a whole. What it prints goes to its log, unless it `answers`."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None, answers: bool = False):
        self.name = name
        self.log = log
        self._log = log.open("ab")
        self._popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if answers else self._log, stderr=self._log,
            env={**os.environ, **(env or {})}, start_new_session=True)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def first_line(self, seconds: float) -> str:
        """What a process that `answers` prints once it is ready; it must print little more, for nobody reads on."""
        deadline = time.monotonic() + seconds
        text = b""
        while b"\n" not in text:
            ready, _, _ = select.select([self._popen.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self._popen.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                raise RuntimeError(f"{self.name} isn't ready after {seconds} s:\n{self.tail()}")
            text += chunk
        return text.split(b"\n")[0].decode()

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def wait(self, seconds: float) -> int:
        """The exit code, which must come in time."""
        return self._popen.wait(timeout=seconds)

    def stop(self) -> None:
        """Asks it to end, then makes it; its group goes with it."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            try:
                self.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._popen.wait()
        if self._popen.stdout:
            self._popen.stdout.close()
        self._log.close()

    def tail(self) -> str:
        self._log.flush()
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])[-4000:]


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command: list[str], seconds: float, stdin: bytes = b"", **options) -> subprocess.CompletedProcess[bytes]:
    """Runs a command to its end, which must come in time."""
    return subprocess.run(command, input=stdin, capture_output=True, timeout=seconds, check=False, **options)
