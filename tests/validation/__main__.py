"""Run the battery and write what it measured: `python -m tests.validation [--quick] [--only V6,V8] [--out FILE]`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.validation.battery import Outcome, outcomes
from tests.validation.document import summary, written
from tests.validation.measured import Size
from tests.validation.table import CHECKS

ROOT = Path(__file__).parent.parent.parent
DOCUMENT, PART = ROOT / "docs" / "VALIDATION.md", ROOT / "build" / "VALIDATION.md"


def main() -> int:
    """1 if anything failed, for `make`."""
    parser = argparse.ArgumentParser(prog="python -m tests.validation")
    parser.add_argument("--quick", action="store_true", help="few replications")
    parser.add_argument("--only", default=",".join(CHECKS), help="such as V6,V8")
    parser.add_argument("--out", type=Path, help="docs/VALIDATION.md for all in full, else build/VALIDATION.md")
    asked = parser.parse_args()
    size, checks = (Size.QUICK if asked.quick else Size.FULL), asked.only.split(",")
    unknown = [check for check in checks if check not in CHECKS]
    if unknown:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    found = list[Outcome]()
    for one in outcomes(checks, size, os.cpu_count() or 1):
        found.append(one)
        print(f"{one.check}: {len(one.measured)} figures, {one.outside} outside, {one.failed} failed", flush=True)
    out = asked.out or (DOCUMENT if size is Size.FULL and checks == list(CHECKS) else PART)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(written(found, size), encoding="utf-8")
    print(f"{summary(found)}\nwrote {out}")
    return int(any(one.failed for one in found))


if __name__ == "__main__":
    sys.exit(main())
