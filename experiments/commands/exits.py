"""How commands end: exit codes, and errors as lines on standard error."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def invoked_as() -> str:
    """How the user calls seesaw: by name where it is on the path, else as they just did."""
    called = Path(sys.argv[0])
    if called.name != "seesaw" or shutil.which("seesaw"):
        return "seesaw"
    return str(called)


def refuse(lines: Iterable[str]) -> NoReturn:
    """End because the input is wrong: one line per problem, exit code 2."""
    for line in lines:
        click.echo(line, err=True)
    raise SystemExit(WRONG_INPUT)


def fail(line: str) -> NoReturn:
    """End because the run failed: exit code 1."""
    click.echo(line, err=True)
    raise SystemExit(FAILED)
