#!/bin/bash
# Builds with a sanitizer into build/<kind> and runs the tests on that.
#
#   tools/sanitize.sh address|undefined path/to/python [pytest argument...]
set -euo pipefail

cd "$(dirname "$0")/.."
kind=${1:?address or undefined}
python=${2:?the interpreter of a virtual environment}
shift 2
folder=build/$kind

# The compiler that built the interpreter builds the extension, and its
# run-time library has to be the one that is loaded first.
compiler=$("$python" -c 'import shlex, sysconfig
print(shlex.split(sysconfig.get_config_var("CC") or "cc")[0])')

ASYNCLOOP_SANITIZE=$kind "$python" setup.py -q build \
    --build-base "$folder" --build-lib "$folder"

export PYTHONPATH=$PWD/$folder
# The interpreter's own allocator would hide what happens inside its arenas.
export PYTHONMALLOC=malloc
case $kind in
address)
    # CPython itself leaves memory behind at the exit; `make leaks` looks
    # for ours in another way.
    export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
    LD_PRELOAD=$("$compiler" -print-file-name=libasan.so)
    ;;
undefined)
    export UBSAN_OPTIONS=print_stacktrace=1
    LD_PRELOAD=$("$compiler" -print-file-name=libubsan.so)
    ;;
esac

# The linter and the installation have nothing to do with the sanitizer; the
# slow tests and CPython's own can be asked for with arguments.
LD_PRELOAD=$LD_PRELOAD exec "$python" -P -m pytest \
    -m "not slow and not conformance" \
    --ignore=tests/lint --ignore=tests/package "$@"
