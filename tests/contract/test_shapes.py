"""Shapes at public signatures are enforced while the tests run. If the first test passes a wrong shape, none are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from unish.geometry.rigid import transform_points
from unish.structs import BodyParams, Clip


def test_a_wrong_shape_fails() -> None:
    with pytest.raises(TypeCheckError):
        transform_points(torch.eye(4), torch.zeros(5, 2))


def test_a_wrong_dtype_fails() -> None:
    with pytest.raises(TypeCheckError):
        transform_points(torch.eye(4), torch.zeros(5, 3, dtype=torch.int64))


def test_batch_dimensions_must_agree() -> None:
    with pytest.raises(TypeCheckError):
        transform_points(torch.eye(4).expand(3, 4, 4), torch.zeros(2, 5, 3))


def test_records_check_their_fields() -> None:
    identity = torch.eye(3).expand(2, 3, 3)
    body = BodyParams(
        betas=torch.zeros(2, 10),
        global_orient=identity,
        body_pose=identity[:, None].expand(2, 23, 3, 3),
        transl=torch.zeros(2, 3),
    )
    with pytest.raises(TypeCheckError):
        replace(body, transl=torch.zeros(3, 3))
    with pytest.raises(TypeCheckError):
        Clip(
            images=torch.zeros(2, 4, 5, 3, dtype=torch.uint8),
            timestamps_s=torch.zeros(3, dtype=torch.float64),
            frame_indices=torch.zeros(2, dtype=torch.int64),
            segment=torch.zeros(2, dtype=torch.int64),
            source_size=(4, 5),
        )
