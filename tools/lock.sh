#!/bin/sh
# Resolve requirements/*.txt anew: one universal lock for Python 3.11 and 3.13, with hashes, without index addresses.
set -eu
cd "$(dirname "$0")/.."
lock() {
    out=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command "tools/lock.sh" --output-file "requirements/$out" "$@"
}
lock runtime.txt pyproject.toml requirements/build.in
lock dev.txt --constraint requirements/runtime.txt pyproject.toml requirements/build.in requirements/dev.in
lock image.txt --constraint requirements/runtime.txt pyproject.toml requirements/build.in requirements/image.in
