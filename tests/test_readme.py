"""What the README shows is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from experiments.cli import COMMANDS
from experiments.spec import LIBRARY

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_experiment_shown_is_the_one_in_the_library() -> None:
    assert (LIBRARY / "ecommerce.yaml").read_text(encoding="utf-8") in blocks("yaml")


def test_the_policy_shown_works_as_it_is_copied(tmp_path: Path) -> None:
    (tmp_path / "cheapest.py").write_text(blocks("python")[0])
    use = (
        "import numpy as np\n"
        "from cheapest import Cheapest\n"
        "from tests.logs import asking, table_of_items, table_of_users\n"
        "policy = Cheapest.from_spec({'floor': 0.05}).assemble({})\n"
        "requests = asking(table_of_users(2), [[0, 1], [2, 3]], table_of_items(20))\n"
        "scores = policy.score(requests)\n"
        "assert scores.shape == (2, 2) and scores.dtype == np.float32, scores\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", use], cwd=ROOT, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_readme() -> None:
    assert all(f"`seesaw {command}" in README for command in COMMANDS)
