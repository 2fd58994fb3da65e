#!/bin/sh
# Make what the shipped checkpoint of the small preset began as: shards, scene branch, human branch, assembly.
# docs/training.md, "The standing run", says what followed.
#   MOTION   folder of motion capture files (BVH, ASF/AMC, DeepMimic); without it motion is procedural
#   RUNS     folder of the runs, which are resumed where they are (default runs)
#   OUT      folder of the checkpoint (default: the one that ships with the package)
#   MINUTES  wall-clock budget of each of the two trainings instead of the recipes' own
set -eu
BIN=${BIN:-.venv/bin}
RUNS=${RUNS:-runs}
OUT=${OUT:-src/unish/network/checkpoints/small}
BUDGET=${MINUTES:+--minutes $MINUTES}
# shellcheck disable=SC2086  # the budget is an option and its value, or nothing
"$BIN/unish" train pretrain-small --out "$RUNS/scene" --data "$RUNS/shards" --resume $BUDGET
# shellcheck disable=SC2086
"$BIN/unish" train small-lifter --out "$RUNS/lifter" --data "${MOTION:-$RUNS/no-motion}" --resume $BUDGET
"$BIN/python" tools/assemble_small.py --scene "$RUNS/scene/depth" --lifter "$RUNS/lifter" --out "$OUT"
