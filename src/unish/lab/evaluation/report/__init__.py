"""One page to look at: tables, bars by sequence, paths from above, errors over time, depth maps."""

from unish.lab.evaluation.report.page import write_page

__all__ = ["write_page"]
