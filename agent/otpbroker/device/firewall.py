"""What the configuration opens, as sets for the static ruleset of table `inet otpbroker`."""

from collections.abc import Iterable
from ipaddress import ip_address

from otpbroker.config.model import Config, Listener


def firewall_nft(config: Config) -> str:
    """For `nft -f`: all sets anew in one transaction; what is in none of them stays closed."""
    access_point = config.access_point
    listeners = (config.admin.listen, config.api.http, config.api.https)
    web = {listener.port for listener in listeners if _is_served(listener)} if access_point.enabled else set()
    opened = {
        protocol: {opening.port for opening in config.firewall.ethernet if opening.protocol == protocol}
        for protocol in ("tcp", "udp")
    }
    return "".join(
        (
            _set("access_point_interfaces", [f'"{access_point.bridge}"'] if access_point.enabled else []),
            _set("access_point_tcp", map(str, sorted(web))),
            _set("ethernet_tcp", map(str, sorted(opened["tcp"]))),
            _set("ethernet_udp", map(str, sorted(opened["udp"]))),
        )
    )


def _is_served(listener: Listener) -> bool:
    """Whether others than the unit itself reach it on a port that is known beforehand."""
    return listener.enabled and listener.port != 0 and not ip_address(listener.address).is_loopback


def _set(name: str, elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    filled = f"add element inet otpbroker {name} {{ {listed} }}\n" if listed else ""
    return f"flush set inet otpbroker {name}\n{filled}"
