"""The ports of the published models: structure on made-up weights, and agreement where the real files are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unish import assets
from unish.errors import InputError
from unish.people.blazepose import (
    BlazePoseDetector,
    BlazePoseLandmarks,
    Reading,
    average_readings,
    load_interpreter,
    make_anchors,
    merge_overlapping,
    mirror_reading,
    refine_by_heat,
    shrink_mask,
)
from unish.people.fuse import add_points
from unish.people.movenet import MoveNetPoints, load_movenet
from unish.people.observe import observe_box
from unish.people.reading import Frame
from unish.people.regions import Region
from unish.people.yolo import ConvUnit, YoloDetector, YoloV4Tiny, decode, load_darknet


@pytest.fixture(scope="module")
def blank_yolo() -> YoloV4Tiny:
    return YoloV4Tiny().eval().requires_grad_(False)


def _write_darknet(path: Path, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Made-up weights in the file's order; returns them layer by layer."""
    random, layers = np.random.default_rng(seed), []
    with path.open("wb") as file:
        np.array([0, 2, 5, 0, 0], np.int32).tofile(file)
        for unit in [module for module in YoloV4Tiny().modules() if isinstance(module, ConvUnit)]:
            shape = tuple(unit.conv.weight.shape)
            layer = {"bias": random.normal(size=shape[0])}
            if not unit.linear:
                layer["gain"] = random.uniform(0.5, 2, shape[0])
                layer["mean"] = random.normal(size=shape[0])
                layer["variance"] = random.uniform(0.1, 2, shape[0])
            layer["kernel"] = random.normal(size=shape) * 0.05
            layers.append({name: value.astype(np.float32) for name, value in layer.items()})
            for value in layers[-1].values():
                value.tofile(file)
    return layers


def test_darknet_weights_are_read_in_order_with_the_norm_folded_in(tmp_path):
    layers = _write_darknet(tmp_path / "w.weights")
    model = load_darknet(tmp_path / "w.weights")
    units = [module for module in model.modules() if isinstance(module, ConvUnit)]
    assert len(units) == len(layers) == 21
    for unit, layer in zip(units, layers, strict=True):
        x = torch.randn(1, layer["kernel"].shape[1], 5, 5)
        y = torch.nn.functional.conv2d(x, torch.from_numpy(layer["kernel"]), padding=unit.conv.padding)
        if unit.conv.stride[0] == 2:
            y = y[..., ::2, ::2]
        if unit.linear:
            y = y + torch.from_numpy(layer["bias"])[:, None, None]
        else:
            norm = [torch.from_numpy(layer[name]) for name in ("mean", "variance", "gain", "bias")]
            y = torch.nn.functional.leaky_relu(torch.nn.functional.batch_norm(y, *norm, eps=1e-6), 0.1)
        assert torch.allclose(unit(x), y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("change", [-4, 4])
def test_darknet_weights_of_another_size_are_refused(tmp_path, change):
    path = tmp_path / "w.weights"
    _write_darknet(path)
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + b"\0" * change)
    with pytest.raises(InputError, match="YOLOv4-tiny has 6062814"):
        load_darknet(path)


def test_decoding_puts_boxes_where_the_cells_are():
    coarse, fine = torch.full((1, 255, 2, 3), -20.0), torch.full((1, 255, 4, 6), -20.0)
    # Second anchor of the coarse grid, cell (row 1, column 2), in the middle of the cell, at the anchor's own size.
    coarse[0, 85:89, 1, 2] = 0
    coarse[0, 89, 1, 2], coarse[0, 90, 1, 2] = 20, 0
    boxes, scores = decode((coarse, fine))
    assert boxes.shape == (1, 3 * (2 * 3 + 4 * 6), 4)
    best = int(scores[0].argmax())
    assert scores[0, best] == pytest.approx(0.5, abs=1e-4)
    assert boxes[0, best].tolist() == pytest.approx([80 - 67.5, 48 - 84.5, 80 + 67.5, 48 + 84.5], abs=1e-3)


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (33, 47)])
def test_letterbox_keeps_the_aspect(blank_yolo, size):
    detector = YoloDetector(blank_yolo, long_side=96)
    padded, factor = detector._letterbox(torch.full((1, *size, 3), 255, dtype=torch.uint8))
    assert padded.shape[-1] % 32 == 0 and padded.shape[-2] % 32 == 0
    assert max(size) * factor == pytest.approx(96)
    inside = (padded[0, 0] == 1).nonzero().max(dim=0).values + 1
    assert inside.tolist() == [round(side * factor) for side in size]


