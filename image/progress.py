"""What a person sees while an image is made: numbered steps, what each is at, how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Progress:
    """Prints to `stream`; `times` keeps the seconds of every step for the closing table."""

    total: int = 0
    stream: TextIO = sys.stdout
    now: Callable[[], float] = time.monotonic
    times: list[tuple[str, float, str]] = field(default_factory=list)
    _started: float = 0.0

    @contextmanager
    def step(self, name: str, summary: str) -> Iterator[None]:
        """One step; its line of success is printed only when it ended without an exception."""
        self._started = self.now()
        self._print(f"[{len(self.times) + 1}/{self.total}] {name}: {summary}")
        yield
        seconds = self.now() - self._started
        self.times.append((name, seconds, "done"))
        self._print(f"      done in {seconds:.1f} s")

    def kept(self, name: str, summary: str) -> None:
        """A step whose artefact was made from the same inputs before."""
        self.times.append((name, 0.0, "kept"))
        self._print(f"[{len(self.times)}/{self.total}] {name}: {summary}: kept, its inputs are the same")

    def note(self, text: str) -> None:
        """What the present step is at."""
        self._print(f"      {self.now() - self._started:6.1f} s  {text}")

    def say(self, text: str) -> None:
        self._print(text)

    def table(self) -> str:
        """The times of all steps, and their sum."""
        lines = [
            f"  {name:<12} {'kept' if how == 'kept' else f'{seconds:.1f} s':>9}"
            for name, seconds, how in self.times
        ]
        return "\n".join([*lines, f"  {'all':<12} {sum(seconds for _, seconds, _ in self.times):>7.1f} s"])

    def _print(self, text: str) -> None:
        print(text, file=self.stream, flush=True)
