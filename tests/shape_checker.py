"""The run-time type checker of the tests: beartype, with an int accepted where a float is asked for (PEP 484).

A function gets its checks when it is called for the first time: most that a module imports are never called there, and
making the checks of all takes longer than many a test.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_with_checks = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    checked: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        nonlocal checked
        if checked is None:
            checked = _with_checks(function)
        return checked(*args, **options)

    return call
