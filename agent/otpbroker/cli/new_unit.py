"""`otpbroker new-unit`: one unit's secrets as provisioning file and brochure, for who prepares cards."""

import argparse
import json
from pathlib import Path

from otpbroker.cli.process import keep_out_of_core_dumps
from otpbroker.config.document import dump_clear, parse, validate
from otpbroker.config.model import Config
from otpbroker.device.brochure import brochure_svg, brochure_txt
from otpbroker.device.unit import new_unit, require_no_secrets, unit_config
from otpbroker.errors import Misconfigured, Rejected, Unavailable
from otpbroker.files import replace_file
from otpbroker.sealing import Sealer


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("new-unit", help="make one unit's secrets: provisioning file and brochure")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder for this unit alone")
    parser.add_argument("--country", metavar="CODE", help="where the radio will be, as ID; or in the base")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a config.yaml with what all units share")
    parser.set_defaults(run=make)


def make(arguments: argparse.Namespace) -> int:
    keep_out_of_core_dumps()
    base = _base(arguments.config)
    require_no_secrets(base)
    unit = new_unit(base)
    document = dump_clear(unit_config(base, unit, arguments.country))
    validate(parse(document), _NO_KEY)  # copies of the model are not validated by pydantic
    if (arguments.out / "config.yaml").exists():
        raise Rejected("unit-exists", f"{arguments.out} holds a unit", field="out", remedy="name another folder")
    try:
        arguments.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(arguments.out / "brochure.svg", brochure_svg(unit))
        replace_file(arguments.out / "brochure.txt", brochure_txt(unit))
        replace_file(arguments.out / "config.yaml", document)
    except OSError as error:
        raise Unavailable("not-saved", f"{arguments.out} can't be written: {error.strerror}") from error
    facts = {
        "ssid": unit.ssid,
        "passphrase": unit.passphrase,
        "setup_url": unit.setup_url,
        "reset_code": unit.reset_code,
        "address": base.access_point.ip,
    }
    print(json.dumps(facts))
    return 0


_NO_KEY = Sealer(bytes(32))  # a base for many units holds nothing sealed by one of them


def _base(path: Path | None) -> Config:
    if path is None:
        return Config()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("config-unreadable", f"{path} can't be read: {error}") from None
    return validate(parse(text), _NO_KEY)
