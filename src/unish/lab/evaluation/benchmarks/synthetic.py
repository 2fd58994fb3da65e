"""Clips of ``unish synth``, whose truth is exact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unish.body import load_body
from unish.lab.evaluation.compare import compare_with_truth
from unish.lab.evaluation.frame_data import FrameData, compare_frames
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.lab.synthetic import clip_from_truth, observe_people
from unish.structs import Reconstruction


class SyntheticBenchmark:
    """Every ``clip-*.npz`` of a folder, at its own rate.

    The people stage is not part of it: boxes, masks and landmarks come from the truth (``observe_people``), so that
    what is measured is the network and the reconstruction. Real clips measure the detector.
    """

    needs = "clip-*.npz as `unish synth` writes them"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.stem for path in data.glob("clip-*.npz"))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        truth = Reconstruction.load(data / f"{sequence}.npz").in_memory()
        body = load_body("free")
        request = Request(
            name=sequence,
            source=clip_from_truth(truth),
            people_finder=lambda clip, size: observe_people(truth, body, size),
        )
        answer = predictor.predict(request)
        return compare_with_truth(answer.reconstruction, truth, answer.body)

    def show_frames(self, data: Path, sequence: str, answer: Answer) -> FrameData:
        return compare_frames(answer.reconstruction, Reconstruction.load(data / f"{sequence}.npz").in_memory())

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over clips."""
        return mean_of_rows(list(rows.values()))


SYNTHETIC = SyntheticBenchmark()
