"""`build.sh image` and `build.sh clean`."""

import argparse
import os
import re
import subprocess
import tomllib
from functools import partial
from pathlib import Path

from image.archives import Archives, of_host, pairs
from image.base_image import OfficialImage
from image.errors import Failed, Refused
from image.pipeline import SOURCES, Pipeline, Plan, hand_out
from image.profile import choose, names
from image.progress import Progress
from image.stages import STAGES
from image.workplace import claimed, clear, is_build


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", repo: Path) -> None:
    image = commands.add_parser("image", help="build an image", description="Builds an image, step by step.")
    image.add_argument("--profile", default="debian", help=f"{', '.join(names('profiles'))} (default: debian)")
    image.add_argument("--arch", choices=["arm64", "amd64"], help="arm64 for cards (default), amd64 for tests")
    image.add_argument("--board", metavar="NAME", help=", ".join(names("boards")))
    image.add_argument(
        "--country", metavar="CC", help="of units that nobody personalises (ISO 3166-1), for their radio"
    )
    image.add_argument("--out", type=Path, metavar="DIR", help="where the outputs go (default: dist/ of the clone)")
    image.add_argument("--work", type=Path, metavar="DIR", help="where steps leave what they made; quickest in RAM")
    image.add_argument("--until", choices=STAGES, default="outputs", help="stop after this step")
    image.add_argument("--base", type=Path, metavar="FILE", help="start from this official image, .img or .img.xz")
    image.add_argument("--base-sha256", metavar="SUM", help="what its publisher states for that file")
    image.add_argument(
        "--archive", action="append", default=[], metavar="NAME=ADDRESS", help="address of an archive"
    )
    image.add_argument("--keyring", action="append", default=[], metavar="NAME=FILE", help="keyring of an archive")
    image.add_argument("--playbook", type=Path, metavar="FILE", help="another playbook than ansible/site.yml")
    image.set_defaults(run=partial(build, repo))
    clean = commands.add_parser("clean", help="remove what builds left", description="Removes what builds left.")
    clean.add_argument("--work", type=Path, metavar="DIR", help="the folder that was given to image")
    clean.set_defaults(run=partial(clean_up, repo))


def build(repo: Path, arguments: argparse.Namespace) -> None:
    plan = plan_of(repo, arguments)
    progress = Progress()
    progress.say(f"{plan.name}: {plan.profile.summary} for {plan.board.summary}; work in {plan.folder}")
    with claimed(plan.folder):
        folder = Pipeline(plan, progress).run(arguments.until)
        progress.say(progress.table())
        if arguments.until == "outputs":
            for path in hand_out(folder, arguments.out or repo / "dist"):
                progress.say(f"{path}")


def plan_of(repo: Path, arguments: argparse.Namespace) -> Plan:
    profile, board = choose(arguments.profile, arguments.arch, arguments.board)
    addresses = {**of_host(), **pairs(arguments.archive, "--archive")}
    keyrings = {name: Path(file).resolve() for name, file in pairs(arguments.keyring, "--keyring").items()}
    if arguments.country is not None and not re.fullmatch("[A-Z]{2}", arguments.country):
        raise Refused("--country wants two capital letters, such as ID")
    if (arguments.base is None) != (arguments.base_sha256 is None):
        raise Refused("--base and --base-sha256 go together: a foreign image is used only when its checksum holds")
    official = OfficialImage(arguments.base.resolve(), arguments.base_sha256) if arguments.base else None
    playbook = (arguments.playbook or repo / "ansible/site.yml").resolve()
    if not playbook.exists():
        raise Refused(f"there is no playbook {playbook}")
    commit, committed = git_head(repo)
    return Plan(
        repo=repo,
        profile=profile,
        board=board,
        archives=Archives(addresses, keyrings),
        playbook=playbook,
        work=_work(repo, arguments),
        version=tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        commit=commit,
        epoch=epoch_of(os.environ.get("SOURCE_DATE_EPOCH"), committed),
        country=arguments.country or "",
        official=official,
    )


def epoch_of(wish: str | None, committed: int) -> int:
    """Seconds since 1970: what SOURCE_DATE_EPOCH asks for, or the time of the commit."""
    if wish is None:
        return committed
    if not re.fullmatch("[0-9]{1,10}", wish):
        raise Refused(
            f"SOURCE_DATE_EPOCH is {wish!r}, not whole seconds since 1970", remedy="unset it, or set it to a number"
        )
    return int(wish)


def clean_up(repo: Path, arguments: argparse.Namespace) -> None:
    """Only what builds made: anything else in the work folder is not touched."""
    for folder in sorted(_work(repo, arguments).glob("*-*")):
        if is_build(folder):
            left = clear(folder)
            print(f"removed {folder}" if not left else f"removed all but {', '.join(left)} from {folder}")


def _work(repo: Path, arguments: argparse.Namespace) -> Path:
    work: Path = arguments.work or Path(os.environ.get("OTPBROKER_IMAGE_WORK", repo / "build/image"))
    return work.resolve()


def git_head(repo: Path) -> tuple[str, int]:
    """The newest commit that touched what an image is made from, marked when files differ from it, and its time."""
    git = ["git", "-C", str(repo), "-c", f"safe.directory={repo}"]
    try:
        told = subprocess.check_output([*git, "log", "-1", "--format=%H %ct", "--", *SOURCES], text=True)  # noqa: S603
        commit, committed = told.split()
        changed = subprocess.check_output([*git, "status", "--porcelain", "--", *SOURCES], text=True)  # noqa: S603
    except (OSError, ValueError, subprocess.CalledProcessError):
        raise Failed("git does not tell the commit", remedy="build in a clone") from None
    return commit + ("-changed" if changed.strip() else ""), int(committed)
