"""What is wrong with a result: a grade and a sentence, and limits that decide on grades."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limit:
    """From which value on something is doubtful, and from which on it is bad. NaN is neither."""

    doubtful: float
    bad: float

    def grade(self, value: float) -> int:
        """0 good, 1 doubtful, 2 bad."""
        return int(value > self.doubtful) + int(value > self.bad)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be: grade 1 (doubtful) or 2 (bad), and a sentence that says what."""

    grade: int
    sentence: str
