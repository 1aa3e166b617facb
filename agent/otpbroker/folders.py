"""Where the agent keeps what: settings and lists, what only a crash must survive, reports."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Folders:
    """`state` survives a power cut, `runtime` is in RAM, `log` holds the reports."""

    state: Path
    runtime: Path
    log: Path

    @classmethod
    def default(cls) -> Self:
        """systemd's folders for the unit, else root's, else the user's own (XDG base directory specification)."""

        def first(variable: str, for_root: str, for_user: Path) -> Path:
            if given := os.environ.get(variable):
                return Path(given.split(":")[0])
            return Path(for_root) if os.geteuid() == 0 else for_user

        home_state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
        user_runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/dev/shm/{os.geteuid()}")  # noqa: S108 # RAM
        return cls(
            state=first("STATE_DIRECTORY", "/var/lib/otpbroker", home_state / "otpbroker"),
            runtime=first("RUNTIME_DIRECTORY", "/run/otpbroker", user_runtime / "otpbroker"),
            log=first("LOGS_DIRECTORY", "/var/log/otpbroker", home_state / "otpbroker/log"),
        )

    def make(self) -> None:
        """Create what is missing, for the owner alone."""
        for folder in (self.state, self.runtime, self.log):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def config(self) -> Path:
        return self.state / "config.yaml"

    @property
    def key(self) -> Path:
        """The key of the secrets in config.yaml; a systemd credential goes before a file of our own."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and (Path(credentials) / "secret.key").exists():
            return Path(credentials) / "secret.key"
        return self.state / "secret.key"
