"""The stages in their order: base, wheels, root, image, outputs. Each is kept while its inputs are the same."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image.archives import Archives
from image.assemble import Assembly, assemble
from image.base_image import OfficialImage, unpack_official
from image.bootstrap import Recipe, bootstrap, emulation
from image.commands import Commands
from image.errors import Failed
from image.layout import card_of
from image.outputs import write_outputs
from image.profile import FOLDER, Architecture, Board, Profile
from image.progress import Progress
from image.provision import finish, provision
from image.sbom import bill, debian_components, python_components
from image.stages import STAGES, Input, Workshop, digest_of, key_of, remove_tree
from image.wheelhouse import build_wheelhouse

# In the clone: what the agent's wheel is made from, and with it the whole image.
WHEEL_SOURCES = ("agent", "pyproject.toml", "README.md", "LICENSE", "requirements/runtime.txt")
SOURCES = (*WHEEL_SOURCES, "ansible", "image", "overlays", "requirements")


@dataclass(frozen=True, slots=True)
class Plan:
    """One image to be built. `epoch` is the newest time that a file of it may have."""

    repo: Path
    profile: Profile
    board: Board
    archives: Archives
    playbook: Path
    work: Path
    version: str
    commit: str
    epoch: int
    country: str = ""
    official: OfficialImage | None = None

    @property
    def name(self) -> str:
        return f"otpbroker-{self.version}-{self.profile.name}-{self.board.name}"

    @property
    def folder(self) -> Path:
        return self.work / f"{self.profile.name}-{self.board.name}"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Builds the image of a plan, whose folder is claimed; only the stages' folders and the logs are left in it."""

    plan: Plan
    progress: Progress

    def run(self, until: str = "outputs") -> Path:
        """Run the stages up to `until`; the folder of the last one."""
        os.umask(0o022)
        wanted = STAGES[: STAGES.index(until) + 1]
        self.progress.total = len(wanted)
        folders: dict[str, Path] = {}
        keys: dict[str, str] = {}
        for name in wanted:
            summary, inputs, build = self.stage(name, folders, keys)
            keys[name] = key_of({"stage": name, **inputs})
            workshop = Workshop(self.plan.folder, self.progress)
            folders[name] = workshop.stage(name, summary, keys[name], build)
        return folders[wanted[-1]]

    def stage(
        self, name: str, folders: dict[str, Path], keys: dict[str, str]
    ) -> tuple[str, dict[str, Input], Callable[[Path], None]]:
        """What a stage is called, all that decides what it makes, and what fills its folder.

        `folders` and `keys` are those of the stages before it.
        """
        plan = self.plan
        match name:
            case "base" if plan.official is not None:
                return f"unpacking {plan.official.file.name}", self._official_inputs(), self._unpack_official
            case "base":
                summary = f"{plan.profile.summary}, {plan.board.arch}, by mmdebstrap"
                return summary, self._base_inputs(), self._bootstrap
            case "wheels":
                return "the agent and its Python packages", self._wheel_inputs(), self._wheels
            case "root":
                inputs = self._root_inputs(keys)
                return "the roles of ansible", inputs, lambda folder: self._root(folder, folders)
            case "image":
                inputs = self._image_inputs(keys)
                return "the card's file systems", inputs, lambda folder: self._image(folder, folders)
            case _:
                inputs = {
                    "image": keys["image"],
                    "xz_preset": plan.profile.layout.xz_preset,
                    "manifest": self._manifest(),
                    "code": _code("outputs", "bmap", "sbom"),
                }
                return "compressing, listing", inputs, lambda folder: self._outputs(folder, folders)

    def _base_inputs(self) -> dict[str, Input]:
        recipe = Recipe(self.plan.profile, self.plan.board, self.plan.archives)
        settings: dict[str, Input] = dict(recipe.settings())
        command = recipe.argv(Path("base.tar"), Path("settings"))
        return {"command": command, "settings": settings, "epoch": self.plan.profile.epoch}

    def _official_inputs(self) -> dict[str, Input]:
        assert self.plan.official is not None
        return {"official": self.plan.official.checksum, "code": _code("base_image", "parts")}

    def _wheel_inputs(self) -> dict[str, Input]:
        repo = self.plan.repo
        return {
            "source": digest_of([repo / name for name in WHEEL_SOURCES], root=repo),
            "arch": self.plan.board.arch,
            "python": self.plan.profile.python,
            "epoch": self.plan.epoch,
            "code": _code("wheelhouse"),
        }

    def _root_inputs(self, keys: dict[str, str]) -> dict[str, Input]:
        folder, repo = self.plan.playbook.parent, self.plan.repo
        roles = [*(path for path in folder.iterdir() if path.name != "inventories"), folder / "inventories/image"]
        return {
            "base": keys["base"],
            "wheels": keys["wheels"],
            "roles": digest_of(roles, root=folder),
            "overlays": digest_of([repo / "overlays"], root=repo),
            "country": self.plan.country,
            "labels": [self.plan.profile.layout.boot_label, self.plan.profile.layout.root_label],
            "epoch": self.plan.epoch,
            "code": _code("provision", "tree", "private"),
        }

    def _image_inputs(self, keys: dict[str, str]) -> dict[str, Input]:
        layout = self.plan.profile.layout.model_dump(exclude={"xz_preset"})
        return {"root": keys["root"], "layout": layout, "name": self.plan.name, "code": _code("assemble", "layout")}

    def _commands(self, stage: str) -> Commands:
        log = self.plan.folder / "log" / f"{stage}.log"
        log.unlink(missing_ok=True)
        return Commands(log, self.progress.note)

    def _bootstrap(self, folder: Path) -> None:
        recipe = Recipe(self.plan.profile, self.plan.board, self.plan.archives)
        bootstrap(recipe, folder, self._commands("base"), os.uname().machine)

    def _unpack_official(self, folder: Path) -> None:
        assert self.plan.official is not None
        unpack_official(self.plan.official, folder, self._commands("base"))

    def _wheels(self, folder: Path) -> None:
        plan = self.plan
        house = folder / "house"
        house.mkdir()
        build_wheelhouse(
            plan.repo, plan.board.arch, plan.profile.python, plan.epoch, house, self._commands("wheels")
        )

    def _root(self, folder: Path, folders: dict[str, Path]) -> None:
        plan, tree = self.plan, folder / "tree"
        commands = self._commands("root")
        variables = {
            "image_build": True,
            "image_arch": plan.board.arch,
            # Emulated programs reach only what the emulator knows of the kernel: no netlink of the firewall's kind.
            "image_emulated": bool(emulation(plan.board.arch, os.uname().machine)),
            "image_profile": plan.profile.name,
            "image_board": plan.board.name,
            "first_boot_country": plan.country,
            "first_boot_partition_label": plan.profile.layout.boot_label,
            "first_boot_root_label": plan.profile.layout.root_label,
            "otpbroker_wheelhouse": str(folders["wheels"] / "house"),
        }
        provision(
            folders["base"],
            tree,
            plan.playbook,
            variables,
            arch=plan.board.arch,
            machine=os.uname().machine,
            epoch=plan.epoch,
            commands=commands,
        )
        finish(tree, epoch=plan.epoch, host_name=socket.gethostname())

    def _image(self, folder: Path, folders: dict[str, Path]) -> None:
        """The FAT's content is moved out of a copy of the tree: the tree stays what its key says."""
        plan, tree = self.plan, folder / "tree"
        commands = self._commands("image")
        commands.run(["cp", "--archive", "--reflink=auto", folders["root"] / "tree", tree])
        boot = folder / "boot"
        (tree / "boot/firmware").rename(boot)
        require_boot_files(boot, plan.profile.architectures[plan.board.arch])
        (tree / "boot/firmware").mkdir()
        os.utime(tree / "boot/firmware", (plan.epoch, plan.epoch))
        os.utime(tree / "boot", (plan.epoch, plan.epoch))
        disk_id_file = folders["base"] / "disk_id"
        disk_id = disk_id_file.read_text(encoding="ascii") if disk_id_file.exists() else None
        assembly = Assembly(boot, tree, plan.profile.layout, plan.epoch, disk_id)
        assemble(assembly, folder / f"{plan.name}.img", commands)
        for scratch in (tree, boot):
            remove_tree(scratch)

    def _outputs(self, folder: Path, folders: dict[str, Path]) -> None:
        plan, tree = self.plan, folders["root"] / "tree"
        requirements = (folders["wheels"] / "house/requirements.txt").read_text(encoding="utf-8")
        components = [*debian_components(tree, plan.profile), *python_components(requirements)]
        image = folders["image"] / f"{plan.name}.img"
        write_outputs(
            image,
            card_of(image),
            xz_preset=plan.profile.layout.xz_preset,
            sbom=bill(plan.profile, plan.version, plan.epoch, components),
            manifest={**self._manifest(), "components": len(components)},
            folder=folder,
            commands=self._commands("outputs"),
        )

    def _manifest(self) -> dict[str, Input]:
        plan = self.plan
        return {
            "product": "otpbroker",
            "version": plan.version,
            "commit": plan.commit,
            "profile": plan.profile.name,
            "board": plan.board.name,
            "arch": plan.board.arch,
            "suite": plan.profile.suite,
            "epoch": plan.epoch,
            "base": f"official:{plan.official.checksum}" if plan.official else "packages",
            "country": plan.country,
            "minimum_card_mib": plan.board.card_mib,
        }


def require_boot_files(boot: Path, architecture: Architecture) -> None:
    """`Failed` when a board could not start from this partition."""
    wanted = [*architecture.device_trees, *(["config.txt", "cmdline.txt"] if architecture.device_trees else [])]
    missing = [name for name in wanted if not (boot / name).exists()]
    if missing:
        raise Failed(f"the boot partition lacks {', '.join(missing)}")
    command_line = boot / "cmdline.txt"
    words = command_line.read_text(encoding="utf-8").split() if command_line.exists() else []
    if any(word.startswith("cma=") for word in words):
        raise Failed(
            "cmdline.txt sets cma=, which keeps a Raspberry Pi 4 from booting",
            remedy="leave the size of that pool to the device tree",
        )


def hand_out(outputs: Path, target: Path) -> list[Path]:
    """Copy the outputs to the folder that the caller named."""
    target.mkdir(parents=True, exist_ok=True)
    return [
        Path(shutil.copyfile(path, target / path.name)) for path in sorted(outputs.iterdir()) if path.name != ".key"
    ]


def _code(*modules: str) -> str:
    """What a stage does is one of its inputs."""
    return digest_of([FOLDER / f"{module}.py" for module in modules], root=FOLDER)
