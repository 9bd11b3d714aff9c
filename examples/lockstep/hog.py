"""A program that uses all of the CPUs it may run on, with several threads, until it is ended.

Started by lockstep.py.
"""

from __future__ import annotations

import argparse
import hashlib
import threading
from pathlib import Path


def burn() -> None:
    """Hash for ever; hashlib lets other threads run meanwhile."""
    block = bytes(1 << 20)
    while True:
        hashlib.sha256(block).digest()


def main() -> None:
    """Burn until a signal comes."""
    parser = argparse.ArgumentParser(description="Use a CPU to the full.")
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    Path("/proc/self/comm").write_text("hog", encoding="ascii")  # the name under which process lists show it
    for _ in range(arguments.threads - 1):
        threading.Thread(target=burn, daemon=True).start()
    burn()


if __name__ == "__main__":
    main()
