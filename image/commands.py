"""Running the tools that do the work: output to a log, chosen lines to the person, nothing left behind."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from image.errors import Failed, Missing

Word = str | Path
_SHOWN_OF_A_FAILURE = 15
# How this machine reaches package archives, and where it keeps its things: none of it ends in an image.
_KEPT = re.compile(r"HOME|TMPDIR|TERM|PIP_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(?i:https?_proxy|no_proxy)")


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands one after another. `note` gets the lines of their output that a person wants to see."""

    log: Path
    note: Callable[[str], None] = lambda _: None

    def run(
        self,
        argv: Sequence[Word],
        *,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        show: str | None = None,
        contained: bool = False,
        text: str | None = None,
    ) -> None:
        """Run to its end; `Failed` with the last lines otherwise. `show`: a pattern whose group is noted.

        `contained`: with mounts and processes of its own (as root), which are gone when it ends or this
        process does, however it does.
        """
        words = [str(word) for word in (*(CONTAINED if contained else ()), *argv)]
        pattern = re.compile(show) if show else None
        last: list[str] = []
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(words)}\n")
            log.flush()
            with _start(words, env, folder, text is not None) as process:
                try:
                    if text is not None:
                        assert process.stdin is not None
                        process.stdin.write(text)
                        process.stdin.close()
                    assert process.stdout is not None
                    for line in process.stdout:
                        log.write(line)
                        last = [*last[1 - _SHOWN_OF_A_FAILURE :], line]
                        if pattern and (match := pattern.search(line)):
                            self.note(match[match.lastindex or 0].strip())
                    code = process.wait()
                finally:
                    if process.poll() is None:
                        process.kill()
        if code != 0:
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Failed(
                f"{words[len(words) - len(argv)]} failed, {reason}; log: {self.log}\n{''.join(last).rstrip()}"
            )

    def read(self, argv: Sequence[Word], *, env: Mapping[str, str] | None = None) -> str:
        """What a command says on standard output; `Failed` with its complaint when it fails."""
        words = [str(word) for word in argv]
        require(words[0])
        done = subprocess.run(words, env=_environment(env), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr.strip()}")
        return done.stdout

    def pipe_to(self, argv: Sequence[Word], target: IO[bytes]) -> None:
        """Standard output into a file."""
        words = [str(word) for word in argv]
        require(words[0])
        done = subprocess.run(words, env=_environment(None), stdout=target, stderr=subprocess.PIPE, check=False)  # noqa: S603
        if done.returncode != 0:
            raise Failed(f"{words[0]}: exit code {done.returncode}\n{done.stderr.decode(errors='replace').strip()}")


# setpriv kills unshare when this process dies, unshare kills the first process of its namespace, and with that
# the kernel ends every process in it and drops every mount.
CONTAINED: tuple[str, ...] = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--"),
)


def require(*tools: str) -> None:
    """Say at once which of the tools are not here."""
    missing = [tool for tool in tools if shutil.which(tool, path=_environment(None)["PATH"]) is None]
    if missing:
        raise Missing(f"not found: {', '.join(missing)}", remedy="tools/setup.sh image installs what is needed")


def require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise Missing(f"{what} needs root", remedy="run it as root or by sudo")


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Of the caller's environment only what tells nothing about the machine: builds must not depend on the rest."""
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    return {**kept, "PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(extra or {})}


def _start(
    words: list[str], env: Mapping[str, str] | None, folder: Path | None, with_input: bool
) -> "subprocess.Popen[str]":
    require(words[0])
    return subprocess.Popen(  # noqa: S603
        words,
        env=_environment(env),
        cwd=folder,
        stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
