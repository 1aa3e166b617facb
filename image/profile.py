"""Profiles (which distribution) and boards (which hardware): data in YAML, every key known, every value checked."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from image.errors import Refused

FOLDER = Path(__file__).parent

Arch = Literal["arm64", "amd64"]
# Debian policy 5.6.1: lower-case letters, digits, + - .
Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
# One line of a file: what is written to the boot partition can add no second one.
Line = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$", max_length=200)]
# One argument of the kernel.
Word = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=200)]


class Data(BaseModel):
    """What is read from profiles/ and boards/."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=False)


class Source(Data):
    """One entry of the image's apt sources. The address of the archive is the build host's to know."""

    archive: Name
    suites: Annotated[list[Name], Field(min_length=1)]
    components: Annotated[list[Name], Field(min_length=1)]
    keyring: Annotated[str, StringConstraints(pattern=r"^/[\w./-]+\.(gpg|pgp|asc)$")]


class Architecture(Data):
    """What one architecture needs beside the packages of all: kernel, firmware, who configures the boot partition.

    That is Debian's package raspi-firmware; or this profile by `config_txt` and `command_line`, to which those of
    the board are added; or nobody, when the kernel is only copied.
    """

    packages: list[Package]
    boot_files: Literal["raspi-firmware", "profile", "kernel-copy"]
    config_txt: list[Line] = []
    command_line: list[Word] = []
    # Of every board that the kernel is to start on; named by whoever makes the kernel.
    device_trees: list[Annotated[str, StringConstraints(pattern=r"^[\w.-]+\.dtb$")]] = []

    @model_validator(mode="after")
    def _configured_by_one(self) -> Self:
        by_profile = self.boot_files == "profile"
        if bool(self.config_txt) != by_profile or bool(self.command_line) != by_profile:
            raise ValueError("config_txt and command_line are stated with boot_files: profile, and only then")
        return self


class Layout(Data):
    """The card: FAT then ext4, as Raspberry Pi OS has them. Sizes in MiB."""

    boot_mib: Annotated[int, Field(ge=64, le=4096)] = 512
    spare_mib: Annotated[int, Field(ge=16, le=8192)] = 256
    boot_label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,11}$")] = "bootfs"
    root_label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,16}$")] = "rootfs"
    disk_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")] = "52504931"
    boot_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")] = "52504930"
    root_uuid: Annotated[
        str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
    ] = "6f747062-726f-4b65-a0d3-000000000001"
    xz_preset: Annotated[int, Field(ge=0, le=9)] = 2


class Profile(Data):
    """A distribution to build the image from."""

    name: Name
    summary: Line
    suite: Name
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d+\.\d+$")]
    epoch: Annotated[int, Field(ge=1_700_000_000)]
    sources: Annotated[list[Source], Field(min_length=1)]
    packages: Annotated[list[Package], Field(min_length=1)]
    architectures: Annotated[dict[Arch, Architecture], Field(min_length=1)]
    layout: Layout = Layout()

    def all_packages(self, arch: Arch) -> list[str]:
        """Without repetition, sorted: the order of a list in a file changes no build."""
        return sorted({*self.packages, *self.architectures[arch].packages})


class Board(Data):
    """A family of hardware that one image serves."""

    name: Name
    summary: Line
    arch: Arch
    config_txt: list[Line] = []
    command_line: list[Word] = []
    card_mib: Annotated[int, Field(ge=1024)] = 4000

    @model_validator(mode="after")
    def _no_configuration_without_firmware(self) -> Self:
        if self.arch == "amd64" and self.config_txt:
            raise ValueError("config_txt is read by the firmware of a Raspberry Pi, but arch is amd64")
        return self


_Kind = TypeVar("_Kind", bound=Data)


def parse(kind: type[_Kind], text: str, origin: str) -> _Kind:
    """A checked document; everything that is wrong with it in one error."""
    try:
        return kind.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise Refused(f"{origin} is not YAML: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in error.errors())
        raise Refused(f"{origin}: {mistakes}") from None


def names(kind: Literal["profiles", "boards"]) -> list[str]:
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def load_profile(name: str) -> Profile:
    return parse(Profile, _read("profiles", name), f"profiles/{name}.yaml")


def load_board(name: str) -> Board:
    return parse(Board, _read("boards", name), f"boards/{name}.yaml")


def choose(profile_name: str, arch: Arch | None, board_name: str | None) -> tuple[Profile, Board]:
    """A profile and a board that fit each other. Each architecture has a default board; arm64 is the product."""
    board = load_board(board_name or ("virtual-pc" if arch == "amd64" else "raspberry-pi"))
    if arch is not None and board.arch != arch:
        raise Refused(f"board {board.name} is {board.arch}, but --arch says {arch}")
    profile = load_profile(profile_name)
    if board.arch not in profile.architectures:
        raise Refused(f"profile {profile.name} has no {board.arch}", remedy="choose another --profile or --arch")
    return profile, board


def _read(kind: Literal["profiles", "boards"], name: str) -> str:
    if name not in names(kind):
        raise Refused(f"there is no {kind}/{name}.yaml", remedy=f"one of: {', '.join(names(kind))}")
    return (FOLDER / kind / f"{name}.yaml").read_text(encoding="utf-8")
