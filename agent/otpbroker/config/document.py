"""`config.yaml` as text: parsed and validated section by section, dumped with its secrets sealed."""

import base64
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, TypeAdapter, ValidationError

from otpbroker.config.feeders import FEEDER_KINDS, Feeder
from otpbroker.config.model import Config, Listener, ModemSection
from otpbroker.errors import Misconfigured
from otpbroker.sealing import Sealer

_SEALED = "sealed:"
_CONTEXT = "config.yaml"
_ENTER_ANEW = "enter the secret anew"
_HEADER = "# The device's one document. After editing: systemctl reload otpbroker (or send SIGHUP to the agent).\n"

Section = dict[str, Any]

_SECTIONS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(field.annotation)
    for name, field in Config.model_fields.items()
    if name != "version" and field.annotation is not None
}

_FEEDER: TypeAdapter[Feeder] = TypeAdapter(Feeder)
_LISTENERS = {"api": ("http", "https"), "admin": ("listen",)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an administrator has to put right; `place` is a dotted path of the document."""

    place: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}" + (f" ({self.remedy})" if self.remedy else "")


def parse(text: str) -> Section:
    """YAML to plain values. Raises `Misconfigured`, with line and column where they are known."""
    try:
        document = yaml.load(text, _UniqueKeys)  # noqa: S506 # a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the document"
        raise Misconfigured("config-not-yaml", f"{place}: {error.problem}", field="config.yaml") from None
    except yaml.YAMLError:
        raise Misconfigured("config-not-yaml", "not YAML text", field="config.yaml") from None
    except RecursionError:
        raise Misconfigured("config-not-yaml", "is nested too deeply", field="config.yaml") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise Misconfigured("config-not-yaml", "must be a mapping of sections", field="config.yaml")
    return document


def load(path: Path) -> Section:
    """`parse` the text of a file. Raises `FileNotFoundError` too."""
    try:
        return parse(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise Misconfigured("config-not-yaml", "not UTF-8 text", field="config.yaml") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Misconfigured("config-unreadable", f"can't be read: {error.strerror}", field="config.yaml") from None


def validate(document: Section, sealer: Sealer) -> Config:
    """The whole document or nothing. Raises `Misconfigured` that names every place at fault."""
    config, problems = salvage(document, sealer, None)
    if problems:
        raise Misconfigured(
            "config-invalid",
            "; ".join(map(str, problems)),
            field=problems[0].place,
            remedy="see docs/operations.md for every setting",
        )
    return config


def salvage(document: Section, sealer: Sealer, last_good: Config | None) -> tuple[Config, tuple[Problem, ...]]:
    """The best configuration that the document gives: a broken section keeps its last good value."""
    problems: list[Problem] = []
    good: Section = {}
    fallback = last_good or Config()
    version = document.get("version", 1)
    if version != 1:
        problems.append(Problem("version", f"version {version} is not known", "install the release that wrote it"))
    problems += [
        Problem(name, "there is no such section", "remove it or correct its name")
        for name in document
        if name not in Config.model_fields
    ]
    for name, section in _SECTIONS.items():
        if document.get(name) is None:
            continue
        if name == "modems":
            good[name] = _modems(document[name], sealer, fallback, problems)
            continue
        if name == "feeders":
            good[name] = _feeders(document[name], sealer, fallback, problems)
            continue
        try:
            good[name] = section.validate_python(_unsealed(document[name], sealer))
        except ValidationError as error:
            problems.extend(_problems(name, error))
            good[name] = getattr(fallback, name)
        except Misconfigured as error:
            problems.append(Problem(name, error.detail, _ENTER_ANEW))
            good[name] = getattr(fallback, name)
    try:
        return Config.model_validate(good), tuple(problems)
    except ValidationError as error:
        problems.extend(_problems("", error))
        return fallback, tuple(problems)


def dump(config: Config, sealer: Sealer) -> str:
    """The document with every secret sealed; what is at its default is left out."""
    plain = _sealed(_plain(config), sealer)
    return _HEADER + yaml.safe_dump({"version": config.version} | plain, sort_keys=False, allow_unicode=True)


def dump_clear(config: Config) -> str:
    """The document as a person writes it, with its secrets in clear: for a unit that has no key yet."""
    plain = _walk(
        _plain(config),
        lambda value: value.get_secret_value() if isinstance(value, SecretStr) else value,
    )
    assert isinstance(plain, dict)
    return yaml.safe_dump({"version": config.version} | plain, sort_keys=False, allow_unicode=True)


def _plain(config: Config) -> Section:
    """What is not at its default; of a listener all that was said: a unit opens none that names its address."""
    plain = config.model_dump(exclude_defaults=True)
    for name, listeners in _LISTENERS.items():
        for listener in listeners:
            said: Listener = getattr(getattr(config, name), listener)
            if "address" in said.model_fields_set or listener in plain.get(name, {}):
                plain.setdefault(name, {})[listener] = said.model_dump(exclude_unset=True)
    return plain


def _modems(raw: object, sealer: Sealer, fallback: Config, problems: list[Problem]) -> tuple[ModemSection, ...]:
    """Each entry by itself: one broken modem does not take the others along."""
    if not isinstance(raw, list):
        problems.append(Problem("modems", "must be a list", "begin each modem with a dash"))
        return fallback.modems
    last_good = {modem.id: modem for modem in fallback.modems}
    modems: list[ModemSection] = []
    for place, entry in enumerate(raw):
        try:
            modem = ModemSection.model_validate(_unsealed(entry, sealer))
            if any(modem.id == other.id or {*modem.identities} & {*other.identities} for other in modems):
                detail = "its id, port, SIM or stick is there twice"
                problems.append(Problem(f"modems.{place}", detail, "change or remove one"))
            else:
                modems.append(modem)
            continue
        except ValidationError as error:
            problems.extend(_problems(f"modems.{place}", error))
        except Misconfigured as error:
            problems.append(Problem(f"modems.{place}", error.detail, _ENTER_ANEW))
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"] in last_good:
            modems.append(last_good.pop(entry["id"]))
    return tuple(modems)


def _feeders(raw: object, sealer: Sealer, fallback: Config, problems: list[Problem]) -> tuple[Feeder, ...]:
    """Each entry by itself, as modems are."""
    if not isinstance(raw, list):
        problems.append(Problem("feeders", "must be a list", "begin each feeder with a dash"))
        return fallback.feeders
    last_good = {feeder.id: feeder for feeder in fallback.feeders}
    feeders: dict[str, Feeder] = {}
    for place, entry in enumerate(raw):
        feeder = None
        kind = entry.get("kind") if isinstance(entry, dict) else None
        try:
            feeder = _FEEDER.validate_python(_unsealed(entry, sealer))
        except ValidationError as error:
            if kind in FEEDER_KINDS:
                problems.extend(_problems(f"feeders.{place}", error, kind))
            else:
                problems.append(Problem(f"feeders.{place}.kind", f"must be {' or '.join(FEEDER_KINDS)}"))
        except Misconfigured as error:
            problems.append(Problem(f"feeders.{place}", error.detail, _ENTER_ANEW))
        if feeder is None and isinstance(entry, dict) and isinstance(entry.get("id"), str):
            feeder = last_good.get(entry["id"])
        if feeder is not None and feeders.setdefault(feeder.id, feeder) is not feeder:
            problems.append(Problem(f"feeders.{place}", "its id is there twice", "change or remove one"))
    return tuple(feeders.values())


def _problems(place: str, error: ValidationError, kind: str | None = None) -> Iterable[Problem]:
    """`kind`: of an entry that may be of several; pydantic names it as if it were a place."""
    for line in error.errors(include_url=False, include_input=False, include_context=False):
        inner = line["loc"][1:] if line["loc"][:1] == (kind,) else line["loc"]
        path = ".".join(str(part) for part in ((place,) if place else ()) + inner)
        remedy = "put it in quotes" if line["type"] == "string_type" else ""
        yield Problem(path or "config.yaml", line["msg"].removeprefix("Value error, "), remedy)


def _unsealed(value: object, sealer: Sealer) -> object:
    def unseal(text: object) -> object:
        if not isinstance(text, str) or not text.startswith(_SEALED):
            return text
        try:
            sealed = base64.b64decode(text.removeprefix(_SEALED), validate=True)
        except ValueError:
            raise Misconfigured("seal-broken", "a sealed secret is damaged") from None
        return sealer.open(sealed, _CONTEXT).decode()

    return _walk(value, unseal)


def _sealed(value: Any, sealer: Sealer) -> Any:
    def seal(secret: object) -> object:
        if not isinstance(secret, SecretStr):
            return secret
        sealed = sealer.seal(secret.get_secret_value().encode(), _CONTEXT)
        return _SEALED + base64.b64encode(sealed).decode()

    return _walk(value, seal)


def _walk(value: object, change: Callable[[object], object]) -> object:
    if isinstance(value, Mapping):
        return {key: _walk(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, change) for item in value]
    return change(value)


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader without aliases, which refuses a key that is there twice: the second would win silently."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not understood", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What looks like a date or a number and is none makes the loader raise whatever Python does."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError):
            problem = "the value is not understood: quote it if it is text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a key must be a name", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key} is there twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
