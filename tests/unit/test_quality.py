"""The dashboard: which numbers it shows, when a checkpoint counts as better, and the command that prints it."""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled_tree import list_answers, make_truth, take, write_answers, write_tree
from unish.cli.quality import NOT_BETTER, main
from unish.errors import InputError
from unish.lab.evaluation.benchmarks.labelled import LABELLED
from unish.lab.evaluation.quality import FORMAT, Dashboard, is_better, load_dashboard, relative_changes
from unish.lab.evaluation.quality_lines import LINES, Line
from unish.lab.evaluation.quality_tables import make_clips_table
from unish.structs import Reconstruction

WALK = make_truth()
ANSWERS = list_answers(WALK)
DECISIVE = [line.name for line in LINES if line.decides]
OTHERS = [line.name for line in LINES if not line.decides and line.right is None]
BEFORE = {line.name: 10.0 for line in LINES}
FOLDERS = (
    "7scenes_redkitchen", "slambook2_rgbd", "places/tsdf_box", "places/felix_home", "places/nvblox_lounge",
    "pose2sim_single", "mmpose_h36m", "kitti_demo",
)  # fmt: skip
"""Of the media, those that these tests use: a few of each kind and fold, so that they stay fast."""
QUALITY = {"reprojection_percent": 1.5, "body_to_points_before_cm": 9.0, "body_to_points_cm": 3.0}
"""Of a report: nothing has to be measured again."""


def show(lines: dict[str, float], **each: dict[str, float]) -> Dashboard:
    """A dashboard of these lines; ``each`` of lines of ``clips``, by column."""
    return Dashboard(
        header={}, lines=lines, beside={}, notes=[], each={f"clips/{name}": values for name, values in each.items()}
    )


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
    exact = next(line.name for line in LINES if not line.resolution and not line.higher_is_better and line.decides)
    before, after = {share: 0.8, exact: 0.0, DECISIVE[1]: 4.0}, {share: 0.6, exact: 0.1, DECISIVE[1]: 3.0}
    changes = relative_changes(show(before), show(after))
    assert changes[share] == pytest.approx(0.25)
    assert changes[exact] == np.inf and changes[DECISIVE[1]] == pytest.approx(-0.25)
    assert relative_changes(show({exact: 0.0}), show({exact: 0.0})) == {exact: 0.0}


def test_what_hardly_differs_is_hardly_worse() -> None:
    """A camera that stands still to a millimetre may become one that does so to two."""
    line = "repeated_k/camera_extent_m"
    assert next(one.resolution for one in LINES if one.name == line) == 0.01
    assert relative_changes(show({line: 0.001}), show({line: 0.002})) == {line: pytest.approx(0.1)}
    assert relative_changes(show({line: 0.0}), show({line: 0.2})) == {line: pytest.approx(20)}
    assert relative_changes(show({line: 0.4}), show({line: 0.2})) == {line: pytest.approx(-0.5)}


def test_a_ratio_is_worse_on_either_side_of_one() -> None:
    line = "clips/floor_over_foot_ratio_4_to_6_m"
    assert relative_changes(show({line: 1.2}), show({line: 0.8})) == {line: pytest.approx(0, abs=1e-9)}
    assert relative_changes(show({line: 1.1}), show({line: 0.8})) == {line: pytest.approx(1.0)}
    assert relative_changes(show({line: 0.8}), show({line: 1.1})) == {line: pytest.approx(-0.5)}


def test_fold_b_and_training_clips_never_decide() -> None:
    folds = {line.name: line.fold for line in LINES}
    assert set(folds.values()) == {"A", "B", None}
    assert not [name for name in DECISIVE if folds[name] == "B" or "training" in name]
    assert {"A/depth_abs_rel", "A/depth_abs_rel_k", "repeated_k/camera_extent_m"} <= set(DECISIVE)
    better = change(**{f"o{i}": -50.0 for i in range(len(OTHERS))})
    assert not is_better(show(BEFORE), show(better)), "nothing that decides got better"
    worse = {name: 20.0 if name in OTHERS else 9.0 for name in BEFORE}
    assert is_better(show(BEFORE), show(worse))


def test_every_line_names_a_part_that_is_there() -> None:
    parts = {part.name for part in LABELLED.parts} | {"A", "B", "clips"}
    assert {line.part for line in LINES} <= parts and len({line.name for line in LINES}) == len(LINES)


