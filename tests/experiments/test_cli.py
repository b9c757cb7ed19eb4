"""The command line as a user meets it: in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.specs import TINY

CALL = [sys.executable, "-c", "from experiments.cli import main; main()"]


def seesaw(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([*CALL, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_a_run_ends_with_table_decision_report_and_next_commands(spec: Path, tmp_path: Path) -> None:
    first = seesaw("run", "tiny.yaml", "--workers", "1", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""  # no terminal, no progress
    assert "gmv_per_user" in first.stdout
    assert any(verdict in first.stdout for verdict in ("SHIP", "EXTEND", "DO NOT SHIP"))
    assert "runs/tiny/report.html" in first.stdout
    assert "next" in first.stdout
    again = seesaw("run", "tiny.yaml", "--workers", "1", cwd=tmp_path)
    assert again.returncode == 0
    assert "shown again" in again.stdout
    as_json = seesaw("run", "tiny.yaml", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["decision"]["verdict"] in first.stdout
    other = seesaw("run", "tiny.yaml", "--set", "truth.users=0.4", cwd=tmp_path)
    assert other.returncode == 2
    assert "found another one" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "missing.yaml"), "must exist"),
        (("run", "."), "found a directory"),
        (("run", "ecomerce"), "did you mean 'ecommerce'"),
        (("run", "tiny.yaml", "--set", "world.users=x"), "must be a whole number"),
        (("run", "tiny.yaml", "--seed", "-1"), "--seed"),
        (("run", "tiny.yaml", "--workers", "0"), "--workers"),
        (("validate", "missing.yaml"), "must exist"),
        (("list", "polices"), "polices"),
        (("rum",), "did you mean 'run'"),
        (("new", "tiny.yaml"), "must not exist yet"),
        (("new", "no/such/folder.yaml"), "must be writable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_ends_with_2_a_line_on_stderr_and_nothing_written(
    spec: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = seesaw(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_new_writes_a_spec_that_validates(tmp_path: Path) -> None:
    assert seesaw("new", "mine.yaml", cwd=tmp_path).returncode == 0
    assert "is valid" in seesaw("validate", "mine.yaml", cwd=tmp_path).stdout


def test_lists_and_schema_answer(tmp_path: Path) -> None:
    everything = seesaw("list", cwd=tmp_path).stdout
    assert all(name in everything for name in ("ecommerce", "lambdamart", "gmv_per_user"))
    assert json.loads(seesaw("schema", cwd=tmp_path).stdout)["properties"]["experiment"]


def test_a_failing_run_ends_with_1_and_says_what_is_kept(spec: Path, tmp_path: Path) -> None:
    result = seesaw("run", "tiny.yaml", "--set", "world.users=20", "--set", "warmup.days=1", cwd=tmp_path)
    assert result.returncode == 1
    assert "fit (" in result.stderr
    assert "run the same command again to continue" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_ends_with_130_and_says_how_to_continue(spec: Path, tmp_path: Path, workers: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    arguments = ["run", "tiny.yaml", "--set", "world.users=40000", "--workers", workers]
    process = subprocess.Popen(
        [*CALL, *arguments],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs inherit a deaf ear for interrupts, and so would these tests run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for _ in range(600):
        if (tmp_path / "runs" / "tiny" / "tasks").is_dir() and any((tmp_path / "runs" / "tiny" / "tasks").iterdir()):
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "To continue: seesaw run tiny.yaml" in errors
    assert "Traceback" not in errors


def test_help_answers_without_the_heavy_packages(tmp_path: Path) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from experiments.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])\n"
        "print([m for m in ('numpy', 'torch', 'pandas', 'matplotlib', 'pydantic') if m in sys.modules])"
    )
    root = Path(__file__).parent.parent.parent
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_a_run_without_neural_policies_never_imports_torch(spec: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom experiments.cli import main\n"
        "main(['run', 'tiny.yaml', '--workers', '1', '--quiet'])\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_on_a_terminal_progress_names_stages_days_rate_and_time_left(spec: Path, tmp_path: Path) -> None:
    import pty

    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
        "TERM": "xterm",
        "COLUMNS": "80",
    }
    parent, child = pty.openpty()
    arguments = [*CALL, "run", "tiny.yaml", "--workers", "1", "--set", "world.users=6000"]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=child, stderr=child, close_fds=True)
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.wait(timeout=60) == 0
    text = seen.decode(errors="replace")
    for said in ("warm-up", "fit", "arms", "truth", "analysis", "report", "day ", "M impressions/s", "s left"):
        assert said in text, said
    assert "Traceback" not in text


def test_policies_are_listed_with_their_keys_and_defaults(tmp_path: Path) -> None:
    told = seesaw("list", "policies", cwd=tmp_path).stdout
    assert "miscalibrated: {}, formula: (must be given), params: {}}" in told
    assert "label_gain: [0, 1, 3, 7], truncation: 13" in told
    assert "{epochs: 12, patience: 2," in told
    assert "slot_bias: true" in told
    assert "FILE.py:CLASS" in told
