"""The detector's arithmetic against plain twins: layers, decoding, letterbox, and the readings of landmarks."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import twins_finding as twins

from unish.people import blazepose
from unish.people.blazepose import (
    BlazePoseDetector,
    BlazePoseLandmarks,
    Reading,
    average_readings,
    make_anchors,
    merge_overlapping,
    mirror_reading,
    refine_by_heat,
    shrink_mask,
)
from unish.people.regions import Region
from unish.people.yolo import BOX_STEP_PX, ConvUnit, CrossStage, YoloDetector, YoloV4Tiny, decode

# Of the published yolov4-tiny.cfg: stride, then width and height of the three anchors, in pixels of the input.
GRIDS = (32, [(81, 82), (135, 169), (344, 319)]), (16, [(23, 27), (37, 58), (81, 82)])


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_decoding_is_that_of_the_twin(rng):
    outputs = torch.randn(2, 255, 2, 3, generator=rng), torch.randn(2, 255, 4, 6, generator=rng)
    boxes, scores = decode(outputs)
    for picture in range(2):
        index = 0
        for raw, (stride, anchors) in zip(outputs, GRIDS, strict=True):
            for which, (width, height) in enumerate(anchors):
                for row, column in itertools.product(range(raw.shape[2]), range(raw.shape[3])):
                    x, y, w, h, sure, person = raw[picture, which * 85 : which * 85 + 6, row, column].double().tolist()
                    middle_x = (_sigmoid(x) * 1.05 - 0.025 + column) * stride
                    middle_y = (_sigmoid(y) * 1.05 - 0.025 + row) * stride
                    half_w, half_h = width * math.exp(w) / 2, height * math.exp(h) / 2
                    expected = [middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h]
                    assert boxes[picture, index].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-3)
                    assert float(scores[picture, index]) == pytest.approx(_sigmoid(sure) * _sigmoid(person), rel=1e-5)
                    index += 1
        assert index == boxes.shape[1] == scores.shape[1]


def test_a_cross_stage_is_the_published_block(rng):
    """Half of the channels take the detour; the pooled block holds what went in, then what came out."""
    stage = CrossStage(8).eval()
    x = torch.randn(1, 8, 6, 6, generator=rng)
    pooled, inner = stage(x.clone())

    def unit(layer: ConvUnit, y: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.conv2d(y, layer.conv.weight, layer.conv.bias, padding=layer.conv.kernel_size[0] // 2)
        return torch.where(y > 0, y, 0.1 * y)

    entered = unit(stage.enter, x)
    first = unit(stage.first, entered[:, 4:])
    second = unit(stage.second, first)
    merged = unit(stage.merge, torch.cat([second, first], dim=1))
    both = torch.cat([entered, merged], dim=1)
    blocks = both.reshape(1, 16, 3, 2, 3, 2).amax(dim=(3, 5))
    torch.testing.assert_close(inner, merged)
    torch.testing.assert_close(pooled, blocks)


def test_the_network_is_wired_as_published(rng):
    """The same layers called in the order of the published configuration."""
    model = YoloV4Tiny().eval().requires_grad_(False)
    x = torch.rand(1, 3, 64, 96, generator=rng)
    coarse, fine = model(x)
    assert coarse.shape == (1, 255, 2, 3) and fine.shape == (1, 255, 4, 6)
    y = model.down(model.stem(x))
    for stage in model.stages:
        y, inner = stage(y)
    neck = model.neck(model.deep(y))
    torch.testing.assert_close(coarse, model.coarse_out(model.coarse(neck)))
    up = model.lateral(neck).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(fine, model.fine_out(model.fine(torch.cat([up, inner], dim=1))))
    assert [unit.conv.stride[0] for unit in (model.stem, model.down, model.deep)] == [2, 2, 1]
    assert model.coarse_out.linear and model.fine_out.linear and not model.coarse.linear


class _Recorder(YoloV4Tiny):
    """Stands for the network: notes what it is shown and always sees one person at a known place."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.shown.append(x.clone())
        height, width = x.shape[-2] // 32, x.shape[-1] // 32
        coarse, fine = (torch.full((len(x), 255, height * k, width * k), -20.0) for k in (1, 2))
        for picture in range(len(x)):
            # The second anchor of the first cell, at its own size, ever surer.
            coarse[picture, 85:89, 0, 0] = 0
            coarse[picture, 89, 0, 0], coarse[picture, 90, 0, 0] = 20, float(picture)
        return coarse, fine


