"""What makes a unit of a card: takes the provisioning file of the boot partition, or makes the unit's own secrets.

Every step may be the last before a power cut and is done again, or found done, at the next boot. The unit is made
when its configuration with an access point is in place; until then nothing that was written counts.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from otpbroker.config.document import Problem, Section, parse, salvage
from otpbroker.config.model import Config
from otpbroker.config.store import Store
from otpbroker.device.boot_partition import LARGEST, BootPartition, shown
from otpbroker.device.unit import new_unit, opened, require_setup_page, unit_config
from otpbroker.errors import Misconfigured, OtpBrokerError
from otpbroker.files import replace_file
from otpbroker.sealing import Sealer

_log = logging.getLogger(__name__)

_PROVISIONING = "config.yaml"


class FirstBoot:
    """One run, before anything else reads the configuration; outside of an event loop, for it blocks."""

    def __init__(self, boot: BootPartition, state: Path, store: Store, sealer: Sealer, country: str | None) -> None:
        """`country` is where the radio is when nothing else says so."""
        self._boot = boot
        self._store = store
        self._sealer = sealer
        self._country = country
        self._config = state / "config.yaml"
        self._setup_code = state / "setup-code"
        self._done = state / "first-boot-done"
        self._problems: list[Problem] = []

    def run(self) -> bool:
        """Whether nothing is left to do by a person. Raises when there can't be a unit at all: try again."""
        self._boot.tidy()
        if aside := self._boot.make_way():
            detail = f"was a file, which is called {aside.name} now"
            remedy = "make a folder otpbroker and put a provisioning file into it as config.yaml"
            self._problems.append(Problem("otpbroker", detail, remedy))
        try:
            document = self._take_provisioning()
            self._keep_setup_code()
            self._make_unit(document)
        except Misconfigured as error:
            self._problems.append(_problem(error))
            raise
        finally:
            for problem in self._problems:
                _log.error("boot partition: %s", shown(problem))
            self._boot.tell(self._problems)
        self._finish()
        return not self._problems

    def _take_provisioning(self) -> Section | None:
        """The document that is the configuration now, `None` when none came, or none that may be taken."""
        try:
            octets = self._boot.provisioning()
        except IsADirectoryError:
            self._problems.append(Problem(_PROVISIONING, "is a folder", "put the file itself in its place"))
            return None
        if octets is None:
            return None
        if self._store.config.admin.administrators:
            # Whoever puts a file on a card in use would else become its administrator, unseen by the real one.
            self._problems.append(
                Problem(
                    _PROVISIONING,
                    "was not taken: this unit has an administrator",
                    "change the settings on its admin site, and remove this file",
                )
            )
            return None
        if len(octets) > LARGEST:
            self._problems.append(Problem(_PROVISIONING, "is too long", "is it another file?"))
            return None
        try:
            document = parse(octets.decode("utf-8-sig"))
        except UnicodeDecodeError:
            self._problems.append(Problem(_PROVISIONING, "is not UTF-8 text", "save it anew as UTF-8"))
            return None
        except Misconfigured as error:
            # What YAML complains of may be a piece of a secret: the place alone is told.
            place, colon, _ = error.detail.partition(":")
            detail = f"{place} is not YAML" if colon else place
            self._problems.append(Problem(_PROVISIONING, detail, "put values in quotes"))
            return None
        config, problems = salvage(document, self._sealer, None)
        if problems:
            self._problems.extend(problems)
            return None
        if self._brochure_counts(config, document):
            config = opened(config)
            try:
                require_setup_page(_in_place_of(config, document)(self._store.config))
            except Misconfigured as error:
                self._problems.append(_problem(error))
                return None
        self._take(config, document)
        return document

    def _brochure_counts(self, config: Config, document: Section) -> bool:
        """Whether a brochure tells, or will tell, of the network and the setup page that the document leads to."""
        if _is_off(document):
            return False
        network = _in_place_of(config, document)(self._store.config).access_point
        return not network.made or (network.enabled and document.get("access_point") is None)

    def _take(self, config: Config, document: Section) -> None:
        if config.admin.setup_code:
            replace_file(self._setup_code, config.admin.setup_code)
        self._write(_in_place_of(config, document), by="provisioning file")
        if config.access_point.made or config.admin.setup_code or config.device.reset_code:
            self._boot.discard_brochure()
        # Before the file is gone that says so.
        if _is_off(document):
            self._finish()
        else:
            self._done.unlink(missing_ok=True)
        self._boot.discard_provisioning()

    def _keep_setup_code(self) -> None:
        """A code that came into the configuration on another way belongs in its own file too."""
        code = self._store.config.admin.setup_code
        if code is not None:
            replace_file(self._setup_code, code)
            self._write(_without_setup_code, by="first boot")

    def _make_unit(self, document: Section | None) -> None:
        config = self._store.config
        if config.access_point.made or (document is None and self._done.exists()):
            return
        if _is_off(document if document is not None else self._stored()):
            return
        if self._store.problems:
            problem = self._store.problems[0]
            raise Misconfigured("config-has-mistakes", problem.detail, field=problem.place, remedy=problem.remedy)
        unit = new_unit(config)
        made = unit_config(config, unit, self._country)
        assert made.admin.setup_code is not None
        self._boot.write_brochure(unit)
        replace_file(self._setup_code, made.admin.setup_code)
        try:
            self._write(lambda _: _without_setup_code(made), by="first boot")
        except OtpBrokerError:
            self._boot.discard_brochure()
            raise

    def _stored(self) -> Section:
        try:
            return parse(self._config.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, Misconfigured):
            return {}

    def _write(self, change: Callable[[Config], Config], *, by: str) -> None:
        asyncio.run(self._store.update(change, by=by))

    def _finish(self) -> None:
        if not self._done.exists():
            replace_file(self._done, "")


def _problem(error: Misconfigured) -> Problem:
    return Problem(error.field or "", error.detail, error.remedy or "")


def _in_place_of(config: Config, document: Section) -> Callable[[Config], Config]:
    """The document as the new configuration; of what it says nothing about, the unit's own secrets stay."""

    def change(old: Config) -> Config:
        new = _without_setup_code(config)
        if document.get("access_point") is None:
            new = new.model_copy(update={"access_point": old.access_point})
        if new.device.reset_code is None:
            device = new.device.model_copy(update={"reset_code": old.device.reset_code})
            new = new.model_copy(update={"device": device})
        return new

    return change


def _without_setup_code(config: Config) -> Config:
    return config.model_copy(update={"admin": config.admin.model_copy(update={"setup_code": None})})


def _is_off(document: Section) -> bool:
    """Whether somebody wants no access point, other than not having spoken of one."""
    section = document.get("access_point")
    return isinstance(section, dict) and section.get("enabled") is False
