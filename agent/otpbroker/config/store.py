"""The one place that reads and writes the configuration: atomic, with revisions and a last good copy."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from otpbroker.config.document import Problem, dump, load, parse, salvage, validate
from otpbroker.config.model import Config
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.files import make_folder, replace_file
from otpbroker.sealing import Sealer

REVISIONS = 20

Listener = Callable[[Config, Config], None]


class Store:
    """Holds the current `Config`; a change is a new document."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        """Reads `path`; an absent file means every default. Broken sections keep their last good value."""
        self._path = path
        self._sealer = sealer
        self._listeners: list[Listener] = []
        self._writing = asyncio.Lock()
        self.problems: tuple[Problem, ...] = ()
        self.config = Config()
        self.config = self._read()

    def on_change(self, listener: Listener) -> None:
        """`listener(old, new)` is called on the loop after every change."""
        self._listeners.append(listener)

    async def update(self, change: Callable[[Config], Config], *, by: str) -> Config:
        """Make a new configuration of the current one, check it whole, write it, tell the listeners.

        Raises `Misconfigured` (every place at fault is named) or `Unavailable` (the disk does not take it) and
        changes nothing then.
        """
        async with self._writing:
            old = await asyncio.to_thread(self._read)  # somebody else may have written since
            if self.problems:
                raise Misconfigured(
                    "config-has-mistakes",
                    f"config.yaml has mistakes, writing it now would lose them: {self.problems[0]}",
                    remedy="correct them first; otpbroker check-config names them all",
                )
            # What is written must read back: model copies are not validated by pydantic.
            text = dump(change(old), self._sealer)
            new = validate(parse(text), self._sealer)
            if new != old:
                try:
                    await asyncio.to_thread(self._write, text, dump(old, self._sealer), by)
                except OSError as error:
                    detail = f"the configuration can't be written: {error.strerror}"
                    raise Unavailable("not-saved", detail) from error
                self._become(new, ())
        return self.config

    async def reload(self) -> Config:
        """Read the file again after somebody else wrote it."""
        async with self._writing:
            new = await asyncio.to_thread(self._read)
            self._become(new, self.problems)
        return self.config

    def _become(self, new: Config, problems: tuple[Problem, ...]) -> None:
        old, self.config, self.problems = self.config, new, problems
        if new != old:
            for listener in self._listeners:
                listener(old, new)

    def _read(self) -> Config:
        last_good = self._last_good()
        try:
            document = load(self._path)
        except FileNotFoundError:
            self.problems = (Problem("config.yaml", "is gone", "restore it"),) if last_good else ()
            return last_good or Config()
        except Misconfigured as error:
            self.problems = (Problem("config.yaml", error.detail, "correct it, then reload"),)
            return last_good or self.config
        config, self.problems = salvage(document, self._sealer, last_good or self.config)
        if not self.problems and config != last_good:
            replace_file(self._good_path, dump(config, self._sealer))
        return config

    def _last_good(self) -> Config | None:
        try:
            return validate(load(self._good_path), self._sealer)
        except (Misconfigured, FileNotFoundError):
            return None

    @property
    def _good_path(self) -> Path:
        return self._path.with_name(self._path.stem + ".last-good.yaml")

    def _write(self, text: str, earlier: str, by: str) -> None:
        revisions = self._path.parent / "revisions"
        make_folder(revisions)
        if self._path.exists():
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            replace_file(revisions / f"{stamp}.yaml", earlier)  # not the file: it may hold a secret in clear
            for old in sorted(revisions.glob("*.yaml"))[:-REVISIONS]:
                old.unlink()
        replace_file(self._path, f"# Last change by {by}.\n{text}" if by.isprintable() else text)
        replace_file(self._good_path, text)
