"""The unit's own wireless network, as the configuration describes it."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, NetmaskValueError
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from otpbroker.config.country import COUNTRIES, highest_channel
from otpbroker.config.section import Section

_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # RFC 1918


def _interface(value: str) -> str:
    """A name that the kernel takes, made of signs that mean nothing to any program that reads it."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,14}", value) or value == "lo":
        raise ValueError("must be a network interface such as wlan0: a letter, then letters, digits, - or _")
    return value


def _ssid(value: str) -> str:
    if not value.isprintable() or not 1 <= len(value.encode()) <= 32 or value != value.strip():
        raise ValueError("must be 1 to 32 octets of printable characters; take off line ends and outer spaces")
    return value


def _passphrase(value: SecretStr) -> SecretStr:
    """IEEE 802.11-2020, annex J.4: a pass-phrase is a sequence of 8 to 63 ASCII characters from 32 to 126."""
    if not re.fullmatch(r"[ -~]{8,63}", value.get_secret_value()):
        raise ValueError("must be 8 to 63 printable ASCII characters; otpbroker new-unit makes a good one")
    return value


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError("must be an ISO 3166-1 country code of two capital letters, for example ID")
    return value


def _address(value: str) -> str:
    try:
        interface = IPv4Interface(value)
    except (AddressValueError, NetmaskValueError):
        interface = None
    if interface is None or "/" not in value:
        raise ValueError("must be an IPv4 address with its prefix length, for example 192.168.0.11/24")
    network = interface.network
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise ValueError("must be a private address (RFC 1918); take one of 192.168.0.0/16")
    if network.prefixlen > 29:
        raise ValueError("leaves no room for phones; take a prefix length of at most 29")
    if interface.ip in {network.network_address, network.broadcast_address}:
        raise ValueError("is the subnet itself or its broadcast address; take an address between them")
    return str(interface)


def _lease_address(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except AddressValueError:
        raise ValueError("must be an IPv4 address, for example 192.168.0.100") from None


InterfaceName = Annotated[str, AfterValidator(_interface)]
Ssid = Annotated[str, AfterValidator(_ssid)]
Passphrase = Annotated[SecretStr, AfterValidator(_passphrase)]
Country = Annotated[str, AfterValidator(_country)]
InterfaceAddress = Annotated[str, AfterValidator(_address)]
LeaseAddress = Annotated[str, AfterValidator(_lease_address)]


class AccessPointSection(Section):
    """hostapd's radio, its bridge and dnsmasq's leases; `channel` is of 2.4 GHz, `dhcp_lease` in seconds."""

    enabled: bool = False
    interface: InterfaceName = "wlan0"
    bridge: InterfaceName = "ap0"
    ssid: Ssid | None = Field(None, validate_default=True)
    passphrase: Passphrase | None = Field(None, validate_default=True)
    country: Country | None = Field(None, validate_default=True)
    channel: int = Field(6, ge=1, le=13)
    security: Literal["auto", "wpa2", "wpa2-wpa3"] = "auto"
    address: InterfaceAddress = "192.168.0.11/24"
    dhcp_first: LeaseAddress = Field("192.168.0.100", validate_default=True)
    dhcp_last: LeaseAddress = Field("192.168.0.200", validate_default=True)
    dhcp_lease: int = Field(43200, ge=120, le=7 * 86400)

    @field_validator("bridge")
    @classmethod
    def _bridge_is_another_interface(cls, bridge: str, info: ValidationInfo) -> str:
        if bridge == info.data.get("interface"):
            raise ValueError("is the radio itself; take another name, such as ap0")
        return bridge

    @field_validator("ssid", "passphrase", "country")
    @classmethod
    def _is_there_when_enabled(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("enabled"):
            raise ValueError("is required when the access point is enabled; set it, or set enabled: false")
        return value

    @field_validator("channel")
    @classmethod
    def _channel_is_allowed(cls, channel: int, info: ValidationInfo) -> int:
        country = info.data.get("country")
        if country is not None and channel > highest_channel(country):
            raise ValueError(f"is not allowed in {country}; take 1 to {highest_channel(country)}")
        return channel

    @field_validator("dhcp_first", "dhcp_last")
    @classmethod
    def _is_leasable(cls, value: str, info: ValidationInfo) -> str:
        if "address" not in info.data:
            return value  # the address itself is at fault, and told
        own = IPv4Interface(info.data["address"])
        address, network = IPv4Address(value), own.network
        if address not in network or address in {network.network_address, network.broadcast_address}:
            raise ValueError(
                f"is no address of a phone in {network}; take one from {network[1]} to {network[-2]} "
                "or change the access point's address"
            )
        if address == own.ip:
            raise ValueError("is the access point's own address; take another one")
        return value

    @field_validator("dhcp_last")
    @classmethod
    def _range_is_one(cls, last: str, info: ValidationInfo) -> str:
        if "address" not in info.data or "dhcp_first" not in info.data:
            return last
        first, own = IPv4Address(info.data["dhcp_first"]), IPv4Interface(info.data["address"]).ip
        if IPv4Address(last) < first:
            raise ValueError("is before dhcp_first; change one of them")
        if first < own < IPv4Address(last):
            raise ValueError(f"leases {own} too, the access point's own address; end or begin the range beside it")
        return last

    @property
    def made(self) -> bool:
        """Whether the unit's network has its name and passphrase, switched on or off."""
        return self.ssid is not None and self.passphrase is not None

    @property
    def ip(self) -> str:
        """The address without its prefix length."""
        return str(IPv4Interface(self.address).ip)

    @property
    def network(self) -> IPv4Network:
        return IPv4Interface(self.address).network
