"""Measure the row prior on the clips of ``unish synth`` in a folder and write the file that ships.

python tools/measure_row_prior.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from unish.evaluation.row_prior import FILE, measure_row_prior

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    rows = measure_row_prior(folder)
    record = {"clips": len(list(folder.glob("clip-*.npz"))), "rows_m": [round(float(row), 3) for row in rows]}
    FILE.write_text(json.dumps(record) + "\n")
