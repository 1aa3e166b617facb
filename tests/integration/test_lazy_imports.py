"""Libraries that only some devices need are not loaded on the others."""

import subprocess
import sys


def test_an_agent_without_rabbitmq_feeder_does_not_load_its_library() -> None:
    code = "import sys, otpbroker.agent; sys.exit('pika' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
