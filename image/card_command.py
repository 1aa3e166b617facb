"""`build.sh personalise`, `build.sh flash`, `build.sh verify`."""

import argparse
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path

from image.base_image import opened
from image.commands import Commands
from image.disks import Target, target_at
from image.errors import Refused
from image.flash import config_of, put_unit, refuse_unfit, source_of, write
from image.personalise import Wishes, personalise
from image.private import Marks
from image.verify import verify


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", repo: Path) -> None:
    own = commands.add_parser("personalise", help="make units: secrets, brochures, provisioning files")
    own.add_argument("image", type=Path, metavar="IMAGE", help="what the units will be flashed with")
    own.add_argument("--count", type=int, default=1, metavar="N", help="how many (default: 1)")
    own.add_argument("--out", type=Path, required=True, metavar="DIR", help="where unit-001, ... and units.csv go")
    own.add_argument("--country", metavar="CC", help="where the units will be used (ISO 3166-1)")
    own.add_argument("--config", type=Path, metavar="FILE", help="a config.yaml that all units begin with")
    own.add_argument("--images", action="store_true", help="also write a whole image for each unit")
    own.set_defaults(run=run_personalise)
    flash = commands.add_parser("flash", help="write an image to a card")
    flash.add_argument("image", type=Path, metavar="IMAGE", help=".img.xz with its .bmap beside it, or .img")
    flash.add_argument("target", type=Path, metavar="TARGET", help="the card's disk, such as /dev/sdb, or a file")
    flash.add_argument("--unit", type=Path, metavar="DIR", help="a folder of personalise: the card is this unit's")
    flash.add_argument("--yes", action="store_true", help="do not ask")
    flash.set_defaults(run=run_flash)
    check = commands.add_parser("verify", help="check an image: sound, and nothing private in it")
    check.add_argument("image", type=Path, metavar="IMAGE", help=".img or .img.xz")
    check.add_argument("--scratch", type=Path, metavar="DIR", help="where to unpack; quickest in RAM")
    check.add_argument("--work", type=Path, metavar="DIR", help="the folder that was given to image")
    check.set_defaults(run=partial(run_verify, repo))


def run_personalise(arguments: argparse.Namespace) -> None:
    if not arguments.image.exists():
        raise Refused(f"there is no {arguments.image}")
    if not 1 <= arguments.count <= 10_000:
        raise Refused("--count must be 1 to 10000")
    with tempfile.TemporaryDirectory(prefix="otpbroker-personalise-") as scratch:
        commands = Commands(Path(scratch) / "log")
        units = personalise(arguments.count, arguments.out, Wishes(arguments.country, arguments.config), commands)
        for unit in units:
            print(unit)
            if arguments.images:
                image = unit / arguments.image.name.removesuffix(".xz")
                try:
                    _unpack(arguments.image, image)
                except BaseException:  # half an image looks like one
                    image.unlink(missing_ok=True)
                    raise
                put_unit(image, unit, commands)
    print(f"{arguments.out / 'units.csv'} and the folders hold secrets: keep them as you keep keys")


def run_flash(arguments: argparse.Namespace) -> None:
    if arguments.unit:
        config_of(arguments.unit)
    source = source_of(arguments.image)
    target = target_at(arguments.target)
    refuse_unfit(target, source)
    print(f"Everything on this will be erased:\n{target.description()}", flush=True)
    if not arguments.yes:
        _ask(target)
    write(source, target, _say)
    if arguments.unit:
        with tempfile.TemporaryDirectory(prefix="otpbroker-flash-") as scratch:
            put_unit(target.path, arguments.unit, Commands(Path(scratch) / "log"))
        _say(f"{arguments.unit.name} is on its boot partition")
    _say("done: the card may be taken out")


def run_verify(repo: Path, arguments: argparse.Namespace) -> None:
    if not arguments.image.is_file():
        raise Refused(f"there is no image {arguments.image}")
    marks = Marks(build_folders(repo, arguments.work), socket.gethostname())
    with tempfile.TemporaryDirectory(prefix="otpbroker-verify-", dir=arguments.scratch) as scratch:
        verify(arguments.image, marks, Path(scratch), Commands(Path(scratch) / "log"), _say)


def build_folders(repo: Path, work: Path | None) -> tuple[str, ...]:
    """Paths that would tell where the image was made."""
    return tuple(dict.fromkeys([str(repo), *([str(work.resolve())] if work else [])]))


def _unpack(packed: Path, image: Path) -> None:
    with opened(packed) as stream, image.open("wb") as file:
        while chunk := stream.read(1 << 20):
            if chunk.count(0) == len(chunk):
                file.seek(len(chunk), 1)
            else:
                file.write(chunk)
        file.truncate(file.tell())


def _ask(target: Target) -> None:
    print(f"Type {target.path.name} to go on: ", end="", flush=True)
    if sys.stdin.readline().strip() != target.path.name:
        raise Refused("nothing was written")


def _say(text: str) -> None:
    print(text, flush=True)
