"""Stage `outputs`: what is handed out, side by side with that of other images: each file has its image's name."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from image.bmap import free_in_ext4, free_in_fat, make_map
from image.commands import Commands, require
from image.layout import MIB, Card
from image.parts import copy_out

# Set, because xz's own choice depends on the number of processors, and with it the bytes.
_XZ_THREADS = 4
_XZ_BLOCK = 24 * MIB


def write_outputs(
    image: Path,
    card: Card,
    *,
    xz_preset: int,
    sbom: str,
    manifest: Mapping[str, object],
    folder: Path,
    commands: Commands,
) -> None:
    """Fill FOLDER from the image NAME.img; the manifest gets the facts of the image added.

    NAME.img.xz, NAME.img.bmap, NAME.sbom.cdx.json, NAME.manifest.json, and NAME.SHA256SUMS of those four.
    """
    require("xz", "dumpe2fs")
    name = image.stem
    root = folder / "root.ext4"
    copy_out(image, card.root, root)
    dump = commands.read(["dumpe2fs", root])
    root.unlink()
    block_map = make_map(image, [*free_in_fat(image, card.boot.offset), *free_in_ext4(dump, card.root.offset)])
    (folder / f"{image.name}.bmap").write_text(block_map.text(), encoding="utf-8")
    commands.note(
        f"{block_map.mapped_bytes // MIB} of {block_map.image_size // MIB} MiB are to be written to a card"
    )
    packed = folder / f"{image.name}.xz"
    with packed.open("wb") as file:
        commands.pipe_to(
            ["xz", f"-{xz_preset}", f"--threads={_XZ_THREADS}", f"--block-size={_XZ_BLOCK}", "--stdout", image],
            file,
        )
    (folder / f"{name}.sbom.cdx.json").write_text(sbom, encoding="utf-8")
    facts = {
        **manifest,
        "image": {
            "name": image.name,
            "bytes": block_map.image_size,
            "mapped_bytes": block_map.mapped_bytes,
            "sha256": sha256(image),
            "disk_id": card.disk_id,
            "boot": {"offset": card.boot.offset, "bytes": card.boot.size},
            "root": {"offset": card.root.offset, "bytes": card.root.size},
        },
    }
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    (folder / f"{name}.manifest.json").write_text(text, encoding="utf-8")
    written = sorted(path.name for path in folder.iterdir())
    sums = "".join(f"{sha256(folder / file)}  {file}\n" for file in written)
    (folder / f"{name}.SHA256SUMS").write_text(sums, encoding="ascii")
    commands.note(f"{packed.name}: {packed.stat().st_size / MIB:.0f} MiB")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