def test_a_median_over_places_is_compared_place_by_place() -> None:
    """Each place counts the same: a bin at arm's length whose metres are far off must not drown the rooms."""
    line = "A/depth_abs_rel_metric"

    def median(**places: float) -> Dashboard:
        values = {line: statistics.median(places.values())}
        return Dashboard(header={}, lines=values, beside={}, notes=[], each={line: places})

    old = median(room=0.2, bin=2.5)
    assert relative_changes(old, median(room=0.1, bin=2.5)) == {line: pytest.approx(-0.25)}
    assert relative_changes(old, median(room=0.2, bin=2.0)) == {line: pytest.approx(-0.1)}
    assert relative_changes(old, median(room=0.1)) == {line: np.inf}, "a place was lost"


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
    """Some of the samples, and two clips."""
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("media")
    write_tree(whole / "labelled", WALK)
    for name in FOLDERS:
        (folder / "labelled" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "labelled" / name).symlink_to(whole / "labelled" / name)
    for name in ("davis_walk.mp4", "sam2_bedroom.mp4"):
        (folder / "video").mkdir(exist_ok=True)
        (folder / "video" / name).touch()
    return folder


def write_method(folder: Path, *, scale: float = 1.0) -> str:
    """Finished files of the samples and clips, their depth to a power."""
    floor = np.float32([[0, -1, 0, 1.5]])
    clip = squeeze(replace(WALK, floor=floor), scale)
    squeezed = {id(record): squeeze(record, scale) for record in ANSWERS.values()}
    answers = {
        name: squeezed[id(record)]
        for name, record in ANSWERS.items()
        if any(part.name == name.split("/")[0] and part.folder in (*FOLDERS, "places") for part in LABELLED.parts)
    }
    write_answers(folder, answers | {f"{name}/reconstruction": clip for name in ("davis_walk", "sam2_bedroom")})
    for name in ("davis_walk", "sam2_bedroom"):
        (folder / name / "report.json").write_text(json.dumps({"quality": QUALITY}))
    return f"files:{folder}"


def squeeze(record: Reconstruction, factor: float) -> Reconstruction:
    """Depth to a power: an error that no scale takes away."""
    return replace(record, depth=record.depth**factor)


