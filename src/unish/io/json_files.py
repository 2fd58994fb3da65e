"""JSON as every reader takes it: no NaN, no infinity, no types of numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from unish.io.atomic import written_beside


def write_json(path: Path, value: Any, *, indent: int = 2) -> None:
    """Write ``value`` as UTF-8 JSON with a final line break, whole or not at all (see ``to_json_values``).

    Raises:
        TypeError: it holds something that JSON has no form for.
        OSError: it cannot be written; what was there is untouched.
    """
    text = json.dumps(to_json_values(value), indent=indent, allow_nan=False)
    with written_beside(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def to_json_values(value: Any) -> Any:
    """The same value in JSON's own types: what is not finite becomes None, arrays and tuples lists, keys text."""
    if isinstance(value, Mapping):
        return {str(key): to_json_values(item) for key, item in value.items()}
    if isinstance(value, ndarray | np.generic):
        return to_json_values(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_tuples(value: Any) -> Any:
    """What JSON says, its lists as tuples."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value
