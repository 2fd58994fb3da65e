"""What commands read of a finished run, beside the reconstruction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unish.errors import InputError


def read_report(folder: Path) -> dict[str, Any]:
    """``report.json`` of a finished run; empty where there is none, as beside a file from elsewhere.

    Raises:
        InputError: it is there and is not JSON.
    """
    path = folder / "report.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path}: not readable as JSON; run `unish reconstruct` again or remove it") from None
    return found if isinstance(found, dict) else {}
