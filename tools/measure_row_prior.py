"""Render clips of the synthetic world, measure the row-wise depth prior on them, and write the file that ships.

python tools/measure_row_prior.py --clips 200 --seed 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from unish.lab.evaluation.row_prior import FILE, measure_row_prior
from unish.lab.synthetic import SynthConfig, write_clips

# The sensor does not change depth, and the frames of a clip are much alike.
CONFIG = SynthConfig(num_frames=2, sensor=False, samples=1)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_clips(folder, num_clips=arguments.clips, seed=arguments.seed, config=CONFIG)
        rows = measure_row_prior(Path(folder))
    record = {
        "clips": arguments.clips,
        "seed": arguments.seed,
        "rows_m": [round(float(row), 3) for row in rows],
    }
    FILE.write_text(json.dumps(record) + "\n")
