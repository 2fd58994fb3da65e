"""The last row of a table: means over sequences, each sequence with the weight that its benchmark gives it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unish.lab.evaluation.results import Row, mean_of_rows


def weighted_mean_of_rows(rows: Mapping[str, Row], *, weight: str, prefix: str = "") -> Row:
    """As ``mean_of_rows``, but columns that begin with ``prefix`` are weighted by the column ``weight``.

    The column ``weight`` itself is summed. A row without a finite number in a column has no say there.
    """
    means = mean_of_rows(list(rows.values()))
    for column in means.keys() - {weight, "failed"}:
        pairs = [(row[column], row[weight]) for row in rows.values() if row.get(weight) and _is_finite(row.get(column))]
        if column.startswith(prefix) and pairs:
            values, weights = np.array(pairs, np.float64).T
            means[column] = float((values * weights).sum() / weights.sum())
    if weight in means:
        means[weight] = sum(row.get(weight, 0) for row in rows.values())
    return means


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
