#!/bin/sh
# Make the shipped checkpoint of the small preset again: shards, scene branch, human branch, assembly.
# MOTION names a folder of motion capture files (BVH, ASF/AMC, DeepMimic); without it motion is procedural.
set -eu
BIN=${BIN:-.venv/bin}
RUNS=${RUNS:-runs}
"$BIN/unish" train small-scene --out "$RUNS/scene" --data "$RUNS/shards" --resume
"$BIN/unish" train small-lifter --out "$RUNS/lifter" --data "${MOTION:-$RUNS/no-motion}" --resume
"$BIN/python" tools/assemble_small.py --scene "$RUNS/scene/cameras" --lifter "$RUNS/lifter"
