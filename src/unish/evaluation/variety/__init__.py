"""How varied the synthetic world is, next to real clips."""

from unish.evaluation.variety.comparison import Difference, compare_rows
from unish.evaluation.variety.figure import draw_figure
from unish.evaluation.variety.quantities import QUANTITIES, Quantity, Row, measure_clip
from unish.evaluation.variety.sources import measure_videos, measure_world

__all__ = [
    "QUANTITIES",
    "Difference",
    "Quantity",
    "Row",
    "compare_rows",
    "draw_figure",
    "measure_clip",
    "measure_videos",
    "measure_world",
]
