"""The programs of the appliance, unpacked by tools/setup.sh, in a network of their own that leads nowhere."""

import os
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2] / "build/appliance"
_LIBRARIES = sorted({path.parent for path in _ROOT.rglob("lib*.so*")})

alone = pytest.mark.skipif(
    subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "true"], check=False, capture_output=True
    ).returncode
    != 0,
    reason="this system lets nobody have a network of his own",
)


def command(program: str, *words: str | Path) -> list[str]:
    """The words that run `program` (a path below the root folder, or a name) alone."""
    unpacked = _ROOT / program
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        str(unpacked if unpacked.exists() else program),
        *map(str, words),
    ]


def environment() -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, _LIBRARIES)),
    }


def run(program: str, *words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, *words),
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(),
        check=False,
    )
