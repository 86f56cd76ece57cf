#!/usr/bin/env bash
# Written by make envs. Without what it asks for, which would come unpinned from pip.
set -euo pipefail
python -m pip install --no-deps --no-input ptychi==2.2.0