def test_boxes_come_back_in_pixels_of_the_picture_clipped_to_it(blank_yolo):
    detector = YoloDetector(blank_yolo)
    boxes = np.array([[-10, 5, 50, 500], [-9, 5, 50, 490], [60, 10, 90, 100]], np.float32)
    found = detector._select(boxes, np.array([0.8, 0.9, 0.1], np.float32), (300, 200))
    assert len(found) == 1 and found[0].score == pytest.approx(0.9)
    assert found[0].box_xyxy.tolist() == [0, 5, 50, 300]


def test_a_blank_network_sees_pictures_of_any_size(blank_yolo):
    detector = YoloDetector(blank_yolo, long_side=64, min_score=2.0)
    assert detector.detect(torch.zeros(3, 40, 70, 3, dtype=torch.uint8)) == [[], [], []]


def test_anchors_cover_the_three_grids():
    anchors = make_anchors()
    assert anchors.shape == (28 * 28 * 2 + 14 * 14 * 2 + 7 * 7 * 6, 2)
    assert anchors[0].tolist() == pytest.approx([0.5 / 28] * 2)
    assert anchors[2].tolist() == pytest.approx([1.5 / 28, 0.5 / 28])
    assert anchors[-1].tolist() == pytest.approx([6.5 / 7] * 2)


def test_overlapping_detections_become_their_weighted_mean():
    near = np.zeros((3, 6, 2), np.float32)
    near[:, 0], near[:, 1] = [[0.5, 0.5], [0.52, 0.5], [0.1, 0.1]], 0.2
    merged = merge_overlapping(near, np.array([0.9, 0.6, 0.7], np.float32))
    assert [round(score, 3) for _, score in merged] == [0.9, 0.7]
    assert merged[0][0][0].tolist() == pytest.approx([(0.5 * 0.9 + 0.52 * 0.6) / 1.5, 0.5])


def test_a_detection_without_extent_is_a_group_of_its_own():
    point = np.zeros((2, 6, 2), np.float32)
    point[:, 0] = [[0.5, 0.5], [0.2, 0.2]]
    assert [score for _, score in merge_overlapping(point, np.array([0.5, 0.75], np.float32))] == [0.75, 0.5]


def test_heat_moves_only_what_it_is_sure_about():
    heat = np.zeros((64, 64, 2), np.float32)
    heat[20, 30, 0], heat[20, 31, 0], heat[20, 30, 1] = 0.8, 0.8, 0.3
    spots = np.array([[0.48, 0.32], [0.48, 0.32]], np.float32)
    refined = refine_by_heat(spots, heat)
    assert refined[0].tolist() == pytest.approx([30.5 / 64, 20 / 64])
    assert refined[1].tolist() == pytest.approx(spots[1].tolist())


def test_heat_near_and_beyond_the_border_is_harmless():
    heat = np.full((64, 64, 3), 0.9, np.float32)
    spots = np.array([[0.0, 0.0], [0.999, 0.999], [1.2, -0.3]], np.float32)
    refined = refine_by_heat(spots, heat)
    assert np.isfinite(refined).all() and refined[2].tolist() == pytest.approx([1.2, -0.3])


def test_masks_shrink_by_averaging():
    logits = np.full((256, 256), -30, np.float32)
    logits[:, 128:] = 30
    mask = shrink_mask(logits)
    assert mask.shape == (128, 128) and (mask[:, :64] < 1e-9).all() and (mask[:, 64:] == 1).all()


def test_mirroring_twice_changes_nothing_and_exchanges_the_sides():
    random = np.random.default_rng(0)
    parts = {"spots": (35, 2), "visibility": (33,), "world": (33, 3), "mask": (128, 128)}
    reading = Reading(score=0.5, **{name: random.random(shape).astype(np.float32) for name, shape in parts.items()})
    once = mirror_reading(reading)
    assert once.visibility[11] == reading.visibility[12] and once.visibility[32] == reading.visibility[31]
    assert once.visibility[1] == reading.visibility[4] and once.visibility[0] == reading.visibility[0]
    assert once.visibility[7] == reading.visibility[8] and once.world[23, 0] == -reading.world[24, 0]
    assert once.spots[33, 0] == pytest.approx(1 - reading.spots[33, 0])
    assert (once.mask[:, 0] == reading.mask[:, -1]).all()
    twice = mirror_reading(once)
    assert all(np.allclose(getattr(twice, name), getattr(reading, name)) for name in parts)
    assert average_readings(reading, once).score == 0.5


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"not a model" * 100)
    with pytest.raises(InputError, match="not a usable LiteRT model"):
        load_interpreter(tmp_path / "model.tflite", num_threads=1)


