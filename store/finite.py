"""How is a number that is not finite kept?

As null: neither JSON nor SQLite has a NaN. That a loss was not finite is said by the search's error, not by its curve.
"""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """Copy JSON-like data (mappings, lists, tuples, scalars) with every NaN and infinity as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
