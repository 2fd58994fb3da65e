"""How varied the synthetic world is, next to real clips."""

from unish.lab.evaluation.variety.comparison import Difference, compare_rows
from unish.lab.evaluation.variety.figure import draw_figure
from unish.lab.evaluation.variety.quantities import QUANTITIES, Quantity, Row, measure_clip
from unish.lab.evaluation.variety.sources import measure_videos, measure_world

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
