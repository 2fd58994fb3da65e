"""Score a method of your own, here one that wrote a small npz for each sequence.

    unish synth --out out/synth --clips 4 --seed 5
    python examples/04_score_your_method.py out/synth out/mine out/mine.json

Then: unish evaluate table out/mine.json, and unish evaluate report out/mine.json --out out/mine.html
"""

import argparse
from pathlib import Path

import numpy as np

from unish.body import load_body
from unish.errors import InputError
from unish.lab.evaluation import Answer, Request, evaluate
from unish.lab.evaluation.methods import People, make_record


class MyMethod:
    """Reads FOLDER/SEQUENCE.npz; replace ``predict`` by whatever runs or reads your method."""

    fingerprint = "my method 1.0"  # scores of two fingerprints are never mixed

    def __init__(self, folder: Path) -> None:
        self.folder, self.body = folder, load_body("free")

    def predict(self, request: Request) -> Answer:
        clip = request.read()  # the frames to reconstruct: clip.images, clip.timestamps_s, clip.frame_indices
        path = self.folder / f"{request.name}.npz"
        if not path.is_file():
            raise InputError(f"{path}: no such file")  # costs this sequence, not the others
        found = np.load(path)
        people = People(  # P people, T frames, axis-angle and metres, in the world of c2w
            valid=found["valid"],
            betas=np.zeros((len(found["valid"]), 10)),
            global_orient_aa=found["pose"][..., :3],
            body_pose_aa=found["pose"][..., 3:],
            transl=found["transl"],
        )
        record = make_record(
            clip,
            self.body,
            size=found["depth"].shape[1:],
            c2w=found["c2w"],  # camera to world; x right, y down, z forward
            intrinsics=found["intrinsics"],  # pixels of the depth maps
            depth=found["depth"],  # metres; leave it out if your method has none
            people=people,  # leave it out if your method has none
            model=self.fingerprint,
        )
        return Answer(reconstruction=record, report={}, body=self.body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "outputs", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    evaluate("synthetic", data=args.data, method=MyMethod(args.outputs), out=args.out)
