#!/bin/bash
# Makes this machine ready to build and test with one interpreter: installs
# what is missing, says what it installs, and asks nothing. Does nothing, and
# quickly, when all is there.
#
#   tools/setup.sh [python3.13]
set -euo pipefail

cd "$(dirname "$0")/.."
name=${1:-python3}
requirements=tools/requirements.txt
log=build/setup.log
mkdir -p build

fail() {
    printf 'set-up: %s\n' "$@" >&2
    exit 1
}

updated=
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

# Installs Debian packages: install "what for" package...
install() {
    local why=$1
    shift
    if ! command -v apt-get >/dev/null; then
        fail "missing: $why (on Debian and Ubuntu: $*)." \
            "Install it with this system's package manager and try again."
    fi
    if [ "$(id -u)" != 0 ]; then
        fail "missing: $why, and only root can install it. Run as root:" \
            "  apt-get install -y $*"
    fi
    if [ -z "$updated" ]; then
        apt update || { tail -n 20 "$log" >&2; fail "apt-get update failed"; }
        updated=yes
    fi
    echo "set-up: installing $* ($why)"
    apt install --no-install-recommends "$@" ||
        { tail -n 20 "$log" >&2; fail "apt-get install $* failed"; }
}

# Installs a part of the interpreter that Debian packages by itself.
install_part() {
    case $python in
    /usr/bin/*) install "$1" "$2" ;;
    *) fail "$python has no $1; reinstall that Python with it" ;;
    esac
}

python=$(tools/find-python.sh "$name") || {
    case $name in
    python3 | python3.[0-9]*) install "the interpreter" "$name" ;;
    *) fail "$name is not a Python 3.11 or newer" ;;
    esac
    python=$(tools/find-python.sh "$name") ||
        fail "$name is older than 3.11: choose another with PYTHON=..."
}
tag=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

has() {
    "$python" -c "$1" >/dev/null 2>&1
}

command -v cc >/dev/null || command -v gcc >/dev/null ||
    install "a C compiler" gcc libc6-dev
has 'import os, sysconfig as s
os.stat(os.path.join(s.get_path("include"), "Python.h"))' ||
    install_part "C headers" "python$tag-dev"
has 'import venv, ensurepip' || install_part "venv" "python$tag-venv"
# CPython's own asyncio tests, for `make conformance`.
has 'import test.test_asyncio' ||
    install_part "test suite" "libpython$tag-testsuite"
command -v "${PKG_CONFIG:-pkg-config}" >/dev/null ||
    install "pkg-config" pkgconf
"${PKG_CONFIG:-pkg-config}" --atleast-version=1.44 libuv ||
    install "libuv with its headers" libuv1-dev
# It makes the certificate of the TLS tests.
command -v openssl >/dev/null || install "the openssl program" openssl

# The environment is good for one interpreter, at one place, with one set of
# requirements; it is made anew when any of them is another.
venv=.venv/$tag
ready=$(
    echo "$PWD"
    "$python" -c 'import sys; print(sys.executable, sys.version)'
    cat /etc/os-release 2>/dev/null || uname -a
    cat "$requirements"
)
if [ "$(cat "$venv/.ready" 2>/dev/null)" != "$ready" ]; then
    echo "set-up: making $venv with $python"
    rm -rf "$venv"
    "$python" -m venv "$venv" >>"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "no virtual environment"; }
    sed -n 's/ *#.*//; /./p' "$requirements" | while read -r line; do
        echo "set-up: installing $line into $venv"
    done
    "$venv/bin/python" -m pip -q --disable-pip-version-check install \
        -r "$requirements" >>"$log" 2>&1 </dev/null ||
        { tail -n 20 "$log" >&2; fail "pip could not install them"; }
    echo "$ready" >"$venv/.ready"
fi
