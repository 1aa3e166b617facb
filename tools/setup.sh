#!/bin/sh
# Prepare everything `make run` and `make test` need: apt packages, the virtual environment, the locked packages.
# usage: setup.sh run|test VENV PYTHON
set -eu
purpose=$1 venv=$2 python=$3
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }

install_apt() {
    # Packages which are missing, and nothing else.
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "please install:$missing"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null; then
        as_root=sudo
    else
        fail "please install as root: apt-get install$missing"
    fi
    say "installing$missing"
    $as_root apt-get update -qq || say "the package lists could not be refreshed; going on with the old ones"
    # shellcheck disable=SC2086 # a list of names
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
        fail "apt-get could not install$missing"
}

unpack_smsd() {
    # smstools installs a daemon that starts by itself: the tests want its binary alone, so it is only unpacked.
    [ ! -x build/smstools/usr/sbin/smsd ] || return 0
    say "unpacking smsd of smstools"
    rm -rf build/smstools && mkdir -p build/smstools
    (cd build/smstools && apt-get download -qq smstools && dpkg-deb --extract smstools_*.deb . && rm smstools_*.deb) ||
        fail "apt-get could not download smstools"
}

command -v "$python" >/dev/null || install_apt python3
"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$python is missing or older than 3.11; name another one: make PYTHON=python3.13"
"$python" -c 'import venv, ensurepip' 2>/dev/null || install_apt python3-venv
if [ "$purpose" = test ]; then
    install_apt gammu chromium fonts-dejavu-core libmm14
    unpack_smsd
    lock=requirements/dev.txt
else
    lock=requirements/runtime.txt
fi

# The stamp names what is installed, so an unchanged lock costs nothing.
stamp=$venv/.locked-$purpose
wanted=$(cat "$lock" pyproject.toml | sha256sum)
if [ ! -x "$venv/bin/python" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    # A test environment holds all of the runtime lock.
    if [ "$purpose" = run ] && [ "$(cat "$venv/.locked-test" 2>/dev/null)" = "$(cat requirements/dev.txt pyproject.toml | sha256sum)" ]; then
        exit 0
    fi
    say "virtual environment $venv ($("$python" --version))"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$lock"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
    printf '%s\n' "$wanted" >"$stamp"
fi