def test_pictures_are_shown_shrunk_padded_with_grey_and_few_at_a_time():
    network = _Recorder()
    images = torch.full((5, 90, 160, 3), 51, dtype=torch.uint8)
    images[3, ..., 2] = 255
    found = YoloDetector(network, long_side=320, batch=2).detect(images)
    assert [tuple(x.shape) for x in network.shown] == [(2, 3, 192, 320), (2, 3, 192, 320), (1, 3, 192, 320)]
    for x in network.shown:
        assert torch.allclose(x[:, 0, :180], torch.tensor(0.2)) and bool((x[:, :, 180:] == 0.5).all())
    assert bool((network.shown[1][1, 2, :180] == 1).all()) and torch.allclose(
        network.shown[1][0, 2, :180], torch.tensor(0.2)
    )
    # The anchor is 135 × 169 around (16, 16); the picture is half of what is shown.
    assert len(found) == 5
    for one in found:
        assert one[0].box_xyxy.tolist() == pytest.approx([0, 0, (16 + 67.5) / 2, (16 + 84.5) / 2], abs=1e-3)
        assert one[0].region is None
    assert [one[0].score for one in found] == pytest.approx([0.5, _sigmoid(1), 0.5, _sigmoid(1), 0.5], abs=1e-4)


@pytest.mark.parametrize(("size", "shown"), [((3, 300), (32, 96)), ((64, 33), (96, 64)), ((96, 96), (96, 96))])
def test_thin_pictures_keep_a_row_and_sides_are_multiples_of_32(size, shown):
    network = _Recorder()
    YoloDetector(network, long_side=96).detect(torch.zeros(1, *size, 3, dtype=torch.uint8))
    assert tuple(network.shown[0].shape[-2:]) == shown


def test_the_shipped_thresholds_of_the_detector():
    detector = YoloDetector(_Recorder())
    assert (detector.long_side, detector.min_score, detector.max_iou, detector.batch) == (608, 0.25, 0.5, 4)
    boxes = np.array([[0, 0, 10, 10], [100, 100, 110, 110], [0, 0, 10, 20.1], [0, 0, 10, 19.9]], np.float32)
    found = detector._select(boxes, np.array([0.9, 0.25, 0.8, 0.7], np.float32), (200, 200))
    # 10/20.1 is below the limit of overlap, 10/19.9 above (and it overlaps the third).
    assert [one.score for one in found] == pytest.approx([0.9, 0.8, 0.25])
    assert detector._select(boxes, np.full(4, 0.24, np.float32), (200, 200)) == []


def test_last_digits_of_sums_do_not_reach_the_boxes():
    """What two threads add up in another order, people who are followed would make pixels of within ten frames."""
    detector, score = YoloDetector(_Recorder()), np.array([0.9], np.float32)
    box = np.array([[20.51, 31.27, 80.02, 120.76]], np.float32)
    (one,), (other,) = (detector._select(box + noise, score, (200, 200)) for noise in (0.0, np.float32(2e-4)))
    assert np.array_equal(one.box_xyxy, other.box_xyxy) and np.abs(one.box_xyxy - box).max() <= BOX_STEP_PX / 2


# ----------------------------------------------------------------------------------------------------- BlazePose


class _Interpreter:
    """Stands for LiteRT: gives fixed outputs and remembers what it was shown."""

    def __init__(self, outputs: list[np.ndarray]):
        self.outputs = outputs
        self.shown: list[np.ndarray] = []

    def get_input_details(self):
        return [{"index": 7}]

    def get_output_details(self):
        return [{"index": index} for index in range(len(self.outputs))]

    def set_tensor(self, index, value):
        assert index == 7
        self.shown.append(value.copy())

    def invoke(self):
        pass

    def get_tensor(self, index):
        return self.outputs[index][None]


