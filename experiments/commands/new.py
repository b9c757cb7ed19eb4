"""`seesaw new`: a commented experiment to start from."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.commands.exits import invoked_as, refuse

TEMPLATE = Path(__file__).with_name("new.yaml")


@click.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def command(file: Path, force: bool) -> None:
    """Write a commented experiment to FILE."""
    if file.exists() and not force:
        refuse([f"{file}: must not exist yet, found a {'folder' if file.is_dir() else 'file'}; use --force or another"])
    try:
        file.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as problem:
        refuse([f"{file}: must be writable, got {problem.strerror}; choose another place"])
    seesaw = invoked_as()
    click.echo(f"wrote {file}. Next: {seesaw} validate {file}; {seesaw} run {file} --quick")
