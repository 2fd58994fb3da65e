"""CMU Panoptic's dome: people from one calibrated view, against what several views together say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.landmark_truth import HIP_LANDMARKS, score_against_landmarks
from unish.lab.evaluation.benchmarks.lenses import undistort
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows

_CAMERAS, _PEOPLE = "cameras.npz", "triangulated_people.npz"
MIN_VIEWS = 3
"""Views that must have seen most landmarks of a person: what two views say of a person is often wrong."""


@dataclass(frozen=True, kw_only=True)
class _Truth:
    """One picture: its camera (pixels), and a dependable person's landmarks in that camera's axes, metres."""

    picture: Path
    intrinsics: Float[ndarray, "3 3"]
    distortion: Float[ndarray, "5"]
    landmarks: Float[ndarray, "33 3"]


@dataclass(frozen=True, kw_only=True)
class DomeBenchmark:
    """``rgb/MOMENT_camNAME.jpg``, ``cameras.npz`` and ``triangulated_people.npz`` of one moment.

    The pictures are freed of their strong distortion and each is reconstructed alone with its intrinsics. People whose
    landmarks were mostly triangulated from ``MIN_VIEWS`` views or more are scored (``score_against_landmarks``), in the
    pictures in which they were detected. The landmarks come from a detector of 2-D landmarks: a truth of some
    centimetres.

    Attributes:
        moment: number of the frame.
    """

    moment: str
    needs: str = f"rgb/MOMENT_camNAME.jpg, {_CAMERAS} and {_PEOPLE}"

    def sequences(self, data: Path) -> list[str]:
        return list(self._read(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        truth = self._read(data)[sequence]
        picture = undistort(torch.from_numpy(read_image(truth.picture))[None], truth.intrinsics, truth.distortion)
        clip = clip_of_pictures(picture.numpy(), times_s=np.zeros(1), numbers=np.zeros(1, np.int64), name=sequence)
        k = truth.intrinsics
        camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
        found = predictor.predict(Request(name=sequence, source=clip, settings={"intrinsics": camera})).reconstruction
        known = np.ones(found.num_frames, bool)
        row = score_against_landmarks(found, truth.landmarks[None], known, np.zeros(found.num_frames, np.int64))
        return {"people": found.num_people} | row

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over views; of errors, over those in which the person was found."""
        return mean_of_rows(list(rows.values()))

    def _read(self, data: Path) -> dict[str, _Truth]:
        if not ((data / _CAMERAS).is_file() and (data / _PEOPLE).is_file()):
            return {}
        with np.load(data / _CAMERAS, allow_pickle=False) as file:
            cameras = {key: file[key] for key in file.files}
        with np.load(data / _PEOPLE, allow_pickle=False) as file:
            people = {key: file[key] for key in file.files}
        known = np.isfinite(people["landmarks_world"]).all(-1)
        dependable = (people["num_cameras"] >= MIN_VIEWS).mean(1) > 0.5
        dependable &= known[:, HIP_LANDMARKS].all(1) & (people["frame"] == self.moment)
        truths = {}
        for person in np.flatnonzero(dependable):
            for name in str(people["cameras"][person]).split(","):
                camera = cameras["names"].tolist().index(name)
                picture = data / "rgb" / f"{self.moment}_cam{name}.jpg"
                if picture.is_file():
                    turn, move = cameras["w2c_R"][camera], cameras["w2c_t"][camera]
                    truths[f"person{person}-cam{name}"] = _Truth(
                        picture=picture,
                        intrinsics=cameras["K"][camera],
                        distortion=cameras["dist"][camera],
                        landmarks=people["landmarks_world"][person] @ turn.T + move,
                    )
        return dict(sorted(truths.items()))
