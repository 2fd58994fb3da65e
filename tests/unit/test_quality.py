"""The dashboard: which numbers it shows, when a checkpoint counts as better, and the command that prints it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled_tree import list_answers, make_truth, take, write_answers, write_tree
from unish.cli.quality import NOT_BETTER, main
from unish.errors import InputError
from unish.evaluation.quality import LINES, Dashboard, is_better, load_dashboard, relative_changes
from unish.structs import Reconstruction

WALK = make_truth()
DECISIVE = [line.name for line in LINES if line.decides]
OTHERS = [line.name for line in LINES if not line.decides]
BEFORE = {line.name: 10.0 for line in LINES}


def show(lines: dict[str, float], **by_clip: dict[str, float]) -> Dashboard:
    """A dashboard of these lines; ``by_clip`` of lines of ``clips``, by column."""
    named = {f"clips/{column}": values for column, values in by_clip.items()}
    return Dashboard(header={}, lines=lines, beside={}, notes=[], by_clip=named)


def change(**percent: float) -> dict[str, float]:
    """``BEFORE`` with lines (by position among those that decide, as ``d0``, or among the others, ``o0``) changed."""
    names = {f"d{i}": name for i, name in enumerate(DECISIVE)} | {f"o{i}": name for i, name in enumerate(OTHERS)}
    return BEFORE | {names[key]: 10.0 * (1 + value / 100) for key, value in percent.items()}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (change(), False),  # nothing gained
        (change(d0=-1.0), True),
        (change(d0=-1.0, d1=0.9), True),  # better on average
        (change(d0=-1.0, d1=1.1), False),  # worse on average
        (change(d0=-50.0, d1=2.9), True),
        (change(d0=-50.0, d1=3.1), False),  # one line lost too much
        (change(d0=-1.0, o0=500.0), True),  # this one does not decide
        (change(o0=-50.0), False),
        ({name: value for name, value in change(d0=-9.0).items() if name != DECISIVE[1]}, False),  # a line was lost
        (change(d0=-9.0) | {DECISIVE[1]: float("nan")}, False),
    ],
)
def test_the_rule_that_decides(after: dict[str, float], expected: bool) -> None:
    assert is_better(show(BEFORE), show(after)) is expected


def test_only_lines_of_the_old_run_are_compared() -> None:
    before = show({DECISIVE[0]: 10.0})
    assert is_better(before, show(change(d0=-1.0, d1=90.0)))
    assert not is_better(show({}), show(BEFORE))
    assert not is_better(show({"unknown/line": 1.0}), show({"unknown/line": 0.5}))


def test_changes_are_above_zero_where_it_got_worse() -> None:
    share = next(line.name for line in LINES if line.higher_is_better)
    before, after = {share: 0.8, DECISIVE[0]: 0.0, DECISIVE[1]: 4.0}, {share: 0.6, DECISIVE[0]: 0.1, DECISIVE[1]: 3.0}
    changes = relative_changes(show(before), show(after))
    assert changes[share] == pytest.approx(0.25)
    assert changes[DECISIVE[0]] == np.inf and changes[DECISIVE[1]] == pytest.approx(-0.25)
    assert relative_changes(show({DECISIVE[0]: 0.0}), show({DECISIVE[0]: 0.0})) == {DECISIVE[0]: 0.0}


def test_a_median_over_clips_is_compared_clip_by_clip() -> None:
    line = "clips/foot_sliding_cm_s"
    clips = {"still": 2.0, "walk": 50.0, "run": 80.0, "skate": 200.0}
    # Every clip is a tenth better, but another one has a value, and with it the median is a higher one.
    after = {name: 0.9 * value for name, value in clips.items() if name != "still"} | {"dance": 300.0}
    old, new = show({line: 65.0}, foot_sliding_cm_s=clips), show({line: 126.0}, foot_sliding_cm_s=after)
    assert relative_changes(old, new) == {line: pytest.approx(-0.1)} and is_better(old, new)
    assert relative_changes(old, show({line: 126.0}, foot_sliding_cm_s={"dance": 300.0})) == {line: np.inf}
    assert relative_changes(old, show({line: 126.0})) == {line: np.inf}, "lost"
    easy = show({line: 1.0}, foot_sliding_cm_s={"still": 1.0})
    assert relative_changes(old, easy) == {line: np.inf}, "the clips that are left were the easy ones"
    assert relative_changes(old, show({line: 9.0}, foot_sliding_cm_s={"still": 1.0, "walk": 25.0})) == {line: -0.5}


def test_rendered_pictures_never_decide() -> None:
    assert not [name for name in DECISIVE if name.startswith("pi3_room/")]
    assert len({line.name for line in LINES}) == len(LINES)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_tree(folder / "labelled", WALK)
    (folder / "video/other.mp4").touch()
    return folder


def write_method(folder: Path, *, scale: float = 1.0) -> str:
    """Finished files of all samples and clips, their depth scaled."""
    floor = np.float32([[0, -1, 0, 1.5]])
    answers = list_answers(WALK) | {f"{name}.mp4": replace(WALK, floor=floor) for name in ("davis_walk", "other")}
    write_answers(folder, {name: squeeze(record, scale) for name, record in answers.items()})
    return f"files:{folder}"


def squeeze(record: Reconstruction, factor: float) -> Reconstruction:
    """Depth to a power: an error that no scale takes away."""
    return replace(record, depth=record.depth**factor)


def test_the_command_measures_compares_and_resumes(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = write_method(tmp_path / "bad", scale=1.3), write_method(tmp_path / "good", scale=1.1)
    common = ["--media", str(media), "--workers", "1", "--quiet"]
    assert main([*common, "--method", bad, "--out", str(tmp_path / "old")]) == 0
    printed = capsys.readouterr().out
    assert "7scenes/depth_abs_rel" in printed and "(row_prior_abs_rel" in printed and len(printed.splitlines()) < 35
    old = tmp_path / "old/quality.json"
    record = load_dashboard(old)
    assert record.header["frames"] == 12 and record.header["sequences"] == {"labelled": 14, "clips": 2}
    assert record.lines["clips/people"] == 2 and record.notes == []
    assert set(record.by_clip["clips/jitter"]) == {"davis_walk.mp4", "other.mp4"}
    assert "clips/people" not in record.by_clip
    table = (tmp_path / "old/quality.md").read_text()
    assert "| 7scenes/depth_abs_rel |" in table and "| davis_walk.mp4 | 12 |" in table and "| kitti |" in table

    rows = (
        (tmp_path / "old/clips.json")
        .read_text()
        .replace('"frames": 12,\n   "people": 2', '"frames": 11,\n   "people": 2')
    )
    (tmp_path / "old/clips.json").write_text(rows)
    assert main([*common, "--method", bad, "--out", str(tmp_path / "old")]) == 0
    assert json.loads((tmp_path / "old/clips.json").read_text())["sequences"]["other.mp4"]["frames"] == 11  # kept

    assert main([*common, "--method", good, "--out", str(tmp_path / "new"), "--compare", str(old)]) == 0
    printed = capsys.readouterr().out
    assert "better" in printed.splitlines()[-1] and "not better" not in printed.splitlines()[-1]
    assert (
        main(
            [*common, "--method", bad, "--out", str(tmp_path / "old"), "--compare", str(tmp_path / "new/quality.json")]
        )
        == NOT_BETTER
    )
    assert "not better" in capsys.readouterr().out.splitlines()[-1]


def test_bad_requests_are_one_line(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNISH_MEDIA_DIR", raising=False)
    assert main(["--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "UNISH_MEDIA_DIR" in message and message.count("\n") == 1 and not (tmp_path / "out").exists()
    assert main(["--media", str(tmp_path), "--method", "files:.", "--out", str(tmp_path / "out")]) == 2
    assert "labelled/" in capsys.readouterr().err
    (tmp_path / "old.json").write_text("{}")
    for name in ("old.json", "nowhere.json"):
        with pytest.raises(InputError, match=name):
            load_dashboard(tmp_path / name)


def test_runs_of_other_frames_are_not_compared(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = write_method(tmp_path / "files")
    Dashboard(header={"frames": 24, "sequences": {}, "fingerprint": "x"}, lines=BEFORE, beside={}, notes=[]).save(
        tmp_path / "old.json"
    )
    common = ["--media", str(media), "--workers", "1", "--quiet", "--method", method, "--out", str(tmp_path / "out")]
    assert main([*common, "--compare", str(tmp_path / "old.json")]) == 2
    assert "24, now 12" in capsys.readouterr().err


def test_a_part_that_cannot_be_measured_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    media = tmp_path / "media"
    write_tree(media / "labelled", WALK)
    method = write_method(tmp_path / "files")
    (tmp_path / "files/kitti/0000000100.npz").unlink()
    write_answers(tmp_path / "files", {"pose2sim/cam01": take(WALK, [0])})
    for path in (media / "labelled/7scenes_redkitchen").iterdir():
        path.unlink()
    assert main(["--media", str(media), "--workers", "1", "--method", method, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "not measured: 7scenes" in printed and "failed: kitti/0000000100: no such file" in printed
    assert "kitti/depth_abs_rel" not in printed
