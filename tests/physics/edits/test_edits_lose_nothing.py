"""Edits can be taken back, are recorded, and change nothing where they do not fit."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edited_worlds import (
    CUT,
    Settle,
    files,
    leave_out_quality,
    observe,
    seconds,
    source_pixel,
    write_little,
)
from oracle_world import NUM_FRAMES, World
from unish import refinement
from unish.cli import main
from unish.edits import (
    KINDS,
    ClosedLoop,
    Contact,
    Drop,
    Edit,
    Floor,
    KnownDistance,
    Merge,
    PersonHeight,
    Split,
    parse_edits,
)
from unish.errors import InputError
from unish.io.zip_members import OldMembers
from unish.passes import concluded
from unish.pipeline import Result
from unish.structs import Reconstruction

pytestmark = pytest.mark.slow


def test_settling_and_writing_have_as_many_threads_as_the_run(
    first: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over another number of threads round in another way, and what is written is computed then."""
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    used = dict[str, int]()

    def watch(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **named: Any) -> Any:
            used[name] = torch.get_num_threads()
            return whole(*args, **named)

        return watched

    for name in ("conclude", "write_files"):
        monkeypatch.setattr(refinement, name, watch(name, getattr(refinement, name)))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        refinement.refine(tmp_path, [PersonHeight(person=9, metres=1.5)])
        assert used == {"conclude": before, "write_files": before} and torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_undoing_all_edits_gives_the_first_files(
    first: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays as it is, pictures above all, is copied as it was compressed, by every writer."""
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    copied, take_over = set[str](), OldMembers.take_over

    def watch(members: OldMembers, archive: zipfile.ZipFile, name: str, parts: Any) -> bool:
        taken = take_over(members, archive, name, parts)
        copied.update([name] * taken)
        return taken

    monkeypatch.setattr(OldMembers, "take_over", watch)
    before, edits = files(tmp_path), [Drop(person=4), PersonHeight(person=9, metres=1.5), ClosedLoop(shot=0)]
    results = {"reconstruction.npz", "scene.glb", "preview.mp4", "report.html"}
    assert results == {name for name in before if "/" not in name}
    seen = list(Reconstruction.load(tmp_path).in_memory().person_points)
    found = refinement.refine(tmp_path, edits)
    edited = files(tmp_path)
    assert "preview.mp4" not in edited, "a film of the first result would pass for one of this"
    assert all(edited[name] != before[name] for name in results - {"preview.mp4"})
    assert sum(len(cloud.person) for cloud in found.person_points) > 1000
    for cloud, then in zip(found.person_points, seen, strict=True):
        assert (cloud.person == 0).all(), "who is left has moved to the front of the people axis"
        np.testing.assert_array_equal(cloud.colours, then.of(1).colours)
    refinement.refine(tmp_path, edits)
    assert files(tmp_path) == edited, "the same edits again give the same bytes"
    assert {"images.npy", "depth.npy", "points.npy"} <= copied
    refinement.refine(tmp_path, [])
    assert files(tmp_path) == before


def test_edits_are_recorded(first: tuple[Path, Result], settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concluded, "describe_unread", lambda tracks, landmarks: [f"of {tracks.person_ids.tolist()}"])
    result = settle(first[0], Drop(person=9))
    assert "of [4]" in result.report["warnings"], "what is said of landmarks is said of the people that are left"
    told = [{"kind": "drop", "person": 9}]
    assert result.report["edits"] == result.reconstruction.edits == told
    assert first[1].report["edits"] == first[1].reconstruction.edits == []
    assert parse_edits({"format": "unish-edits/1", "edits": told}) == (Drop(person=9),)


def test_the_page_runs(
    world: World, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/refine.md: its files are edits, its commands and its Python run on people 1 and 4 of two seconds."""
    clip = replace(world.clip, timestamps_s=torch.arange(NUM_FRAMES, dtype=torch.float64) / 6)
    tracks = replace(world.tracks, person_ids=torch.tensor([1, 4]))
    monkeypatch.chdir(tmp_path)
    observe(replace(world, clip=clip, tracks=tracks), tmp_path / "out" / "dance")
    monkeypatch.setattr(refinement, "write_files", write_little)
    leave_out_quality(monkeypatch)
    text = (repository / "docs" / "refine.md").read_text()
    rows = [json.loads(row) for row in re.findall(r"`({.*})`", text)]
    assert {edit.kind for edit in parse_edits({"format": "unish-edits/1", "edits": rows})} == set(KINDS)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["json", "bash", "bash", "json", "bash", "python"]
    for kind, block in blocks:
        if kind == "json":
            (tmp_path / "edits.json").write_text(block)
        elif kind == "python":
            exec(compile(block, "docs/refine.md", "exec"), {})
        else:
            assert main(shlex.split(block)[1:]) == 0, capsys.readouterr().err


SPAN = {"person": 4, "point": "left_toe", "touches": True}
WRONG: dict[str, tuple[Sequence[Edit], str]] = {
    "nobody": ([PersonHeight(person=7, metres=1.7)], "nobody has the id 7 here: the people are 4, 9"),
    "after a drop": ([Drop(person=4), Drop(person=4)], "edit 2 (drop): nobody has the id 4 here: the people are 9"),
    "both in view": ([Merge(persons=(4, 9))], "persons 4 and 9 are seen in one frame (7200.00 s), so they are two"),
    "two heights": (
        [Split(person=9, at_s=seconds(CUT)), PersonHeight(person=9, metres=1.7), PersonHeight(person=10, metres=1.8),
         Merge(persons=(9, 10))],
        "edit 4 (merge): persons 9, 10 have different heights",
    ),
    "split before": ([Split(person=9, at_s=3.0)], "at 3 s: person 9 is seen from 7200.00 to 7201.67 s"),
    "split after": ([Split(person=9, at_s=9000.0)], "nothing is split at 9000 s"),
    "contact outside": ([Contact(from_s=1.0, to_s=2.0, **SPAN)], "no used frame shows the person from 1 to 2 s"),
    "contact of no point": (
        [Contact(from_s=seconds(0), to_s=seconds(3), **(SPAN | {"point": "nose"}))],
        "point of contact is 'nose'; give one of left_heel, left_toe, right_heel, right_toe",
    ),
    "no shot": ([ClosedLoop(shot=2)], "edit 1 (closed_loop): there is no shot 2; give one of the shots, 0 to 1"),
    "floor above": ([Floor(shot=0, plane=(0.0, 1.0, 0.0, -1.5))], "floor: the camera would be under it"),
    "floor elsewhere": (
        [Floor(shot=1, points=((9.0, 9.0, seconds(8)), (20.0, 9.0, seconds(8)), (20.0, 30.0, 3.0)))],
        "point (20, 30) at 3 s: the nearest frame with depth is at 7201.17 s; give a time within the shot",
    ),
    "floor on a line": (
        [Floor(shot=0, points=tuple((*source_pixel(60, column), seconds(0)) for column in (30, 60, 100)))],
        "floor: its points lie on a line",
    ),
    "distance outside": (
        [KnownDistance(from_px=(1.0, 1.0), to_px=(900.0, 1.0), at_s=seconds(0), metres=1.0)],
        "edit 1 (known_distance): from (1, 1) to (900, 1): not within the picture of 500×300 pixels",
    ),
    "two sizes": (
        [PersonHeight(person=4, metres=1.7),
         KnownDistance(from_px=(90.0, 290.0), to_px=(300.0, 290.0), at_s=seconds(0), metres=1.0)],
        "heights of people and known distances both say how large everything is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(name: str, first: tuple[Path, Result]) -> None:
    edits, said = WRONG[name]
    before = files(first[0])
    with pytest.raises(InputError) as caught:
        refinement.refine(first[0], edits)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert files(first[0]) == before and not (first[0] / ".unish-run").exists()
