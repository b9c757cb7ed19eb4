"""`cov.npz`: all lifts of the deciding estimator with the covariance between them, pairs arm by arm."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from experiments.analysis.contrasts import JointLifts

COVARIANCE = "cov.npz"


def save_covariance(joint: JointLifts, folder: Path) -> None:
    """Write control, arms, metrics, lift (A, M) and covariance (A M, A M); the file is there whole or not at all."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        control=np.array(joint.control),
        arms=np.array(joint.arms),
        metrics=np.array(joint.metrics),
        lift=joint.lift,
        covariance=joint.covariance,
    )
    draft = folder / f".{COVARIANCE}"
    draft.write_bytes(buffer.getvalue())
    draft.replace(folder / COVARIANCE)
