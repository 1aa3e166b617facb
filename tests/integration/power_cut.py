"""Runs a command of the command line many times, each time killed before another one of its file operations.

usage: power_cut.py TEMPLATE FOLDER COMMAND...

Copies TEMPLATE to FOLDER/1, FOLDER/2..., and in the n-th copy runs COMMAND, in which `{}` is the copy, and kills it
(SIGKILL) before it opens for writing, renames, links, removes or makes its n-th file; then runs it again unharmed.
Ends with the first copy in which the command was not hindered, and prints a line for each: what it was killed
before, and the exit code of the second run.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from otpbroker.cli import main

_CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate"}


class Killer:
    """An audit hook: sees every file operation of the interpreter before it is made."""

    def __init__(self, place: Path, last: int, told: int) -> None:
        self._place = str(place)
        self._left = last
        self._told = told

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not (writes or event in _CHANGES) or not str(arguments[0]).startswith(self._place):
            return
        self._left -= 1
        if self._left == 0:
            os.write(self._told, f"{event} {arguments[0]}".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def run(words: list[str], place: Path, kill_at: int | None) -> tuple[int, str]:
    """The exit code of the command in a process of its own, and what it was killed before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if kill_at is not None:
            sys.addaudithook(Killer(place, kill_at, writing))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(main(words))
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        return os.waitstatus_to_exitcode(status), told.read()


def cut_everywhere(template: Path, folder: Path, command: list[str]) -> None:
    for number in range(1000):
        place = folder / str(number)
        shutil.copytree(template, place)
        words = [word.replace("{}", str(place)) for word in command]
        if number == 0:
            main(words)  # once in this process, so that its children find every module in memory
            continue
        code, before = run(words, place, number)
        if code == -signal.SIGKILL:
            code, _ = run(words, place, None)
        print(code, before.replace(str(place), ""), flush=True)
        if not before:
            return


if __name__ == "__main__":
    cut_everywhere(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
