"""`otpbroker feeder-key`: the key that application servers seal messages to."""

import argparse
import json
import time
from datetime import UTC, datetime

import segno

from otpbroker.cli.place import add_folders, folders_of
from otpbroker.cli.values import days
from otpbroker.feeder.key_ring import DAY, KEPT, DeviceKey, KeyRing
from otpbroker.sealing import Sealer, key_file


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("feeder-key", help="show or replace the key that messages are sealed to")
    acts = parser.add_subparsers(metavar="show|rotate", required=True)
    show = acts.add_parser("show", help="the public key with fingerprint and QR code; made if there is none")
    show.add_argument("--json", action="store_true", help="the public key alone, as JWK")
    show.set_defaults(run=_show)
    rotate = acts.add_parser("rotate", help="make a new key; the old one opens messages for a while longer")
    rotate.add_argument(
        "--keep-days", type=days, default=KEPT / DAY, metavar="DAYS", help="how long; 0: not at all (default: 30)"
    )
    rotate.add_argument("--json", action="store_true", help="print the new public key alone, as JWK")
    rotate.set_defaults(run=_rotate)
    for act in (show, rotate):
        add_folders(act)


def _ring(arguments: argparse.Namespace) -> KeyRing:
    folders = folders_of(arguments)
    return KeyRing(folders.feeder_keys, Sealer(key_file(folders.key)), time.time)


def _show(arguments: argparse.Namespace) -> int:
    ring = _ring(arguments)
    _print(ring.ensure(), ring.usable()[1:], alone=arguments.json)
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    ring = _ring(arguments)
    _print(ring.rotate(arguments.keep_days * DAY), ring.usable()[1:], alone=arguments.json)
    return 0


def _print(current: DeviceKey, old: tuple[DeviceKey, ...], *, alone: bool) -> None:
    jwk = json.dumps(current.public, separators=(",", ":"))
    print(jwk)
    if alone:
        return
    print(f"\nfingerprint {current.kid}")
    for key in old:
        until = datetime.fromtimestamp(key.until or 0, UTC).isoformat(timespec="minutes")
        print(f"{key.kid} still opens messages until {until}")
    print()
    segno.make(jwk, error="l").terminal(compact=True, border=2)
