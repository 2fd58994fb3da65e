"""Read a finished reconstruction: bodies as meshes, people and scene as point clouds.

python examples/02_people_and_points.py out/dance/reconstruction.npz
"""

import argparse
from pathlib import Path

import numpy as np

import unish
from unish.body import load_body

parser = argparse.ArgumentParser(description="Bodies and points of a reconstruction")
parser.add_argument("file", type=Path)
args = parser.parse_args()

result = unish.Reconstruction.load(args.file)
body = load_body("free")

# Every pixel in world metres; the mask says whom it belongs to.
points = result.world_points()
scene = points[(result.person_masks < 0) & (result.depth > 0)]
print(f"scene: {len(scene)} points, middle {np.round(np.median(scene, axis=0), 2)}")

# Body meshes: (people, frames, vertices, 3), NaN where a person was not seen.
vertices = result.vertices(body)
print(f"bodies: {vertices.shape}, faces {result.faces.shape}")

for person, person_id in enumerate(result.person_ids):
    clouds = result.points(person)
    for frame in np.flatnonzero(result.person_valid[person])[:3]:
        mesh, cloud = vertices[person, frame], clouds[frame]
        time_s = result.timestamps_s[frame]
        print(
            f"person {person_id} at {time_s:.2f} s: {len(cloud)} points, body from "
            f"{np.round(mesh.min(axis=0), 2)} to {np.round(mesh.max(axis=0), 2)}"
        )
