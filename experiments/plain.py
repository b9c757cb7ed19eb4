"""Values as JSON can hold them: it has no NaN and no infinity, so what is not a number is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def nulled(value: Any) -> Any:
    """The same with null for every float that is not finite, however deep it stands."""
    if isinstance(value, Mapping):
        return {key: nulled(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [nulled(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
