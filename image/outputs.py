"""Stage `outputs`: what is handed out, beside each other: .img.xz, .img.bmap, sbom, manifest, SHA256SUMS."""

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
    """Fill FOLDER from the image; the manifest gets the facts of the image added."""
    require("xz", "dumpe2fs")
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
    (folder / "sbom.cdx.json").write_text(sbom, encoding="utf-8")
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
    (folder / "manifest.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    names = sorted(path.name for path in folder.iterdir() if path.name not in {"SHA256SUMS", ".key"})
    sums = "".join(f"{sha256(folder / name)}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums, encoding="ascii")
    commands.note(f"{packed.name}: {packed.stat().st_size / MIB:.0f} MiB")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
