"""The site's pages: each module here is one, see `site.Page`; its templates bear its name."""

from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from otpbroker.web.site import Page


def load_pages() -> list[Page]:
    """Every page there is."""
    return [cast(Page, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__)]
