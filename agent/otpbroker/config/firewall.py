"""What may reach the device, as the configuration describes it."""

from typing import Annotated, Literal

from pydantic import Field

from otpbroker.config.section import Section


class Opening(Section):
    """One port that anybody on the interface may reach."""

    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp"] = "tcp"


class FirewallSection(Section):
    """`ethernet`: what is open on every interface but the access point's and loopback."""

    ethernet: tuple[Opening, ...] = Field((), max_length=64)
