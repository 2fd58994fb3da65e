"""BEDLAM validation (Black et al. 2023): rendered crowds in rendered places, with exact depth, cameras and bodies.

The folder holds BEDLAM's scene folders and ``processed_labels/SCENE.npz``, laid out as ``lab.datasets.bedlam``
describes them; which scenes are held back for validation is the user's choice of folder. Six frames a second, as the
labels have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from unish.body import Body, load_body
from unish.geometry.camera import project
from unish.geometry.rigid import invert_rigid, transform_points
from unish.lab.datasets.bedlam import BedlamSequence, list_bedlam_sequences
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.source import ClipArrays
from unish.lab.evaluation.benchmarks.depth.video import make_clip
from unish.lab.evaluation.benchmarks.motion.body_files import find_neutral_smpl
from unish.lab.evaluation.compare import compare_with_truth
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.lab.synthetic.shards import SHARD_PEOPLE
from unish.structs import Reconstruction

LONG_SIDE = 640
"""Pixels of the truth; the method gets the pictures as they are."""


class BedlamBenchmark:
    """Whole sequences at six frames a second, by everything that ``compare_with_truth`` measures.

    The method gets frames and times. Labels of SMPL and neutral SMPL in ``body_models/smpl`` are needed to score
    people; without them, or with labels of SMPL-X, depth and cameras are scored alone.
    """

    needs = "BEDLAM's scene folders with be_seq.csv, png/, depth/ and ground_truth/, and processed_labels/"

    def sequences(self, data: Path) -> list[str]:
        if not any(data.glob("*/be_seq.csv")):
            return []
        return sorted(_name(sequence) for sequence in list_bedlam_sequences(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        scene = data / sequence.split("/")[0]
        smpl = find_neutral_smpl(data)
        opened = {_name(one): one for one in list_bedlam_sequences(scene, body=smpl)}[sequence]
        arrays = opened.read(np.arange(opened.num_frames))
        body = load_body(smpl or "free")
        truth = _make_truth(_shrink(arrays), body)
        settings: dict[str, Any] = {"body": str(smpl)} if smpl else {}
        answer = predictor.predict(Request(name=sequence, source=make_clip(sequence, arrays), settings=settings))
        return compare_with_truth(answer.reconstruction, truth, answer.body)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over sequences."""
        return mean_of_rows(list(rows.values()))


def _shrink(arrays: ClipArrays) -> ClipArrays:
    """Truth at ``LONG_SIDE``: comparing every pixel of a whole sequence would take gigabytes."""
    height, width = arrays["images"].shape[1:3]
    factor = LONG_SIDE / max(height, width)
    return resize_clip(arrays, (round(height * factor), round(width * factor))) if factor < 1 else arrays


def _name(sequence: BedlamSequence) -> str:
    return f"{sequence.scene.folder.name}/{sequence.name}"


def _make_truth(arrays: ClipArrays, body: Body) -> Reconstruction:
    """The arrays of a sequence as a reconstruction; people are valid only where labels place them in the world."""
    images = arrays["images"]
    num_frames, height, width = images.shape[:3]
    placed = "joints" in arrays
    ids = arrays.get("ids", np.full((num_frames, height, width), -1))

    def per_person(name: str, *shape: int) -> ndarray:
        return arrays[name] if placed else np.zeros((SHARD_PEOPLE, *shape), np.float32)

    valid = per_person("person_valid", num_frames).astype(bool)
    joints = per_person("joints", num_frames, 24, 3)
    return Reconstruction(
        segment=np.zeros(num_frames, np.int32),
        timestamps_s=arrays["timestamps"].astype(np.float64),
        frame_indices=np.arange(num_frames),
        source_size=np.array([height, width], np.int32),
        image_size=np.array([height, width], np.int32),
        images=images,
        intrinsics=arrays["intrinsics"],
        c2w=arrays["c2w"],
        depth=arrays.get("depth", np.zeros((num_frames, height, width), np.float32)),
        point_conf=np.ones((num_frames, height, width), np.float16),
        person_masks=np.where(ids < SHARD_PEOPLE, ids, -1).astype(np.int16),
        person_ids=np.arange(SHARD_PEOPLE, dtype=np.int32),
        person_valid=valid,
        person_filled=np.zeros_like(valid),
        boxes_xyxy=_draw_boxes(joints, arrays["c2w"], arrays["intrinsics"], (height, width)),
        landmarks_px=np.full((SHARD_PEOPLE, num_frames, 33, 3), np.nan, np.float32),
        betas=per_person("betas", 10),
        global_orient_aa=per_person("global_orient_aa", num_frames, 3),
        body_pose_aa=per_person("body_pose_aa", num_frames, 69),
        transl=per_person("transl", num_frames, 3),
        joints=joints,
        gravity=arrays["gravity"][None],
        floor=np.full((1, 4), np.nan, np.float32),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model="truth",
        version="0",
    )


def _draw_boxes(
    joints: Float32[ndarray, "P T 24 3"],
    c2w: Float32[ndarray, "T 4 4"],
    intrinsics: Float32[ndarray, "T 3 3"],
    size: tuple[int, int],
) -> Float32[ndarray, "P T 4"]:
    """Boxes around the joints, clipped to the picture."""
    w2c = invert_rigid(torch.from_numpy(c2w)).expand(len(joints), -1, -1, -1)
    local = transform_points(w2c, torch.from_numpy(joints))
    pixels = project(local, torch.from_numpy(intrinsics).expand(len(joints), -1, -1, -1)).numpy()
    limits = np.array([size[1], size[0]], np.float32)
    return np.concatenate([pixels.min(-2).clip(0, limits), pixels.max(-2).clip(0, limits)], axis=-1)


BEDLAM = BedlamBenchmark()
