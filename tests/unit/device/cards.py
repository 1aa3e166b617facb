"""Cards before and after their first boot."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from units import PASSPHRASE, SSID

from otpbroker.config.model import Config
from otpbroker.config.store import Store
from otpbroker.device.boot_partition import BootPartition
from otpbroker.device.first_boot import FirstBoot
from otpbroker.passwords import hash_password
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))
ADMINISTRATOR = {"username": "siti", "password": hash_password("kereta api lewat tengah malam")}


@dataclass(frozen=True, slots=True)
class Card:
    """A card's two partitions as folders."""

    boot: Path
    state: Path

    def start(self, country: str | None = "ID") -> bool:
        store = Store(self.state / "config.yaml", SEALER)
        return FirstBoot(BootPartition(self.boot), self.state, store, SEALER, country).run()

    @property
    def config(self) -> Config:
        store = Store(self.state / "config.yaml", SEALER)
        assert store.problems == ()
        return store.config

    @property
    def provisioning(self) -> Path:
        return self.boot / "otpbroker/config.yaml"

    @property
    def problems(self) -> str:
        path = self.boot / "otpbroker/PROBLEMS.txt"
        return path.read_bytes().decode() if path.exists() else ""

    @property
    def brochure(self) -> str:
        return (self.boot / "otpbroker/brochure.txt").read_text()

    def provide(self, text: str) -> None:
        self.provisioning.parent.mkdir(exist_ok=True)
        self.provisioning.write_text(text)

    def on_boot(self) -> bytes:
        """Everything that any computer reads."""
        return b"".join(path.read_bytes() for path in self.boot.rglob("*") if path.is_file())


def document(**sections: object) -> str:
    """A provisioning file with a network of its own."""
    section = {"enabled": True, "ssid": SSID, "passphrase": PASSPHRASE, "country": "ID"}
    return yaml.safe_dump({"version": 1, "access_point": section} | sections)
