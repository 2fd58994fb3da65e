"""Contact sheets: every clip has its tile, captions tell the truth, bad input is one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from unish.cli import main
from unish.errors import InputError
from unish.lab.synthetic import SynthConfig, make_clip, write_clips
from unish.lab.synthetic.contact_sheet import SheetClip, SheetConfig, draw_sheet, read_sheet_clips, write_sheet
from unish.lab.synthetic.shards import ShardConfig, write_shards

SMALL = SynthConfig(size=(32, 48), num_frames=3, fps=6.0)


def plain_clip(colour: tuple[int, int, int], size: tuple[int, int] = (40, 60), frames: int = 4) -> SheetClip:
    images = np.broadcast_to(np.array(colour, np.uint8), (frames, *size, 3)).copy()
    depth = np.ones((frames, *size), np.float32)
    return SheetClip(images=images, depth=depth, ids=np.full((frames, *size), -1), caption="")


def count_pixels(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.abs(np.asarray(sheet).astype(int) - colour).max(-1) <= 1).sum())


COLOURS = [(200, 10 * i, 30) for i in range(7)]


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("views", [(), ("depth",), ("depth", "ids")])
def test_every_clip_gets_its_own_area_whatever_the_layout(strip: bool, views: tuple) -> None:
    """Nothing is cropped, nothing is painted over: each colour covers exactly its frames."""
    clips = [plain_clip(colour, (40, 60) if i % 2 else (60, 40)) for i, colour in enumerate(COLOURS)]
    sheet = draw_sheet(clips, SheetConfig(side=60, strip=strip, views=views))
    assert [count_pixels(sheet, colour) for colour in COLOURS] == [40 * 60 * (4 if strip else 1)] * len(COLOURS)


def test_tiles_have_the_asked_size_and_keep_their_shape() -> None:
    sheet = draw_sheet([plain_clip(COLOURS[0], (100, 200)), plain_clip(COLOURS[1], (200, 50))], SheetConfig(side=80))
    assert count_pixels(sheet, COLOURS[0]) == 40 * 80 and count_pixels(sheet, COLOURS[1]) == 80 * 20


def test_views_show_people_and_near_and_far() -> None:
    clip = plain_clip((128, 128, 128))
    ids, depth = clip.ids.copy(), clip.depth.copy()
    ids[:, :, :20], ids[:, :, 40:] = 0, 1
    depth[:, :, :30], depth[:, :, 50:] = 4.0, 200.0
    sheet = draw_sheet([replace(clip, ids=ids, depth=depth)], SheetConfig(side=60, views=("ids", "depth")))
    panels = np.asarray(sheet)[10:40, 6 : 6 + 3 * 62].reshape(30, 3, 62, 3)
    people = panels[15, 1]
    assert len({tuple(people[column]) for column in (10, 30, 50)}) == 3
    metres = panels[15, 2]
    assert len({tuple(metres[column]) for column in (10, 40)}) == 2
    assert tuple(metres[10]) == tuple(metres[55])  # the sky does not stretch the range: it ends at the farthest surface


@pytest.mark.long
def test_shards_and_clips_show_the_same_pictures_and_captions(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", num_clips=4, seed=4, config=SMALL)
    config = ShardConfig(sizes=((32, 48),), clips_per_shard=2, clip=SMALL)
    write_shards(tmp_path / "shards", num_shards=2, seed=4, config=config)
    clips, shards = read_sheet_clips(tmp_path / "clips", 64), read_sheet_clips(tmp_path / "shards", 64)
    assert [clip.caption for clip in clips] == [clip.caption for clip in shards]
    for clip, twin in zip(clips, shards, strict=True):
        np.testing.assert_array_equal(clip.images, twin.images)
        np.testing.assert_array_equal(clip.ids, twin.ids)
    truth = make_clip(4, 3, SMALL)
    assert clips[3].caption.startswith(f"3 · {truth.extra['truth_place']} · {truth.extra['truth_camera']} · ")
    first, last = read_sheet_clips(tmp_path / "shards", 2)
    assert (first.caption, last.caption) == (clips[0].caption, clips[3].caption)


@pytest.mark.long
def test_the_command_draws_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips", num_clips=2, seed=4, config=SMALL)
    out = tmp_path / "new" / "sheet.png"
    assert (
        main(["synth", "--sheet", str(tmp_path / "clips"), "--out", str(out), "--strip", "--with", "depth", "ids"]) == 0
    )
    assert "2 clips" in capsys.readouterr().out
    wide, plain = Image.open(out), tmp_path / "plain.jpg"
    assert main(["synth", "--sheet", str(tmp_path / "clips" / "clip-000001.npz"), "--out", str(plain), "--quiet"]) == 0
    assert wide.height > 2 * Image.open(plain).height


@pytest.mark.parametrize(
    ("source", "out", "told"),
    [
        ("missing", "sheet.png", "no such file"),
        ("empty", "sheet.png", "no clip"),
        ("broken.safetensors", "sheet.png", "shard"),
        ("other.safetensors", "sheet.png", "shard"),
        ("other.npz", "sheet.png", "npz"),
        ("empty", "sheet.gif", "picture"),
        ("empty", "sheet", "picture"),
    ],
)
def test_bad_input_is_one_line(
    source: str, out: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.safetensors").write_bytes(b"not a shard")
    save_file({"images": np.zeros((2, 1, 4, 4, 3), np.uint8)}, tmp_path / "other.safetensors")
    (tmp_path / "other.npz").write_bytes(b"not an npz")
    before = sorted(tmp_path.iterdir())
    assert main(["synth", "--sheet", str(tmp_path / source), "--out", str(tmp_path / out)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and told in lines[0]
    assert sorted(tmp_path.iterdir()) == before


def test_sheet_flags_without_a_sheet_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--out", str(tmp_path / "o"), "--clips", "1", "--strip"]) == 2
    assert "--sheet" in capsys.readouterr().err and not (tmp_path / "o").exists()


def test_a_picture_name_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="picture"):
        write_sheet(tmp_path / "missing", tmp_path / "sheet.bmp")
