"""`python -m warpgauge` is the same as `warpgauge`."""
# ruff: noqa: INP001 - warpgauge is a namespace over six source roots (PEP 420), on purpose without __init__.py

import sys

from warpgauge.cli.main import main

sys.exit(main())
