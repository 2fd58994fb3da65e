"""The sensor spoils pictures and moves nothing."""

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from unish.lab.synthetic import SynthConfig, make_clip
from unish.lab.synthetic.cameras import look_matrices
from unish.lab.synthetic.sensor import blur_images, codec, compress_images, encode_video, record_images
from unish.lab.synthetic.sensor.filters import defocus_images, smear_images
from unish.lab.synthetic.sensor.motion import measure_motion
from unish.lab.synthetic.sensor.record import add_noise, sample_shutter_s
from unish.render import Frame

INTRINSICS = np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
TIMES = np.arange(4) / 10
STILL = np.tile(np.eye(4), (4, 1, 1))


def draw_blobs(size: tuple[int, int] = (48, 64), count: int = 4) -> ndarray:
    """Pictures (T, H, W, 3) u1 with detail of all scales, the same in every frame."""
    noise = np.random.default_rng(0).random((1, *size, 3), np.float32)
    mixed = sum(blur_images(noise, sigma) * sigma for sigma in (0.7, 1.5, 3.0, 6.0))
    mixed = (mixed - mixed.min()) / np.ptp(mixed)
    return (mixed * 255).astype(np.uint8).repeat(count, 0)


def frames_of(images: ndarray, depth: float = 3.0) -> list[Frame]:
    shape = images.shape[1:3]
    return [
        Frame(
            colour=image,
            depth=np.full(shape, depth, np.float32),
            ids=np.full(shape, -1, np.int16),
            normals=np.zeros((*shape, 3), np.float32),
        )
        for image in images
    ]


def record(seed: int, images: ndarray, c2stage: ndarray = STILL) -> ndarray:
    return record_images(
        np.random.default_rng(seed),
        frames_of(images),
        np.zeros((0, 4, 24, 3)),
        c2stage,
        INTRINSICS,
        TIMES,
        outdoors=False,
    )


def find_shift(first: ndarray, second: ndarray) -> tuple[int, int]:
    """Whole pixels by which the second picture is moved, from the peak of their correlation."""
    spectra = [np.fft.fft2(image.astype(np.float64).mean(-1) - image.mean()) for image in (first, second)]
    correlation = np.fft.ifft2(spectra[0].conj() * spectra[1]).real
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    return int(row), int(column)


def test_nothing_moves_and_nothing_but_chance_changes() -> None:
    images = draw_blobs()
    turning = look_matrices(np.zeros((4, 3)), 2 * TIMES, np.zeros(4), np.zeros(4))
    for seed in range(25):
        recorded = record(seed, images, turning)
        assert recorded.dtype == np.uint8 and recorded.shape == images.shape
        assert all(find_shift(*pair) == (0, 0) for pair in zip(images, recorded, strict=True))
        np.testing.assert_array_equal(recorded, record(seed, images, turning))


@pytest.mark.long
def test_truth_is_not_touched() -> None:
    config = SynthConfig(size=(48, 64), num_frames=3, min_people=1, samples=1)
    with_sensor, without = make_clip(6, 0, config), make_clip(6, 0, replace(config, sensor=False))
    assert not np.array_equal(with_sensor.images, without.images)
    for name in ("depth", "person_masks", "c2w", "intrinsics", "landmarks_px"):
        np.testing.assert_array_equal(getattr(with_sensor, name), getattr(without, name))


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    images = np.random.default_rng(0).random((1, 40, 50, 3), np.float32)
    spread = [float(blur_images(images, sigma).std()) for sigma in (0.0, 0.4, 0.8, 1.6)]
    assert spread == sorted(spread, reverse=True)
    point = np.zeros((1, 41, 41, 1), np.float32)
    point[0, 20, 20] = 1
    spot = blur_images(point, 1.5)[0, :, :, 0]
    np.testing.assert_allclose(spot.sum(), 1, atol=1e-5)
    # The kernel is cut at 2.5 sigma, which takes 9 % of the variance.
    assert abs(np.sqrt((spot.sum(0) * (np.arange(41) - 20) ** 2).sum()) - 1.5) < 0.1


def test_more_noise_more_variance() -> None:
    light = np.full((2, 60, 60, 3), 0.25, np.float32)
    levels = [(0.0, 0.0, 0.0), (0.001, 0.0, 0.0), (0.001, 0.03, 0.0), (0.001, 0.03, 0.04)]
    variance = [float((add_noise(np.random.default_rng(0), light, level) - light).var()) for level in levels]
    assert variance[0] == 0
    # 21,600 samples: relative error of a variance about 1 %, of the coarse blotches' about 3 %.
    expected = np.array([0.00025, 0.00025 + 0.0009, 0.00025 + 0.0009 + 0.0016 * 2 / 3])
    np.testing.assert_allclose(variance[1:], expected, rtol=0.1)


