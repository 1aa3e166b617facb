"""The files by which the configuration reaches the programs of the system, all of them together."""

from collections.abc import Mapping
from pathlib import Path

from otpbroker.config.model import Config
from otpbroker.device.access_point import choose_security, connection_file, dnsmasq_conf, hostapd_conf
from otpbroker.device.console import issue
from otpbroker.device.firewall import firewall_nft
from otpbroker.files import make_folder, replace_file

NAMES = (
    "hostapd.conf",
    "dnsmasq.conf",
    "access-point.nmconnection",
    "firewall.nft",
    "hostname",
    "issue",
    "authorized_keys",
    "ssh-enabled",
)


def system_files(config: Config, driver: str | None) -> dict[str, str]:
    """The text of each file by its name; what is switched off has none. `driver` is the radio's."""
    section = config.access_point
    files = {
        "firewall.nft": firewall_nft(config),
        "hostname": f"{config.device.hostname}\n",
        "issue": issue(config),
        "authorized_keys": "".join(f"{key}\n" for key in config.ssh.authorized_keys),
    }
    if section.enabled:
        files["hostapd.conf"] = hostapd_conf(section, choose_security(section, driver))
        files["dnsmasq.conf"] = dnsmasq_conf(section, config.device.hostname)
        files["access-point.nmconnection"] = connection_file(section)
    if config.ssh.enabled:
        files["ssh-enabled"] = ""
    return files


def write_system_files(folder: Path, files: Mapping[str, str]) -> None:
    """Each file whole or not at all, for the owner alone; those which an earlier configuration had are removed."""
    make_folder(folder)
    folder.chmod(0o700)
    for name in NAMES:
        if name in files:
            replace_file(folder / name, files[name])
        else:
            (folder / name).unlink(missing_ok=True)
