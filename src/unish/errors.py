"""The two kinds of trouble a user can meet: input that cannot give a result, and a result that is degraded."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or usage. The message is one line: what is wrong and what to do. The CLI prints it and exits with 2."""


class DegradedResultWarning(UserWarning):
    """The result exists but something made it worse; the pipeline records every one in ``report.json``."""
