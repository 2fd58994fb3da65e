"""Image features of people: what they depend on, and how observations get and keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unish.network import PersonFeatures
from unish.people.appearance import add_features
from unish.people.log import ObservationLog
from unish.people.protocols import FeatureModel, Observation, Pose
from unish.people.regions import Region

SIDE = 128


@pytest.fixture(scope="module")
def model() -> PersonFeatures:
    return PersonFeatures()


def _figure(upper: tuple[float, ...], lower: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """A crop with somebody in two colours before noise, and the mask."""
    crop = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(SIDE, SIDE)
    mask[10:118, 44:84] = 1
    for rows, colour in ((slice(10, 60), upper), (slice(60, 118), lower)):
        crop[:, rows, 44:84] = torch.tensor(colour)[:, None, None]
    return crop, mask


RED, BLUE = (0.7, 0.1, 0.1), (0.1, 0.1, 0.6)


def test_features_are_unit_vectors_that_clothes_decide(model: PersonFeatures) -> None:
    assert isinstance(model, FeatureModel)
    figures = [_figure(RED, BLUE), _figure(BLUE, RED)]
    found = model(torch.stack([crop for crop, _ in figures]), torch.stack([mask for _, mask in figures]))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2))
    # The same colours the other way round are other clothes; the mirror image is of the same person.
    mirrored = model(figures[0][0].flip(-1)[None], figures[0][1].flip(-1)[None])[0]
    assert found[0] @ mirrored > found[0] @ found[1] + 0.02


def test_what_is_not_the_person_does_not_matter(model: PersonFeatures) -> None:
    crop, mask = _figure(RED, BLUE)
    elsewhere = torch.where(mask > 0, crop, 1 - crop)
    one, other = model(torch.stack([crop, elsewhere]), torch.stack([mask, mask]))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(model(crop[None], mask[None])[0], one, atol=1e-5, rtol=0)
    assert torch.isfinite(model(crop[None], torch.zeros(1, SIDE, SIDE))).all()


class Means:
    """Mean colour of what the mask shows, and how much that is."""

    def __call__(self, crops: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        shown = (crops * masks[:, None]).sum((-2, -1)) / masks.sum((-2, -1))[:, None].clamp_min(1)
        return torch.cat([shown, masks.mean((-2, -1))[:, None]], dim=1)


def test_observations_are_described_inside_their_mask_or_box() -> None:
    picture = torch.zeros(3, 100, 200)
    picture[0, 20:80, 40:60] = 1.0  # the person
    picture[1, 20:80, 60:70] = 1.0  # what else is in the box
    box = np.array([40.0, 20, 70, 80])
    region = Region(x=55.0, y=50.0, side=60.0)
    mask = np.zeros((60, 60), np.uint8)
    mask[:, 15:35] = 255
    marks = np.zeros((33, 3), np.float32)
    pose = Pose(px=marks, world=marks, score=1.0, region=region, next_region=region, mask=mask)
    masked, boxed = add_features(
        picture,
        [Observation(box_xyxy=box, score=1.0, appearance=np.zeros(72), pose=one) for one in (pose, None)],
        Means(),
    )
    assert masked.features is not None and boxed.features is not None
    np.testing.assert_allclose(masked.features, [1, 0, 0, 20 / 60 / 1.1**2], atol=0.03)
    np.testing.assert_allclose(boxed.features, [2 / 3, 1 / 3, 0, 30 / 60 / 1.1**2], atol=0.03)
    np.testing.assert_array_equal(masked.features, masked.features.astype(np.float16))
    assert add_features(picture, [], Means()) == []


def test_features_come_back_from_the_log(tmp_path: Path) -> None:
    kept = [
        Observation(box_xyxy=np.array([0.0, 0, 9, 9]), score=1.0, appearance=np.full(72, 1 / 72), features=features)
        for features in (np.array([0.5, -0.25, 1.0], np.float32), None)
    ]
    ObservationLog(tmp_path).add(kept, last=True)
    ((first, second),) = ObservationLog(tmp_path).stored()
    np.testing.assert_array_equal(first.features, kept[0].features)
    assert second.features is None and first.features is not None and first.features.dtype == np.float32
