"""Reconstruct a video and look at what came out.

    python examples/01_reconstruct.py dance.mp4 out/dance

The same from the shell: unish reconstruct dance.mp4 --out out/dance
"""

import argparse
from pathlib import Path

import numpy as np

import unish

parser = argparse.ArgumentParser(description="Reconstruct a video")
parser.add_argument("video", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--model", default="small")
parser.add_argument("--people", type=int, help="at most this many people; 0 = scene only")
parser.add_argument("--max-frames", type=int, default=24)
args = parser.parse_args()

result = unish.reconstruct(args.video, model=args.model, people=args.people, max_frames=args.max_frames)
args.out.mkdir(parents=True, exist_ok=True)
result.save(args.out / "reconstruction.npz")

print(f"{result.num_frames} frames, {result.num_people} people, metres, world = camera of the first frame")
steps = np.linalg.norm(np.diff(result.c2w[:, :3, 3], axis=0), axis=1)
print(f"the camera travelled {steps.sum():.2f} m")
if (result.depth > 0).any():
    print(f"the scene lies between {result.depth[result.depth > 0].min():.1f} and {result.depth.max():.1f} m away")
for person, person_id in enumerate(result.person_ids):
    seen = result.person_valid[person]
    pelvis = result.joints[person, seen, 0]
    print(f"person {person_id}: seen in {seen.sum()} frames, first at {np.round(pelvis[0], 2)}")
