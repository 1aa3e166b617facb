#!/bin/sh
# Prepare everything `make run`, `make test` and `make image` need: apt packages, the virtual environment, the locked
# packages.
# usage: setup.sh run|test|bench|image|test-image VENV PYTHON
set -eu
purpose=$1 venv=$2 python=$3 more=
# Only its description of a machine is checked.
[ "$purpose" != test-image ] || purpose=image more=vagrant
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }

install_apt() {
    # Packages which are missing, and nothing else.
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    apt_get_install
}

apt_get_install() {
    # What $missing names, if anything; apt_options and apt_lists are for the backports of Debian 12.
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "this system has no apt-get: please install what Debian names$missing"
    remedy="please do as root: apt-get update && apt-get install$missing"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && sudo true; then
        as_root=sudo
    else
        fail "$remedy"
    fi
    say "installing$missing"
    # shellcheck disable=SC2086 # lists of words
    $as_root apt-get update -qq ${apt_lists-} ||
        say "the package lists could not be refreshed; going on with the old ones"
    # A machine that has just been started for the first time often holds the lock for its own updates.
    # shellcheck disable=SC2086 # lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 ${apt_lists-} ${apt_options-} $missing >/dev/null ||
        fail "apt-get could not install$missing; when its complaint above is settled, $remedy"
}

install_apt_new_enough() {
    # Packages of which Debian 12 has only versions that are too old: there they come from its backports, by a package
    # list of our own beside the system's, so that nothing else is ever taken from there.
    # shellcheck source=/dev/null # every Debian has it
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    if [ "$codename" != bookworm ]; then
        install_apt "$@"
        return
    fi
    missing=
    for package in "$@"; do
        have=$(dpkg-query -W -f '${Version} ${Status}' "$package" 2>/dev/null | sed -n 's/ install ok installed//p')
        case $have in *bpo12*) ;; *) missing="$missing $package" ;; esac
    done
    sources=$(mktemp -d)
    cp -r /etc/apt/sources.list.d "$sources/parts"
    address=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    [ -n "$address" ] ||
        address=$(sed -n 's/^deb \([^[ ][^ ]*\) bookworm .*/\1/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' \
        "$address" /usr/share/keyrings/debian-archive-keyring.gpg >"$sources/parts/otpbroker-backports.sources"
    apt_lists="-o Dir::Etc::SourceParts=$sources/parts" apt_options="-t bookworm-backports"
    apt_get_install
    apt_lists='' apt_options=''
    rm -rf "$sources"
}

unpack() {
    # Programs that the tests start themselves: installing them would start a daemon on this machine.
    folder=build/$1 program=$2
    shift 2
    [ ! -x "$folder/$program" ] || return 0
    say "unpacking $*"
    rm -rf "$folder" && mkdir -p "$folder"
    (cd "$folder" && apt-get download -qq "$@" && for package in *.deb; do
        dpkg-deb --extract "$package" . || exit 1
    done && rm ./*.deb) || fail "apt-get could not download $*; please do as root: apt-get update"
}

unpack_rabbitmq() {
    # The broker and the Erlang that runs it; bench/rabbitmq.py starts them.
    unpack rabbitmq usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server erlang-asn1 erlang-base erlang-crypto \
        erlang-eldap erlang-inets erlang-mnesia erlang-os-mon erlang-parsetools erlang-public-key \
        erlang-runtime-tools erlang-ssl erlang-syntax-tools erlang-tools erlang-xmerl
}

contents() {
    # What is to be in the environment: the locked packages, and this one with its metadata.
    { cat "$1"; sed '/^\[tool\./,$d' pyproject.toml; } | sha256sum
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@" ||
        fail "pip could not install the locked packages: its complaint is above; is the package index reachable?"
}

[ "$python" != python3 ] || command -v python3 >/dev/null || install_apt python3
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "there is no $python: name one that is installed, as in make $purpose PYTHON=python3.13"
"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' ||
    fail "$python is $version, but 3.11 or newer is needed: name another one, as in make $purpose PYTHON=python3.13"
"$python" -c 'import venv, ensurepip' 2>/dev/null || install_apt "python$version-venv"
lock=requirements/runtime.txt
if [ "$purpose" = test ]; then
    # libatomic1: Playwright's driver wants it.
    # umockdev: devices for udev that are not there.
    install_apt shellcheck gammu chromium fonts-dejavu-core libatomic1 libmm14 librsvg2-bin zbar-tools nftables \
        iproute2 umockdev curl php-cli php-amqplib
    unpack smstools usr/sbin/smsd smstools
    unpack_rabbitmq
    # With their libraries, which are found by LD_LIBRARY_PATH.
    unpack appliance usr/sbin/hostapd hostapd dnsmasq-base network-manager libnm0 libnl-3-200 libnl-genl-3-200 \
        libnl-route-3-200 libnetfilter-conntrack3 libnfnetlink0 libpolkit-agent-1-0 libpolkit-gobject-1-0
    lock=requirements/dev.txt
elif [ "$purpose" = bench ]; then
    unpack_rabbitmq
elif [ "$purpose" = image ]; then
    install_apt_new_enough mmdebstrap e2fsprogs qemu-user-static qemu-system-arm qemu-system-x86 qemu-utils
    # What builds a card; what draws a brochure; what the virtual machines of the tests boot with.
    # shellcheck disable=SC2086 # none or one
    install_apt arch-test bmap-tools dosfstools fdisk git mtools util-linux xz-utils \
        fonts-dejavu-core librsvg2-bin ipxe-qemu openssh-client seabios $more
    lock=requirements/image.txt
fi

# The stamp says for which interpreter, where and from what the environment was made; interrupted work leaves none.
stamp=$venv/.made-from
base=$({ "$python" -c 'import sys; print(sys.version_info[:2], sys.base_prefix)'; pwd; } | sha256sum)
wanted="$base $(contents "$lock")"
case $(cat "$stamp" 2>/dev/null || true) in
    "$wanted") exit 0 ;;
    # The lock of the tests holds all of the runtime's.
    "$base $(contents requirements/dev.txt)") [ "$purpose" = image ] || exit 0; anew= ;;
    # A running demo may be using what is there: it stays, and what changed is put over it.
    "$base "*) anew= ;;
    *) anew=yes ;;
esac
if [ "$anew" ] && [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
    fail "$venv is not a virtual environment: remove it, or name another folder: make $purpose VENV=folder"
fi
say "installing the packages of $lock into $venv, for Python $version"
rm -f "$stamp"
[ -z "$anew" ] || "$python" -m venv --clear "$venv" || fail "$python could not make the virtual environment $venv"
pip_install --require-hashes --use-pep517 --requirement "$lock"
pip_install --no-build-isolation --editable .
printf '%s\n' "$wanted" >"$stamp"
