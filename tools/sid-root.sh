#!/bin/bash
# A Debian sid root for the Pythons that this machine does not have: made
# once with debootstrap, kept, and entered with the checkout at /src.
#
#   tools/sid-root.sh make                      make or complete the root
#   tools/sid-root.sh run make test PYTHON=python3.14
#   tools/sid-root.sh path                      where it is
#
# ASYNCLOOP_SID chooses the place. Mounts are made in a mount namespace of
# the command's own: they vanish with it, however it ends, and a removal of
# the root can never reach the checkout.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
root=${ASYNCLOOP_SID:-/var/tmp/asyncloop/sid}
# Nothing: debootstrap's own.
mirror=${ASYNCLOOP_SID_MIRROR:-}
pythons=(3.14 3.15)

packages=(ca-certificates gcc libc6-dev libssl-dev libuv1-dev make openssl
    pkgconf)
for v in "${pythons[@]}"; do
    packages+=("python$v" "python$v-dev" "python$v-venv"
        "libpython$v-testsuite")
done

fail() {
    echo "sid-root: $*" >&2
    exit 1
}

make_root() {
    if ! command -v debootstrap >/dev/null; then
        command -v apt-get >/dev/null || fail "debootstrap is not installed"
        echo "sid-root: installing debootstrap"
        apt-get -qq update </dev/null
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y install \
            --no-install-recommends debootstrap >/dev/null </dev/null
    fi
    # Renamed when complete, so that an interrupted attempt leaves no root
    # that looks like one.
    echo "sid-root: making $root (some minutes)"
    rm -rf "$root.new"
    mkdir -p "$(dirname "$root")"
    unshare --mount debootstrap --variant=minbase \
        --include="$(IFS=,; echo "${packages[*]}")" \
        sid "$root.new" ${mirror:+"$mirror"} >"$root.log" 2>&1 </dev/null ||
        { tail -n 20 "$root.log" >&2; fail "debootstrap failed"; }
    mv "$root.new" "$root"
}

# Names the packages that the root lacks.
missing_packages() {
    local have
    have=$(chroot "$root" dpkg-query -W -f '${Package} ${db:Status-Status}\n')
    for package in "${packages[@]}"; do
        grep -qx "$package installed" <<<"$have" || echo "$package"
    done
}

complete_root() {
    local missing
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # one word for each package
    set -- $missing
    echo "sid-root: installing $*"
    enter bash -c 'apt-get -qq update && apt-get -qq -y install \
        --no-install-recommends "$@"' - "$@" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; fail "apt-get failed in $root"; }
}

# Copies a file of this machine to the same place in the root.
copy_in() {
    [ -f "$1" ] || return 0
    cmp -s "$1" "$root$2" && return 0
    mkdir -p "$(dirname "$root$2")"
    # A link would point out of the root.
    rm -f "$root$2"
    cp -pL "$1" "$root$2"
}

inherited=()
# Settings without which pip and apt may not reach their servers from here.
inherit_settings() {
    local name value
    inherited=()
    copy_in /etc/resolv.conf /etc/resolv.conf
    copy_in /etc/pip.conf /etc/pip.conf
    copy_in "$HOME/.config/pip/pip.conf" "$HOME/.config/pip/pip.conf"
    while IFS='=' read -r -d '' name value; do
        case $name in
        PIP_CERT | SSL_CERT_FILE | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE)
            copy_in "$value" "$value"
            ;;
        PIP_* | *_proxy | *_PROXY | ASYNCLOOP_* | PYTEST_* | TERM) ;;
        *) continue ;;
        esac
        inherited+=("$name=$value")
    done < <(env -0)
}

# Runs a command in the root, in a mount namespace of its own.
enter() {
    unshare --mount --propagation private -- bash -euc '
        root=$1 checkout=$2
        shift 2
        mkdir -p "$root/src"
        mount --rbind /proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount --bind "$checkout" "$root/src"
        exec chroot "$root" "$@"
    ' - "$root" "$checkout" env -i HOME="$HOME" LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "${inherited[@]}" \
        bash -c 'cd /src && exec "$@"' - "$@" </dev/null
}

prepare() {
    [ "$(id -u)" = 0 ] || fail "only root can enter a Debian root"
    mkdir -p "$(dirname "$root")"
    # Two runs at once must not make it twice.
    exec 9>"$root.lock"
    flock 9
    [ -x "$root/usr/bin/dpkg-query" ] || make_root
    inherit_settings
    complete_root
    # Once more: a package installed just now may have brought its own.
    inherit_settings
    flock -u 9
    exec 9>&-
}

case ${1:-} in
make) prepare ;;
run)
    shift
    [ $# -gt 0 ] || fail "run what?"
    prepare
    enter "$@"
    ;;
path) echo "$root" ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
