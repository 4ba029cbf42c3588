#!/bin/bash
# Prints the path of the interpreter that a name stands for; with --venv, the
# folder of its virtual environment. A name that is not on the PATH, or is
# there only as a shim that does not run, is looked for under pyenv.
#
#   tools/find-python.sh [--venv] python3.13
set -u

show='import sys; print(sys.executable)'
if [ "${1:-}" = --venv ]; then
    show='import sys; print(".venv/%d.%d" % sys.version_info[:2])'
    shift
fi
name=${1:-python3}

runs() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

candidates=("$name")
pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}/versions
case $name in
python3)
    candidates+=(python3.13 python3.12 python3.11 "$pyenv"/3.1[1-9].*/bin/python3)
    ;;
python3.*)
    candidates+=("$pyenv/${name#python}".*/bin/"$name")
    ;;
esac
for candidate in "${candidates[@]}"; do
    if runs "$candidate"; then
        exec "$candidate" -c "$show"
    fi
done
exit 1
