"""Every word that the admin site shows exists in Indonesian; English is the language of the ids."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

import otpbroker.web
from otpbroker.web.language import parse_po

WEB = Path(otpbroker.web.__file__).parent
CATALOGUE = WEB / "locale" / "id" / "LC_MESSAGES" / "admin.po"
MARKERS = {"_", "gettext", "ngettext", "gettext_noop"}
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")


def template_messages() -> Iterator[str]:
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for template in (WEB / "templates").rglob("*.html"):
        for _line, _function, message in environment.extract_translations(template.read_text("utf-8")):
            yield from (message,) if isinstance(message, str) else filter(None, message)


def python_messages() -> Iterator[str]:
    for module in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in MARKERS
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield node.args[0].value


@pytest.fixture(scope="module")
def used() -> set[str]:
    return {*template_messages(), *python_messages()}


@pytest.fixture(scope="module")
def translated() -> dict[str, tuple[str, ...]]:
    return parse_po(CATALOGUE.read_text("utf-8"))


def test_every_message_is_translated(used: set[str], translated: dict[str, tuple[str, ...]]) -> None:
    plurals = {message for message in used if message.startswith("%(num)s") and "s ago" in message}
    assert len(used) > 80
    assert used - plurals - translated.keys() == set()


def test_no_translation_is_left_over(used: set[str], translated: dict[str, tuple[str, ...]]) -> None:
    assert translated.keys() - used == set()


def test_translations_keep_the_placeholders(translated: dict[str, tuple[str, ...]]) -> None:
    for message, forms in translated.items():
        for form in forms:
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(message)), message
