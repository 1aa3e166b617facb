"""What the configuration opens, as sets and a map for the static ruleset of table `inet otpbroker`."""

from collections.abc import Iterable
from ipaddress import ip_address

from otpbroker.config.model import Config, Listener

_HTTP = 80


def firewall_nft(config: Config) -> str:
    """For `nft -f`: all of them anew in one transaction; what is in none of the sets stays closed."""
    access_point = config.access_point
    listeners = (config.admin.listen, config.api.http, config.api.https)
    web = {listener.port for listener in listeners if _is_served(listener)} if access_point.enabled else set()
    opened = {
        protocol: {opening.port for opening in config.firewall.ethernet if opening.protocol == protocol}
        for protocol in ("tcp", "udp")
    }
    return "".join(
        (
            _filled("set access_point_interfaces", [f'"{access_point.bridge}"'] if access_point.enabled else []),
            _filled("set access_point_tcp", map(str, sorted(web))),
            _filled("map access_point_redirect", _to_admin_site(config)),
            _filled("set ethernet_tcp", map(str, sorted(opened["tcp"]))),
            _filled("set ethernet_udp", map(str, sorted(opened["udp"]))),
        )
    )


def _is_served(listener: Listener) -> bool:
    """Whether others than the unit itself reach it on a port that is known beforehand."""
    return listener.enabled and listener.port != 0 and not ip_address(listener.address).is_loopback


def _to_admin_site(config: Config) -> list[str]:
    """Where a phone's check for the internet on port 80 leads: nowhere when the site has that port itself, or
    listens on another network alone.
    """
    site, access_point = config.admin.listen, config.access_point
    here = ip_address(site.address).is_unspecified or site.address == access_point.ip
    led = access_point.enabled and _is_served(site) and here and site.port != _HTTP
    return [f"{_HTTP} : {site.port}"] if led else []


def _filled(collection: str, elements: Iterable[str]) -> str:
    """`collection`: `set` or `map`, and its name."""
    kind, name = collection.split()
    listed = ", ".join(elements)
    filled = f"add element inet otpbroker {name} {{ {listed} }}\n" if listed else ""
    return f"flush {kind} inet otpbroker {name}\n{filled}"
