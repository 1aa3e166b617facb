#!/bin/sh
# The SD card of OTP Broker: image | personalise | flash | verify | clean. What they do is in image/.
# Installs what it needs (tools/setup.sh image) into VENV, which is .venv-image beside this file.
set -eu
cd "$(dirname "$0")"
here=$PWD venv=${VENV:-.venv-image}
tools/setup.sh image "$venv" "${PYTHON:-python3}"
case $venv in /*) ;; *) venv=$here/$venv ;; esac
cd "$OLDPWD"
PYTHONPATH=$here exec "$venv/bin/python" -m image "$@"
