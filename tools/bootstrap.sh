#!/bin/sh
# Make .venv ready: tools/bootstrap.sh EXTRA[,EXTRA]   (called by the Makefile)
#
# Finds a Python, creates .venv and installs this checkout with the extras, editable. Does nothing when that was done
# before and neither pyproject.toml, the checkout's place nor the Python has changed. Everything stays in the checkout.
# Each failure is one sentence with its mend on stderr, exit 2.
set -eu

extras=${1:?usage: tools/bootstrap.sh EXTRA[,EXTRA]}
cd "$(dirname "$0")/.."
checkout=$(pwd -P)
log=.cache/pip.log

fail() {
    echo "warpgauge: $1" >&2
    exit 2
}

# Python 3.11 or newer (exit 0), older (exit 1) or not a working Python at all (anything else).
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

can_make_environments() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo "unusable"
}

# Sets $python to the first Python that is new enough and can make a virtual environment.
find_python() {
    python=
    too_old=
    without_venv=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if ! is_new_enough "$candidate"; then
            too_old="${too_old:+$too_old, }$candidate is $(version_of "$candidate")"
        elif ! can_make_environments "$candidate"; then
            without_venv=${without_venv:-$candidate}
        else
            python=$candidate
            return
        fi
    done
    if [ -n "$without_venv" ]; then
        fail "$without_venv cannot create virtual environments: sudo apt install ${without_venv##*/}-venv"
    fi
    if [ -n "$too_old" ]; then
        fail "Python 3.11 or newer is needed ($too_old): install one, or name one with PYTHON=/path/to/python3.12"
    fi
    fail "no Python found (${PYTHON:-python3}): sudo apt install python3 python3-venv"
}

# What the installation depends on; kept in .venv/installed-EXTRAS once it succeeded.
fingerprint() {
    echo "$checkout $(cksum <pyproject.toml) $("$1" -c 'import sys; print(sys.version)' | tr '\n' ' ')"
}

is_usable() {
    [ -x .venv/bin/python ] && is_new_enough .venv/bin/python && [ "$(cat .venv/checkout 2>/dev/null)" = "$checkout" ]
}

create_environment() {
    find_python
    echo "warpgauge: creating .venv with $python ($(version_of "$python"))"
    if ! "$python" -m venv --clear .venv >"$log" 2>&1; then
        fail "$python cannot create .venv in $checkout ($(tail -n 1 "$log")); all of it is in $log"
    fi
    echo "$checkout" >.venv/checkout
}

install() {
    echo "warpgauge: installing warpgauge[$extras] into .venv (a minute the first time)"
    if PIP_CACHE_DIR=$checkout/.cache/pip .venv/bin/python -m pip install --quiet --no-input --retries 2 \
        --disable-pip-version-check --editable ".[$extras]" >"$log" 2>&1; then
        return
    fi
    if grep -E -i -q 'NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError|ReadTimeout|unreachable|Max retries' "$log"; then
        fail "no network to the package index (pip's words are in $log): connect, or set HTTPS_PROXY or PIP_INDEX_URL"
    fi
    said=$(grep -E '^ *(ERROR|error):' "$log" | tail -n 1)
    fail "pip could not install warpgauge[$extras] (${said:-no error line}); all of it is in $log"
}

stamp=.venv/installed-$extras
if is_usable && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint .venv/bin/python)" ]; then
    exit 0
fi
if ! { mkdir -p .cache && : >"$log"; } 2>/dev/null || { [ -e .venv ] && [ ! -w .venv ]; }; then
    fail "cannot write to $checkout: make it writable, or copy the checkout to a folder of yours"
fi
is_usable || create_environment
install
fingerprint .venv/bin/python >"$stamp"
