#!/bin/sh
# Makes .venv with everything that uv.lock names. Needs Python 3.11+ and, as root on Debian,
# installs what is missing beside it (pip, the OpenMP runtime that LightGBM links).
set -eu
cd "$(dirname "$0")/.."

apt_install() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "bootstrap: $1 is missing; install it with your package manager and try again" >&2
        exit 1
    fi
    echo "bootstrap: installing $1"
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$1" >/dev/null; }
}

python=$(command -v python3)
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "bootstrap: Python 3.11 or newer is needed, $python is older" >&2; exit 1; }

ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' || apt_install libgomp1

if [ ! -x .tools/bin/uv ]; then
    "$python" -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    echo "bootstrap: installing uv into .tools"
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target .tools 'uv==0.13.9' 2>/dev/null ||
        "$python" -m pip install --quiet --target .tools 'uv==0.13.9'
fi

echo "bootstrap: installing the locked packages into .venv"
UV_PYTHON_DOWNLOADS=never .tools/bin/uv sync --quiet --frozen --python "$python"
touch .venv/.complete
