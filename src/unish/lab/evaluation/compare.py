"""A reconstruction against the exact truth, both in the same file format."""

from __future__ import annotations

from unish.body import Body
from unish.lab.evaluation.compared_clouds import score_person_points
from unish.lab.evaluation.compared_people import match, score_people
from unish.lab.evaluation.compared_views import (
    resize_depth,
    score_human_normals,
    score_points,
    score_scene,
    share_frames,
)
from unish.structs import Reconstruction

__all__ = ["compare_with_truth", "resize_depth"]


def compare_with_truth(prediction: Reconstruction, truth: Reconstruction, body: Body) -> dict[str, float]:
    """Every metric that both files allow, by a name that ends in its unit; NaN where there is nothing to measure.

    Frames are matched by their index in the source, people by their boxes (``match_people``). Body numbers are means
    over the frames of all matched people; ``people_matched`` says which share of the true ones that is. What needs
    vertices counts only where both files were posed with the same ``body``. Feet count while the truth's own contacts
    say so, where the truth has them. Jitter, foot sliding, floor gap and distance to the points are not 0 for the truth
    either: beside each stands an ``_error``, the distance from what the truth itself scores.

    Raises:
        InputError: the two have fewer than two frames in common.
    """
    shared = share_frames(prediction, truth)
    people, num_true = match(prediction, truth, body, shared)
    scene = score_scene(shared) | score_points(shared) | score_human_normals(shared)
    scene |= score_person_points(prediction, shared)
    return scene | score_people(people, num_true, shared, body)
