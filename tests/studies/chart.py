"""What `tests.studies.cvr` found, as a table and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.studies.measures import Paired

Lines = Sequence[Mapping[str, str]]
YARDSTICK = "cvr_on_clicks"
CHARTED = {"esmm": "#1b6ca8", "esmm_ns": "#8fb8d8", "shared_embeddings": "#c8742b", "shared_bottom": "#e8b98a"}
APART = ("hidden intent", "slots learned")  # worlds that ask something else; left out of means over worlds


def of(lines: Lines, cell: str, model: str, measure: str) -> Paired:
    """One measure over the seeds of a cell, in the order of the seeds."""
    mine = [line for line in lines if line["cell"] == cell and line["model"] == model]
    return Paired.of([float(line[measure]) for line in sorted(mine, key=lambda line: int(line["seed"]))])


def against(lines: Lines, cell: str, model: str, measure: str) -> Paired:
    """A model less the model of clicks, within seeds."""
    return Paired.of(of(lines, cell, model, measure).each - of(lines, cell, YARDSTICK, measure).each)


def names(lines: Lines, column: str, cell: str | None = None) -> list[str]:
    """Cells, or the models of one, in the order of the file."""
    return list(dict.fromkeys(line[column] for line in lines if cell in (None, line["cell"])))


def worlds_table(lines: Lines) -> str:
    """Markdown: what each cell is, means over its seeds."""
    facts = ("impressions", "clicks", "buys", "items_per_buy", "correlation", "truth")
    rows = ["| world | impressions | clicks | buys | items per buy | correlation | mean true CVR |", "|---" * 7 + "|"]
    for cell in names(lines, "cell"):
        found = [of(lines, cell, YARDSTICK, fact).mean for fact in facts]
        counts = " | ".join(f"{value:,.0f}" for value in found[:3])
        rows.append(f"| {cell} | {counts} | {found[3]:.2g} | {found[4]:.2f} | {found[5]:.3f} |")
    return "\n".join(rows)


def models_table(lines: Lines) -> str:
    """Markdown: every model of every cell; differences to the model of clicks with standard errors."""
    rows = [
        "| world | model | AUC over all | difference | log-loss | difference | mean pCVR / mean truth |",
        "|---" * 7 + "|",
    ]
    for cell in names(lines, "cell"):
        for model in names(lines, "model", cell):
            shown = [of(lines, cell, model, measure) for measure in ("auc", "log_loss", "ratio")]
            apart = ["", ""]
            if model != YARDSTICK:
                apart = [signed(against(lines, cell, model, measure)) for measure in ("auc", "log_loss")]
            rows.append(
                f"| {cell} | `{model}` | {shown[0].mean:.4f} | {apart[0]} | {shown[1].mean:.4f} | {apart[1]} "
                f"| {shown[2].mean:.3f} ± {shown[2].error:.3f} |"
            )
    return "\n".join(rows)


def pasted(page: str, name: str, table: str) -> str:
    """The page with a table between the marks `<!-- name -->` and `<!-- end -->`."""
    before, _, rest = page.partition(f"<!-- {name} -->\n")
    _, _, after = rest.partition("<!-- end -->")
    return f"{before}<!-- {name} -->\n{table}\n<!-- end -->{after}"


def signed(value: Paired) -> str:
    return f"{value.mean:+.4f} ± {value.error:.4f}"


def pooled(lines: Lines, model: str, measure: str) -> Paired:
    """Mean over worlds of the differences to the model of clicks, by seed: worlds of a seed are not independent."""
    cells = [cell for cell in names(lines, "cell") if cell not in APART]
    return Paired.of(np.mean([against(lines, cell, model, measure).each for cell in cells], axis=0))


def pooled_table(lines: Lines) -> str:
    """Markdown: the models that were fitted in all worlds but those apart."""
    cells = [cell for cell in names(lines, "cell") if cell not in APART]
    rows = [f"| over {len(cells)} worlds | AUC, difference | seeds above 0 | log-loss, difference |", "|---" * 4 + "|"]
    for model in names(lines, "model"):
        if model != YARDSTICK and all(model in names(lines, "model", cell) for cell in cells):
            auc, loss = pooled(lines, model, "auc"), pooled(lines, model, "log_loss")
            rows.append(f"| `{model}` | {signed(auc)} | {(auc.each > 0).sum()} of {len(auc.each)} | {signed(loss)} |")
    return "\n".join(rows)


def figure(lines: Lines, path: Path) -> None:
    """AUC over all impressions, each model less the model of clicks; bars are two standard errors of paired seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = names(lines, "cell")
    fig, ax = plt.subplots(figsize=(8, 0.55 * len(cells) + 1.4), layout="constrained")
    for number, (model, colour) in enumerate(CHARTED.items()):
        there = [(row, cell) for row, cell in enumerate(cells) if model in names(lines, "model", cell)]
        found = [against(lines, cell, model, "auc") for _, cell in there]
        y = np.array([row for row, _ in there]) + 0.18 * (number - 1.5)
        error = [2 * one.error for one in found]
        ax.errorbar([one.mean for one in found], y, xerr=error, fmt="o", ms=5, color=colour, label=model, capsize=2)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(range(len(cells)), cells)
    ax.invert_yaxis()
    ax.set_xlabel("AUC of pCVR over all impressions, less that of cvr_on_clicks (bars: 2 standard errors)")
    ax.legend(loc="best", frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=110, metadata={"Software": None})  # no version, so that bytes repeat
    plt.close(fig)
