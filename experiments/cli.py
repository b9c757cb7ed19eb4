"""The command line: a table of commands, each in a module of its own that is imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("experiments.commands.run", "Run an experiment and report what each arm gains and pays."),
    "analyze": ("experiments.commands.analyze", "Analyse a table of your own experiment."),
    "plan": ("experiments.commands.plan", "Tell how many users or days a test needs, from its warm-up alone."),
    "tune": ("experiments.commands.tune", "Search an arm's parameters offline, and confirm what is picked."),
    "evaluate": ("experiments.commands.evaluate", "Tell from a log what another policy would have earned."),
    "compare": ("experiments.commands.compare", "Set policies of several finished runs side by side."),
    "new": ("experiments.commands.new", "Write a commented experiment to start from."),
    "validate": ("experiments.commands.validate", "Check an experiment and say everything that is wrong with it."),
    "schema": ("experiments.commands.schema", "Print the JSON Schema of experiments."),
    "world": ("experiments.commands.world", "Hold a scenario's simulated people against published numbers."),
    "list": ("experiments.commands.listing", "List experiments, policies, metrics or scenarios."),
}


class LazyCommands(click.Group):
    """Commands by name; help needs the table only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise click.UsageError(f"unknown command {args[0]!r}; {hint}the commands are {', '.join(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seesaw")
def cli() -> None:
    """Rehearse A/B tests of multi-objective rankers on simulated users, beside the truth.

    \b
    Start here:
      seesaw run ecommerce --quick     a first experiment in under half a minute
      seesaw new my.yaml               your own
    """


def main(args: Sequence[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 the run failed, 2 the input is wrong, 130 interrupted."""
    try:
        cli.main(args=list(args) if args is not None else None, prog_name="seesaw", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
