#!/usr/bin/env bash
# Unmodified Triton clients against the real server: `npm run test:clients`. Makes its own Python environment under var/
# (pinned, kept for the next run). Arguments are names of test modules, without any all of them run. The last line counts.
set -euo pipefail
cd "$(dirname "$0")/../.."

VENV=var/clients-venv
TOOLS=var/clients-tools
export PYTHONDONTWRITEBYTECODE=1
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r test/clients/requirements.txt
bash test/clients/perf-analyzer.sh "$TOOLS" "$PWD/$VENV/bin/pip"
node dist/world/main.js demo > /dev/null
exec "$VENV/bin/python" test/clients/run.py "$@"