def _asset(name: str) -> Path:
    if not assets.is_present(name):
        pytest.skip(f"{name} is not in the cache; `unish assets fetch {name}`")
    return assets.fetch(name)


@pytest.fixture(scope="module")
def picture(request) -> torch.Tensor:
    """A person in the middle of the demo video."""
    import av

    with av.open(str(_asset("demo-video"))) as video:
        for index, frame in enumerate(video.decode(video=0)):
            if index == 150:
                return torch.from_numpy(frame.reformat(width=960, height=540, format="rgb24").to_ndarray())
    raise AssertionError("the demo video is shorter than it was")


@pytest.mark.slow
@pytest.mark.weights
def test_detectors_and_landmarks_agree_on_a_real_picture(picture):
    yolo = YoloDetector(load_darknet(_asset("yolov4-tiny"))).detect(picture[None])[0]
    assert yolo and yolo[0].score > 0.5
    x0, y0, x1, y1 = yolo[0].box_xyxy
    landmarks = BlazePoseLandmarks(_asset("blazepose-full"), num_threads=1)
    rgb = picture.permute(2, 0, 1).float() / 255
    pose = landmarks.read_pose(rgb, Region.around_box(yolo[0].box_xyxy, margin=1.25))
    assert pose.score > 0.9
    inside = (
        (pose.px[:, 0] > x0 - 20) & (pose.px[:, 0] < x1 + 20) & (pose.px[:, 1] > y0 - 20) & (pose.px[:, 1] < y1 + 20)
    )
    assert inside.mean() > 0.8
    # Upright people: head above hips above feet, in pixels and in metres.
    for points in (pose.px, pose.world):
        assert points[0, 1] < points[[23, 24], 1].mean() < points[[27, 28], 1].mean()
    found = BlazePoseDetector(_asset("blazepose-detector"), min_score=0.3, num_threads=1).detect(picture[None])[0]
    assert all(0 <= box.box_xyxy[0] < box.box_xyxy[2] <= 960 for box in found)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["thunder", "lightning"])
def test_both_landmark_models_see_the_same_person(picture, name):
    """They may disagree on an arm that is hardly seen, and then say so; not on trunk and legs."""
    detector = BlazePoseDetector(_asset("blazepose-detector"), num_threads=1)
    frame = Frame.of(picture)
    (detection, *_) = YoloDetector(load_darknet(_asset("yolov4-tiny"))).detect(picture[None])[0]
    landmarks = BlazePoseLandmarks(_asset("blazepose-full"), num_threads=1)
    alone = observe_box(frame, detection.box_xyxy, (), landmarks, finder=detector, min_landmark_score=0.5)
    model = load_movenet(name, _asset(f"movenet-{name}-graph"), _asset(f"movenet-{name}"))
    (both,) = add_points(frame, [alone], MoveNetPoints(model), landmarks, min_landmark_score=0.5)
    side = float((alone.box_xyxy[2:] - alone.box_xyxy[:2]).max())
    apart = np.linalg.norm(both.pose.px[:, :2] - alone.pose.px[:, :2], axis=-1)
    assert apart[[11, 12, 23, 24, 25, 26, 27, 28]].max() < 0.05 * side and np.median(apart) > 0
    assert bool((both.pose.sigma_px >= 0.35 * apart).all()) and both.pose.sigma_px.min() < 0.02 * side
    assert np.array_equal(both.pose.world, alone.pose.world)


@pytest.mark.weights
def test_turning_the_region_does_not_turn_the_person(picture):
    landmarks = BlazePoseLandmarks(_asset("blazepose-full"), num_threads=1)
    box = YoloDetector(load_darknet(_asset("yolov4-tiny"))).detect(picture[None])[0][0].box_xyxy
    rgb = picture.permute(2, 0, 1).float() / 255
    straight = landmarks.read_pose(rgb, landmarks.read_pose(rgb, Region.around_box(box, margin=1.25)).next_region)
    first = straight.region
    tilted = landmarks.read_pose(rgb, Region(x=first.x, y=first.y, side=first.side, angle=first.angle + 0.3))
    body = slice(11, 29)
    size = first.side / 1.25
    assert np.linalg.norm(straight.px[body, :2] - tilted.px[body, :2], axis=-1).mean() < 0.03 * size
    assert np.linalg.norm(straight.world[body] - tilted.world[body], axis=-1).mean() < 0.08