def test_anchors_stand_in_the_middle_of_the_cells_row_by_row():
    anchors = make_anchors()
    expected = []
    for cells, count in ((28, 2), (14, 2), (7, 6)):
        for row, column in itertools.product(range(cells), range(cells)):
            expected += [((column + 0.5) / cells, (row + 0.5) / cells)] * count
    assert np.allclose(anchors, expected, atol=1e-6) and anchors.dtype == np.float32


@pytest.mark.parametrize("size", [(120, 200), (200, 120)])
def test_the_second_detector_reports_the_circle_around_the_body(monkeypatch, size):
    """Hip centre and a point of the circle, relative to the anchor, in 224ths of the padded square."""
    height, width = size
    side = max(size)
    raw, logits = np.zeros((2254, 12), np.float32), np.full((2254, 1), -9.0, np.float32)
    index = 2 * (10 * 28 + 13)
    anchor = np.array([13.5, 10.5]) / 28
    raw[index] = [0, 0, 60, 60, 11.2, 22.4, 11.2, -22.4, 0, 0, 0, 0]
    logits[index] = 2.0
    logits[5] = 0.84  # σ = 0.698: below the limit
    interpreter = _Interpreter([raw, logits])
    monkeypatch.setattr(blazepose, "load_interpreter", lambda path, num_threads: interpreter)
    detector = BlazePoseDetector(Path("detector.tflite"))
    assert detector.min_score == 0.7
    image = torch.full((height, width, 3), 255, dtype=torch.uint8)
    ((found,),) = detector.detect(image[None])
    shown = interpreter.shown[0][0]
    assert shown.shape == (224, 224, 3) and shown[112, 112].tolist() == [1, 1, 1]
    # Padded, not squeezed: beyond the picture is black.
    assert (shown[0, 112] if height < width else shown[112, 0]).tolist() == [-1, -1, -1]
    corner = np.array([width - side, height - side]) / 2
    hip, top = ((anchor + np.array([0.05, 0.1 * sign])) * side + corner for sign in (1, -1))
    radius = float(np.hypot(*(top - hip)))
    assert found.score == pytest.approx(_sigmoid(2.0))
    assert (found.region.x, found.region.y) == pytest.approx(tuple(hip), abs=1e-3)
    assert found.region.side == pytest.approx(2 * radius * 1.25, rel=1e-5) and found.region.angle == pytest.approx(0)
    box = np.array([*(hip - radius), *(hip + radius)])
    assert found.box_xyxy == pytest.approx(np.clip(box, 0, [width, height, width, height]), abs=1e-3)
    # In a part of the picture, which is shown in the same way.
    around = Region(x=width / 2, y=height / 2, side=40.0, angle=0.3)
    (region,) = detector.find_regions(image.permute(2, 0, 1) / 255, around)
    assert interpreter.shown[1][0][112, 112] == pytest.approx([1, 1, 1])
    hip, top = (around.to_picture(anchor + np.array([0.05, 0.1 * sign])) for sign in (1, -1))
    assert (region.x, region.y) == pytest.approx(tuple(hip), abs=1e-3) and region.angle == pytest.approx(0.3, abs=1e-5)
    assert region.side == pytest.approx(2 * float(np.hypot(*(top - hip))) * 1.25, rel=1e-5)


def test_detections_merge_from_three_tenths_of_overlap_on():
    """Unit squares beside one another: overlap (1 − d) / (1 + d)."""

    def merged(distance: float) -> list:
        numbers = np.zeros((2, 6, 2), np.float32)
        numbers[:, 1] = 1.0
        numbers[1, 0, 0] = distance
        return merge_overlapping(numbers, np.array([0.6, 0.9], np.float32))

    assert len(merged(0.53)) == 1 and len(merged(0.55)) == 2
    ((numbers, score),) = merged(0.5)
    assert score == pytest.approx(0.9) and numbers[0, 0] == pytest.approx(0.5 * 0.9 / 1.5)
    assert merge_overlapping(np.zeros((0, 6, 2), np.float32), np.zeros(0, np.float32)) == []