@pytest.mark.parametrize("name", ["libx264", "mpeg4", None])
def test_codecs_ruin_by_degrees_and_move_nothing(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is not None and name != "mpeg4" and codec.find_video_codec() != name:
        pytest.skip(f"this build of FFmpeg cannot write {name}")
    monkeypatch.setattr(codec, "find_video_codec", lambda: name)
    images = draw_blobs((47, 65))
    spoiled = [encode_video(images, crf) for crf in (15, 27, 40)]
    errors = [float(np.abs(video.astype(float) - images).mean()) for video in spoiled]
    assert errors == sorted(errors) and errors[0] < 0.6 * errors[2]
    assert all(video.shape == images.shape and find_shift(images[-1], video[-1]) == (0, 0) for video in spoiled)


def test_jpeg_ruins_by_degrees() -> None:
    images = draw_blobs()
    errors = [float(np.abs(compress_images(images, quality).astype(float) - images).mean()) for quality in (90, 60, 20)]
    assert errors == sorted(errors) and errors[0] < errors[2]


def test_the_measured_motion_is_that_of_projected_points() -> None:
    yaw, down, roll = 0.3 * TIMES, 0.2 * TIMES, -0.25 * TIMES
    position = np.outer(TIMES, [0.3, -0.2, 0.4])
    c2stage = look_matrices(position, yaw, down, roll)
    velocity = measure_motion(frames_of(draw_blobs()), np.zeros((0, 4, 24, 3)), c2stage, INTRINSICS, TIMES)
    row, column = 10, 21
    pixel = np.array([2 * column + 0.5, 2 * row + 0.5, 1])
    point = c2stage[1] @ np.append(3.0 * np.linalg.inv(INTRINSICS) @ pixel, 1)
    seen = [INTRINSICS @ (np.linalg.inv(c2stage[frame]) @ point)[:3] for frame in (0, 2)]
    expected = (seen[1][:2] / seen[1][2] - seen[0][:2] / seen[0][2]) / 0.2
    # Central differences over 0.2 s: measured within 1 %.
    np.testing.assert_allclose(velocity[1, row, column], expected, rtol=0.03)


def test_a_person_blurs_with_its_own_joints() -> None:
    frames = [replace(frame, ids=np.zeros((48, 64), np.int16)) for frame in frames_of(draw_blobs())]
    joints = np.tile(np.array([0.0, 0.0, 3.0]), (1, 4, 24, 1)) + TIMES[None, :, None, None] * [0.5, 0, 0]
    velocity = measure_motion(frames, joints, STILL, INTRINSICS, TIMES)
    np.testing.assert_allclose(velocity, np.broadcast_to([0.5 * 60 / 3, 0], velocity.shape), atol=1e-6)


def test_smearing_follows_the_motion_and_stays_centred() -> None:
    point = np.zeros((1, 40, 60, 3), np.float32)
    point[0, 20, 30] = 1
    spot = smear_images(point, np.broadcast_to([6.0, 0.0], (1, 20, 30, 2)))[0, :, :, 0]
    # Half a pixel of the coarse grid does not move a motion that is the same everywhere.
    assert np.flatnonzero(spot.sum(1) > 1e-4).tolist() == [20]
    np.testing.assert_allclose((spot.sum(0) * np.arange(60)).sum() / spot.sum(), 30, atol=1e-3)
    assert 5 <= (spot.sum(0) > 0.01).sum() <= 8
    assert smear_images(point, np.zeros((1, 20, 30, 2))) is point


def test_only_what_is_out_of_focus_gets_soft() -> None:
    images = draw_blobs(count=1).astype(np.float32) / 255
    depth = np.full((1, 48, 64), 2.0, np.float32)
    depth[:, :, 32:] = 8.0
    soft = defocus_images(images, depth, np.array([2.0]), 20.0)
    np.testing.assert_allclose(soft[:, :, :24], images[:, :, :24], atol=1e-5)
    assert np.abs(np.diff(soft[:, :, 40:], axis=2)).mean() < 0.7 * np.abs(np.diff(images[:, :, 40:], axis=2)).mean()


def test_the_shutter_is_never_open_longer_than_a_frame() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(4) / 60
    shutters = [sample_shutter_s(rng, False, times) for _ in range(200)]
    assert max(shutters) <= 1 / 60 + 1e-12 and min(shutters) >= 0.01
    assert sample_shutter_s(rng, True, times[:1]) < 0.021


def test_a_window_does_not_darken_the_room() -> None:
    """A dim room of which a quarter is a white window comes out about as bright as without it."""
    room = (draw_blobs() // 4 + 10).astype(np.uint8)
    window = room.copy()
    window[:, :, :16] = 255
    framed, plain = (
        np.median([record(seed, images)[:, :, 20:].mean() for seed in range(15)]) for images in (window, room)
    )
    assert framed > 0.7 * plain
