#!/bin/bash
# Makes the pictures of the documentation anew, with the programs in build/bin (or $MCPBUS_BIN): a page
# test draws them, pngquant (of Debian) makes them small.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
command -v pngquant >/dev/null || { echo "pngquant is missing: apt-get install pngquant" >&2; exit 1; }
drawn=$(mktemp -d)
trap 'rm -rf "$drawn"' EXIT
export MCPBUS_SCREENSHOTS=$drawn MCPBUS_BIN=${MCPBUS_BIN:-$PWD/build/bin} PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration/test_pictures.py
for picture in "$drawn"/*.png; do
    pngquant --speed 1 --strip --nofs --quality 70-95 --force --output \
        "docs/screenshots/${picture##*/}" -- "$picture"
done
ls -l docs/screenshots