def _random_reading(seed: int) -> Reading:
    random = np.random.default_rng(seed)
    parts = {"spots": (35, 2), "visibility": (33,), "world": (33, 3), "mask": (8, 8)}
    return Reading(score=float(random.random()), **{
        name: random.random(shape).astype(np.float32) for name, shape in parts.items()
    })  # fmt: skip


LEFT_RIGHT = [(1, 4), (2, 5), (3, 6), *((k, k + 1) for k in range(7, 33, 2))]


def test_a_mirrored_reading_has_left_for_right_and_nothing_else():
    reading = _random_reading(0)
    mirrored = mirror_reading(reading)
    other = {0: 0, 33: 33, 34: 34} | dict(LEFT_RIGHT) | {b: a for a, b in LEFT_RIGHT}
    assert sorted(other) == list(range(35))
    for landmark, counterpart in other.items():
        x, y = reading.spots[counterpart]
        assert mirrored.spots[landmark].tolist() == pytest.approx([1 - x, y])
        if landmark < 33:
            wx, wy, wz = reading.world[counterpart]
            assert mirrored.world[landmark].tolist() == pytest.approx([-wx, wy, wz])
            assert mirrored.visibility[landmark] == reading.visibility[counterpart]
    assert np.array_equal(mirrored.mask, reading.mask[:, ::-1]) and mirrored.score == reading.score


def test_the_mean_of_two_readings_is_the_mean_of_everything():
    first, second = _random_reading(1), _random_reading(2)
    mean = average_readings(first, second)
    for name in ("spots", "visibility", "world", "mask"):
        assert np.allclose(getattr(mean, name), (getattr(first, name) + getattr(second, name)) / 2)
    assert mean.score == pytest.approx((first.score + second.score) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_heat_moves_landmarks_to_its_centre_of_mass_nearby(seed):
    random = np.random.default_rng(seed)
    heat = (random.random((20, 30, 25)) ** 12).astype(np.float32)
    spots = random.uniform(-0.05, 1.05, (25, 2)).astype(np.float32)
    found = refine_by_heat(spots, heat)
    moved = 0
    for index, (x, y) in enumerate(spots):
        column, row = math.floor(x * 30), math.floor(y * 20)
        expected = [x, y]
        if 0 <= column < 30 and 0 <= row < 20:
            cells = [
                (r, c, float(heat[r, c, index]))
                for r in range(max(row - 3, 0), min(row + 4, 20))
                for c in range(max(column - 3, 0), min(column + 4, 30))
            ]
            if max(value for *_, value in cells) >= 0.5:
                total = sum(value for *_, value in cells)
                expected = [sum(c * v for _, c, v in cells) / total / 30, sum(r * v for r, _, v in cells) / total / 20]
                moved += 1
        assert found[index].tolist() == pytest.approx(expected, abs=1e-5)
    assert 5 < moved < 25


def test_heat_that_is_half_sure_is_enough():
    heat = np.zeros((10, 10, 1), np.float32)
    heat[4, 5] = 0.5
    spots = np.array([[0.42, 0.42]], np.float32)
    assert refine_by_heat(spots, heat)[0].tolist() == pytest.approx([0.5, 0.4])
    heat[4, 5] = 0.49
    assert refine_by_heat(spots, heat)[0].tolist() == pytest.approx([0.42, 0.42])


def test_masks_are_means_of_blocks_of_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, (256, 256)).astype(np.float32)
    mask = shrink_mask(logits)
    assert mask.shape == (128, 128)
    for row, column in ((0, 0), (5, 90), (127, 127)):
        block = [_sigmoid(float(logits[2 * row + a, 2 * column + b])) for a in (0, 1) for b in (0, 1)]
        assert mask[row, column] == pytest.approx(sum(block) / 4, abs=1e-6)


