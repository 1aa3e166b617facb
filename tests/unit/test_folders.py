"""Where the agent keeps what, by who runs it."""

import os
from pathlib import Path

import pytest

from otpbroker.folders import Folders


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system's list of users does not have, as systemd and containers make them."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("LOGS_DIRECTORY", raising=False)
    for function in ("getuid", "geteuid"):
        monkeypatch.setattr(os, function, lambda: 54321)


def test_the_service_managers_folders_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert Folders.default().state == Path("/var/lib/one")


def test_a_user_has_them_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    folders = Folders.default()
    assert folders.state == Path("/home/somebody/.local/state/otpbroker")
    assert folders.runtime == Path("/dev/shm/54321/otpbroker")


def test_a_user_without_a_home_has_to_name_them() -> None:
    assert not Folders.default().state.parents[0].exists()


def test_root_has_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Folders.default() == Folders(
        Path("/var/lib/otpbroker"), Path("/run/otpbroker"), Path("/var/log/otpbroker")
    )
