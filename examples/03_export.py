"""Turn a finished reconstruction into files for other programs.

    python examples/03_export.py out/dance/reconstruction.npz out/dance/export

scene.glb opens in Blender and in any glTF viewer, scene.ply in MeshLab and CloudCompare. The same from the shell:
unish export out/dance --to glb --to ply
"""

import argparse
from pathlib import Path

import unish
from unish.body import load_body
from unish.export import write_glb, write_ply, write_preview

parser = argparse.ArgumentParser(description="Export a reconstruction")
parser.add_argument("file", type=Path)
parser.add_argument("out", type=Path)
args = parser.parse_args()

result = unish.Reconstruction.load(args.file)
body = load_body("free")
args.out.mkdir(parents=True, exist_ok=True)

write_glb(args.out / "scene.glb", result, body, max_points=100_000)
write_ply(args.out / "scene.ply", result, body, max_points=500_000)
write_preview(args.out / "preview.mp4", result, body, fps=6.0)
for path in sorted(args.out.iterdir()):
    print(f"{path} {path.stat().st_size / 1e6:.1f} MB")