def _landmark_outputs() -> list[np.ndarray]:
    random = np.random.default_rng(5)
    points = random.uniform(60, 200, (39, 5)).astype(np.float32)
    points[:, 3] = random.normal(size=39)
    points[33, :2], points[34, :2] = (128, 140), (128, 60)
    heat = np.full((64, 64, 39), -9, np.float32)
    mask = random.normal(size=(256, 256, 1)).astype(np.float32)
    world = random.normal(size=(39, 3)).astype(np.float32)
    return [points.reshape(-1), np.array([0.8], np.float32), mask, heat, world.reshape(-1)]


@pytest.mark.parametrize("mirror", [False, True])
def test_a_pose_is_read_in_its_region_and_put_back_into_the_picture(monkeypatch, mirror):
    outputs = _landmark_outputs()
    interpreter = _Interpreter(outputs)
    monkeypatch.setattr(blazepose, "load_interpreter", lambda path, num_threads: interpreter)
    model = BlazePoseLandmarks(Path("landmarks.tflite"), mirror=mirror)
    region = (70.0, 50.0, 128.0, 0.3)
    picture = torch.rand(3, 100, 140, generator=torch.Generator().manual_seed(1))
    pose = model.read_pose(picture, Region(x=70.0, y=50.0, side=128.0, angle=0.3))
    assert len(interpreter.shown) == 1 + mirror and interpreter.shown[0].shape == (1, 256, 256, 3)
    for row, column in ((10, 20), (128, 100), (250, 255)):
        x, y = twins.region_point(region, (column + 0.5) / 256, (row + 0.5) / 256)
        expected = [twins.bilinear(picture[c].numpy(), x, y) for c in range(3)]
        assert interpreter.shown[0][0, row, column].tolist() == pytest.approx(expected, abs=1e-4)
        if mirror:
            assert interpreter.shown[1][0, row, 255 - column].tolist() == pytest.approx(expected, abs=1e-4)
    points, world = outputs[0].reshape(39, 5), outputs[4].reshape(39, 3)
    other = {0: 0, 33: 33, 34: 34} | dict(LEFT_RIGHT) | {b: a for a, b in LEFT_RIGHT}
    for landmark in range(33):
        u, v = points[landmark, :2] / 256
        space, seen = world[landmark], _sigmoid(points[landmark, 3])
        if mirror:
            mu, mv = points[other[landmark], :2] / 256
            u, v = (u + 1 - mu) / 2, (v + mv) / 2
            space = (space + world[other[landmark]] * [-1, 1, 1]) / 2
            seen = (seen + _sigmoid(points[other[landmark], 3])) / 2
        x, y = twins.region_point(region, u, v)
        assert pose.px[landmark].tolist() == pytest.approx([x, y, seen], abs=1e-3)
        turned = twins.region_point((0.0, 0.0, 1.0, 0.3), space[0] + 0.5, space[1] + 0.5)
        assert pose.world[landmark].tolist() == pytest.approx([*turned, space[2]], abs=1e-5)
    hip = twins.region_point(region, 0.5, 140 / 256)
    assert (pose.next_region.x, pose.next_region.y) == pytest.approx(hip, abs=1e-3)
    assert pose.next_region.side == pytest.approx(2 * 80 / 256 * 128 * 1.25, rel=1e-5)
    assert pose.next_region.angle == pytest.approx(0.3, abs=1e-5)
    assert pose.score == pytest.approx(0.8) and pose.mask.shape == (128, 128)
    block = np.mean([_sigmoid(float(outputs[2][a, b, 0])) for a in (40, 41) for b in (60, 61)])
    twin_block = np.mean([_sigmoid(float(outputs[2][a, b, 0])) for a in (40, 41) for b in (194, 195)])
    assert pose.mask[20, 30] == pytest.approx(255 * ((block + twin_block) / 2 if mirror else block), abs=0.51)