@pytest.fixture(scope="module")
def bad_run(media: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A method, and the folder of its dashboard. Tests that write there take a copy."""
    folder = tmp_path_factory.mktemp("bad")
    method = write_method(folder / "files", scale=1.3)
    common = ["--media", str(media), "--workers", "1", "--quiet"]
    assert main([*common, "--method", method, "--out", str(folder / "out")]) == 0
    return method, folder / "out"


@pytest.mark.long
def test_the_command_measures_compares_and_resumes(
    media: Path, bad_run: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = bad_run[0], write_method(tmp_path / "good", scale=1.1)
    shutil.copytree(bad_run[1], tmp_path / "old")
    common = ["--media", str(media), "--workers", "1", "--quiet"]
    assert main([*common, "--method", bad, "--out", str(tmp_path / "old")]) == 0
    printed = capsys.readouterr().out
    assert "fold A: to choose on" in printed and "fold B: to report" in printed and "(row_prior_abs_rel" in printed
    old = tmp_path / "old/quality.json"
    record = load_dashboard(old)
    assert record.header["frames"] == 48 and record.header["sequences"]["clips"] == 2
    assert set(record.each["clips/jitter"]) == {"davis_walk.mp4"}
    assert set(record.each["clips/training_jitter"]) == {"sam2_bedroom.mp4"}
    assert set(record.each["A/depth_abs_rel"]) == {"7scenes", "7scenes_far", "tsdf_box", "felix_home"}
    assert record.lines["A/depth_abs_rel"] == statistics.median(record.each["A/depth_abs_rel"].values())
    assert set(record.each["B/depth_abs_rel_k"]) == {"slambook2_k", "nvblox_lounge_k", "kitti_k"}
    assert not [note for note in record.notes if note.startswith("failed")]

    content = json.loads((tmp_path / "old/clips.json").read_text())
    content["sequences"]["davis_walk.mp4"]["frames"] = 11
    (tmp_path / "old/clips.json").write_text(json.dumps(content))
    assert main([*common, "--method", bad, "--out", str(tmp_path / "old")]) == 0
    again = json.loads((tmp_path / "old/clips.json").read_text())
    assert again["sequences"]["davis_walk.mp4"]["frames"] == 11, "what was measured is kept"

    assert main([*common, "--method", good, "--out", str(tmp_path / "new"), "--compare", str(old)]) == 0
    printed = capsys.readouterr().out
    assert "better" in printed.splitlines()[-1] and "not better" not in printed.splitlines()[-1]
    assert "B/depth_abs_rel" in printed and "fold B is only reported" in printed
    new = str(tmp_path / "new/quality.json")
    assert main([*common, "--method", bad, "--out", str(tmp_path / "old"), "--compare", new]) == NOT_BETTER
    assert "not better" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.long
def test_the_page_shows_both_folds_and_every_place(bad_run: tuple[str, Path]) -> None:
    page = (bad_run[1] / "quality.md").read_text()
    table, places = page.split("## Places, fold by fold")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    assert rows[0] == ["line", "fold A: to choose on", "", "fold B: to report", ""]
    depth = next(row for row in rows if row[0] == "depth_abs_rel")
    assert depth[1] == depth[3] == "median of places" and float(depth[2].split()[0]) > 0 and "row_prior" in depth[4]
    poses = [row for row in rows if row[0] == "pa_mpjpe_mm"]
    assert [(row[1], row[3]) for row in poses] == [("pose2sim_k", "h36m")]
    clips = next(row for row in rows if row[0] == "ray_jitter_cm")
    assert len(clips) == 3 and clips[1] == clips[2], "one value of the clips, one of those that may train"
    assert "## Clips, one by one" in page and page.count("| davis_walk.mp4") == 2
    assert "nvblox_lounge_k" in places and "| davis_walk.mp4" in page and "| kitti |" in page


def test_clips_are_shown_one_by_one() -> None:
    row = {
        "frames": 48, "people": 3, "seen_share": [0.5, 1.0, 0.25], "reprojection_percent": 0.96,
        "body_to_points_cm": 3.04, "body_to_points_before_cm": 12.36, "foot_to_floor_cm": float("nan"),
        "heights_m": [1.7, 1.62], "static_disagreement_percent": 1.0, "ray_jitter_cm": 2.0, "camera_extent_m": 0.128,
        "people_good": 1, "people_doubtful": 2, "people_bad": 0,
    }  # fmt: skip
    lines = make_clips_table({"walk.mp4": row, "broken.mp4": {"error": "no video"}}).splitlines()
    head, walk, broken = ([cell.strip() for cell in lines[at].split("|")[1:-1]] for at in (0, 2, 3))
    assert len(lines) == 4 and head[:4] == ["clip", "frames", "people", "seen in (share of frames)"]
    assert walk == [
        "walk.mp4", "48", "3", "0.25–1.00", "1.0", "3.0 (12.4)", "–", "1.70, 1.62", "1.0", "2.0", "0.13", "1, 2, 0"
    ]  # fmt: skip
    assert broken[:2] == ["broken.mp4", "–"] and set("".join(broken[1:])) <= set("–(), "), "nothing is made up"


def test_an_old_dashboard_is_one_clear_error(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "quality.json"
    content = {"format": "unish-quality/2", "frames": 12, "lines": {}, "beside": {}, "notes": [], "by_clip": {}}
    old.write_text(json.dumps(content))
    arguments = ["--media", str(media), "--method", "files:.", "--out", str(tmp_path / "out"), "--compare", str(old)]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "unish-quality/2" in message and FORMAT in message and "again" in message


def test_a_line_knows_its_fold() -> None:
    assert Line(name="B/depth_abs_rel").fold == "B" and Line(name="clips/jitter").fold is None
    assert Line(name="h36m/mpjpe_mm").fold == "B" and Line(name="pose2sim_k/mpjpe_mm").fold == "A"


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
    assert "24, now 48" in capsys.readouterr().err


@pytest.mark.long
def test_a_part_that_cannot_be_measured_is_noted(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = write_method(tmp_path / "files")
    (tmp_path / "files/kitti/0000000100.npz").unlink()
    write_answers(tmp_path / "files", {"slambook2/000001": take(WALK, [0])})
    common = ["--media", str(media), "--workers", "1", "--quiet"]
    assert main([*common, "--method", method, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "not measured: coco" in printed and "failed: kitti/0000000100: no such file" in printed
    assert "failed: slambook2/000001: 1 frames came back" in printed
    assert set(load_dashboard(tmp_path / "out/quality.json").each["B/depth_abs_rel"]) == {"nvblox_lounge"}
