"""Where the agent keeps what: settings and lists, what only a crash must survive, reports."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from otpbroker.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Folders:
    """`state` survives a power cut, `runtime` is in RAM, `log` holds the reports."""

    state: Path
    runtime: Path
    log: Path

    @classmethod
    def default(cls) -> Self:
        """systemd's folders for the unit, else root's, else the user's own (XDG base directory specification)."""

        root = os.geteuid() == 0

        def first(variable: str, for_root: str, for_user: Callable[[], Path]) -> Path:
            if given := os.environ.get(variable):
                return Path(given.split(":")[0])
            return Path(for_root) if root else for_user()

        return cls(
            state=first("STATE_DIRECTORY", "/var/lib/otpbroker", lambda: _home_state() / "otpbroker"),
            runtime=first("RUNTIME_DIRECTORY", "/run/otpbroker", lambda: _user_runtime() / "otpbroker"),
            log=first("LOGS_DIRECTORY", "/var/log/otpbroker", lambda: _home_state() / "otpbroker/log"),
        )

    def make(self) -> None:
        """Create what is missing, for the owner alone; raises `Misconfigured` for what can't be a folder."""
        for name in ("state", "runtime", "log"):
            self._make(name)

    def make_state(self) -> None:
        """Like `make`, for commands that need nothing else."""
        self._make("state")

    def _make(self, name: str) -> None:
        folder: Path = getattr(self, name)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            writable = os.access(folder, os.W_OK | os.X_OK)
        except OSError as error:
            reason = error.strerror or "it can't be made"
        else:
            if writable:
                return
            reason = "this user may not write there"
        raise Misconfigured(
            "folder-unusable",
            f"{folder}: {reason}",
            field=f"--{name}",
            remedy="choose another folder, or run as the user whom it belongs to",
        )

    @property
    def config(self) -> Path:
        return self.state / "config.yaml"

    @property
    def feeder_keys(self) -> Path:
        """The key pairs that messages are sealed to."""
        return self.state / "feeder-keys"

    @property
    def key(self) -> Path:
        """The key of the secrets in config.yaml; a systemd credential goes before a file of our own."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and (Path(credentials) / "secret.key").exists():
            return Path(credentials) / "secret.key"
        return self.state / "secret.key"


def _home_state() -> Path:
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given)
    try:
        return Path.home() / ".local/state"
    except RuntimeError:  # a user without an entry in the system's list, and no HOME: it has to name its folders
        return Path("/nonexistent")


def _user_runtime() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/dev/shm/{os.geteuid()}")  # noqa: S108 # RAM
