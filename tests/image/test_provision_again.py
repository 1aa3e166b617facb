"""The roles played into the finished root once more: there is nothing left to change."""

import json
import os
import re
import subprocess
from pathlib import Path

from machine import Kind

from image.bootstrap import emulation

REPO = Path(__file__).parents[2]
# In the environment that builds images: Ansible is there.
PLAY = """
import json, os, sys
from pathlib import Path

from image.commands import Commands
from image.provision import play
tree, log, variables = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
play(tree, Path("ansible/site.yml").resolve(), variables, arch=sys.argv[4], machine=os.uname().machine,
     epoch=1790000000, commands=Commands(log, print))
"""


def test_a_second_run_changes_nothing(stages: Path, kind: Kind, in_ram: Path) -> None:
    arch = "amd64" if kind == "q35" else "arm64"
    tree = in_ram / "again"
    subprocess.run(["cp", "--archive", stages / "root/tree", tree], check=True)
    variables = {
        "image_build": True,
        "image_arch": arch,
        "image_emulated": bool(emulation(arch, os.uname().machine)),
        "first_boot_country": "ID",
        "otpbroker_wheelhouse": str(stages / "wheels/house"),
    }
    python = REPO / os.environ.get("IMAGE_VENV", ".venv-image") / "bin/python"
    done = subprocess.run(
        [python, "-c", PLAY, tree, in_ram / "again.log", json.dumps(variables), arch],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    recap = re.search(r"ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0", done.stdout)
    assert recap is not None
    assert int(recap[1]) > 20
    assert recap[2] == "0", (in_ram / "again.log").read_text()[-8000:]
