"""`seesaw world` as a user meets it: verdicts, exit codes, files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sim
from experiments.cli import cli

ECOMMERCE = Path(sim.__file__).parent / "scenarios" / "ecommerce.yaml"
SMALL = ("--users", "300", "--days", "3")
PNG = b"\x89PNG\r\n\x1a\n"


def world(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["world", *arguments])


def doctored(folder: Path, targets: str) -> str:
    """A copy of the shop with other targets."""
    text = ECOMMERCE.read_text(encoding="utf-8")
    path = folder / "mine.yaml"
    path.write_text(text[: text.index("\ntargets:")] + "\n" + targets, encoding="utf-8")
    return str(path)


def test_every_target_is_printed_with_its_band_and_source(tmp_path: Path) -> None:
    targets = (
        "targets:\n"
        "  ctr: {low: 0, high: 1, source: first source}\n"
        "  cart_per_click: {low: 0.9, source: second source, kind: assumed}\n"
        "  gap_log_sd: {source: third source, kind: reported}\n"
    )
    result = world(doctored(tmp_path, targets), *SMALL)
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "0 to 1" in lines["ctr"]
    assert "PASS" in lines["ctr"]
    assert "first source" in lines["ctr"]
    assert "from 0.9" in lines["cart_per_click"]
    assert "OFF" in lines["cart_per_click"]
    assert "assumed" in lines["cart_per_click"]
    assert "reported" in lines["gap_log_sd"]
    assert "1 of 1 bands with a source are kept; 0 of 1 bands assumed are kept (OFF: cart_per_click)" in result.stdout


def test_a_missed_band_with_a_source_ends_with_1(tmp_path: Path) -> None:
    result = world(doctored(tmp_path, "targets:\n  ctr: {low: 0.5, high: 0.6, source: doctored}\n"), *SMALL)
    assert result.exit_code == 1
    assert "OFF: ctr" in result.stdout


def test_without_targets_there_is_no_verdict(tmp_path: Path) -> None:
    result = world(doctored(tmp_path, ""), *SMALL)
    assert result.exit_code == 0, result.output
    assert "nothing is judged" in result.stdout
    assert "buy_per_click" in result.stdout
    assert "PASS" not in result.stdout
    assert "OFF" not in result.stdout


@pytest.mark.parametrize("name", ["ecommerce", "feed", "recruiting"])
def test_table_and_figure_are_written_into_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "new" / "folder"
    result = world(name, *SMALL, "--out", str(folder))
    assert result.exit_code in (0, 1), result.output  # so few users keep few bands
    assert str(folder / f"{name}.png") in result.stdout
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "ctr" in [row["marginal"] for row in rows]
    assert all(row["source"] and row["meaning"] for row in rows)
    assert result.exit_code == int(any(row["verdict"] == "OFF" and row["kind"] == "judged" for row in rows))
    figure = (folder / f"{name}.png").read_bytes()
    assert figure[:8] == PNG
    assert len(figure) > 20_000


def test_a_world_is_drawn_without_targets_too(tmp_path: Path) -> None:
    result = world(doctored(tmp_path, ""), *SMALL, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "ecommerce.png").read_bytes()[:8] == PNG


def test_equal_seeds_print_equal_tables_and_others_do_not(tmp_path: Path) -> None:
    path = doctored(tmp_path, "targets:\n  ctr: {source: any, kind: reported}\n")
    first, again, other = (world(path, *SMALL, "--seed", seed).stdout for seed in ("4", "4", "5"))
    assert first == again
    assert first.splitlines()[1:] != other.splitlines()[1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("name: x\n", "catalogue: must be given"),
        ("name: [x\n", "must be YAML"),
    ],
)
def test_a_file_that_is_no_scenario_ends_with_2_and_lines(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    result = world(str(path), *SMALL)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fed",), "did you mean 'feed'?"),
        (("no/such.yaml",), "must be a scenario or a YAML file, found neither"),
        (("feed", "--users", "1"), "--users"),
        (("feed", "--days", "0"), "--days"),
        (("feed", "--seed", "-1"), "--seed"),
    ],
)
def test_wrong_arguments_end_with_2_and_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = world(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_an_unknown_target_ends_with_2_and_its_line(tmp_path: Path) -> None:
    result = world(doctored(tmp_path, "targets:\n  crt: {source: any}\n"), *SMALL)
    assert result.exit_code == 2
    assert "mine.yaml:" in result.stderr
    assert "targets.crt: must be a marginal, got 'crt'; did you mean 'ctr'?" in result.stderr


def test_a_rate_that_cannot_be_reached_ends_with_2(tmp_path: Path) -> None:
    path = Path(doctored(tmp_path, ""))
    path.write_text(path.read_text().replace("rate: 0.05 ", "rate: 0.9 "), encoding="utf-8")
    result = world(str(path), *SMALL)
    assert result.exit_code == 2
    assert "click: the rate 0.9 cannot be reached" in result.stderr


def test_a_folder_that_cannot_be_made_ends_with_2_before_anything_is_simulated(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = world("feed", "--users", "1000000", "--days", "365", "--out", str(tmp_path / "taken" / "below"))
    assert result.exit_code == 2
    assert "must be a folder that can be written" in result.stderr
