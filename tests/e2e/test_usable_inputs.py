"""Odd inputs that can give a result: exit code 0, and a warning in ``report.json`` where the result is degraded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from input_place import Place
from PIL import Image

from unish.cli import main
from unish.passes import OBSERVATIONS
from unish.structs import Reconstruction
from written_videos import numbered_pictures, tag_quarter_turn_clockwise, write_images, write_video

OUTPUTS = {"preview.mp4", "reconstruction.npz", "report.html", "report.json", "scene.glb"}


def one_frame(place: Place) -> Path:
    return write_video(place.folder / "in.mp4", numbered_pictures(1))


def four_k(place: Place) -> Path:
    pictures = np.repeat(np.repeat(numbered_pictures(2, 216, 384), 10, axis=1), 10, axis=2)
    return write_video(place.folder / "in.mp4", pictures)


def mixed_sizes(place: Place) -> Path:
    folder = write_images(place.folder / "in", numbered_pictures(3))
    Image.fromarray(numbered_pictures(1, 200, 100)[0]).save(folder / "9.png")
    return folder


def turned(place: Place) -> Path:
    stored = np.ascontiguousarray(np.rot90(numbered_pictures(4, 160, 96), 1, axes=(1, 2)))
    path = write_video(place.folder / "in.mp4", stored)
    tag_quarter_turn_clockwise(path)
    return path


def broken_half_way(place: Place) -> Path:
    path = write_video(place.folder / "in.mkv", numbered_pictures(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def one_per_second(place: Place) -> Path:
    return write_video(place.folder / "in.mp4", numbered_pictures(3), fps=1.0)


def with_alpha(place: Place) -> Path:
    pictures = numbered_pictures(3)
    alpha = np.full((*pictures.shape[:3], 1), 128, np.uint8)
    pictures = np.concatenate([pictures, alpha], axis=-1)
    return write_video(place.folder / "in.mov", pictures, codec="png", pixel_format="rgba")


def odd_sides(place: Place) -> Path:
    pictures = numbered_pictures(3, 97, 131)
    return write_video(place.folder / "in.mkv", pictures, codec="ffv1", pixel_format="bgr0")


def grey_ten_bit(place: Place) -> Path:
    return write_video(place.folder / "in.mkv", numbered_pictures(3), codec="ffv1", pixel_format="gray10le")


def animated_gif(place: Place) -> Path:
    return write_video(place.folder / "in.gif", numbered_pictures(3), codec="gif", pixel_format="rgb8")


def hard_cut(place: Place) -> Path:
    pictures = numbered_pictures(24)
    pictures[12:] = pictures[12:, ::-1] * np.array([1.0, 0.4, 0.1])
    return write_video(place.folder / "in.mp4", pictures)


def broken_image_among_good_ones(place: Place) -> Path:
    folder = write_images(place.folder / "in", numbered_pictures(3))
    (folder / "2.png").write_bytes(b"broken")
    return folder


def very_wide(place: Place) -> Path:
    return write_video(place.folder / "in.mp4", numbered_pictures(3, 32, 640))


USABLE: dict[str, tuple[Callable[[Place], Path], str, int]] = {
    "one frame": (one_frame, "", 1),
    "4K": (four_k, "", 2),
    "mixed sizes": (mixed_sizes, "another size", 4),
    "rotation tag": (turned, "", 4),
    "broken half way": (broken_half_way, "ends early", -1),
    "1 fps": (one_per_second, "", 3),
    "alpha": (with_alpha, "", 3),
    "odd sides": (odd_sides, "", 3),
    "grey, 10 bits": (grey_ten_bit, "", 3),
    "gif": (animated_gif, "", 3),
    "hard cut": (hard_cut, "hard cut", 24),
    "broken image among good ones": (broken_image_among_good_ones, "2.png", 2),
    "very wide": (very_wide, "", 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", USABLE)
def test_usable(kind: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    make, warning, num_frames = USABLE[kind]
    options = {"fps": "10", "source-fps": "10", "max-frames": "24"}
    code = main(place.command(make(place), **options))
    assert code == 0, capsys.readouterr().err
    out = place.folder / "out"
    assert {path.name for path in out.iterdir()} == OUTPUTS | {OBSERVATIONS}
    record = Reconstruction.load(out / "reconstruction.npz")
    report = json.loads((out / "report.json").read_text())
    assert record.num_frames == num_frames or num_frames < 0 < record.num_frames
    assert np.isfinite(record.depth).all() and np.isfinite(record.c2w).all()
    # Nobody is in these pictures and no camera is given, which is said of every one of them.
    usual = ("nobody measures the scene", "focal length is guessed", "gravity and floor are unknown")
    # The network knows nothing: what the verdicts find in its answers does not matter here.
    usual_and_judged = [*usual, *(reason for shot in report["shots"] for reason in shot["reasons"])]
    degraded = [message for message in report["warnings"] if not any(part in message for part in usual_and_judged)]
    assert all(any(part in message for message in report["warnings"]) for part in usual)
    assert (len(degraded) == 1 and warning in degraded[0]) if warning else not degraded, degraded
    if kind == "rotation tag":
        assert record.source_size.tolist() == [160, 96] and record.image_size[0] > record.image_size[1]
    if kind == "4K":
        assert record.source_size.tolist() == [2160, 3840]
    if kind == "hard cut":
        assert record.segment.tolist() == [0] * 12 + [1] * 12
        np.testing.assert_allclose(record.c2w[12], np.eye(4), atol=1e-6)


@pytest.mark.slow
def test_nobody_in_view(place: Place) -> None:
    """The people stage runs, finds nobody, and the scene alone comes out."""
    assert main(place.command(people="all")) == 0
    report = json.loads((place.folder / "out" / "report.json").read_text())
    record = Reconstruction.load(place.folder / "out" / "reconstruction.npz")
    assert record.num_people == 0 and record.body_pose_aa.shape == (0, 3, 69)
    assert any("nobody" in message for message in report["warnings"])


def test_output_of_an_earlier_run_is_replaced(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(place.command()) == 0
    first = (place.folder / "out" / "reconstruction.npz").read_bytes()
    assert main([*place.command(), "--quiet"]) == 0
    assert (place.folder / "out" / "reconstruction.npz").read_bytes() == first  # same input, settings and seed
    assert {path.name for path in (place.folder / "out").iterdir()} == OUTPUTS | {OBSERVATIONS}
    printed = capsys.readouterr().out
    assert printed.count("reconstruction.npz") == 1  # the second run was quiet


def test_export_of_a_finished_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(place.command()) == 0
    assert main(["export", str(place.folder / "out"), "--to", "glb", "--to", "ply"]) == 0
    names = {path.name for path in (place.folder / "out" / "export").iterdir()}
    assert names == {"export.json", "scene.glb", "scene.ply"}
    assert main(["export", str(place.folder / "out"), "--to", "ply", "--out", str(place.folder / "other")]) == 0
    assert {path.name for path in (place.folder / "other").iterdir()} == {"export.json", "scene.ply"}
