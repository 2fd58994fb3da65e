"""What a notebook shows of a result: its own numbers, escaped, and never much of it."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from small_record import make_record
from unish import Reconstruction
from unish.body import load_body

REPORT = {
    "people": [
        {"id": 4, "height_m": 1.684, "verdict": "bad", "reasons": ["floats <b>23 cm</b> over the floor"]},
        {"id": 3, "height_m": float("nan"), "verdict": "good", "reasons": []},
    ],
    "shots": [{"verdict": "doubtful", "reasons": ["the lens is a guess"]}],
    "warnings": ["<script>alert(1)</script>"],
}


class Cells(HTMLParser):
    """Texts of table cells; every tag that is opened has to be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.open: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
            return
        self.open.append(tag)
        self.cells += [""] if tag == "td" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.cells[-1] += data


def read(text: str) -> Cells:
    parser = Cells()
    parser.feed(text)
    assert not parser.open and "<script" not in text
    return parser


@pytest.fixture(scope="module")
def record() -> Reconstruction:
    return make_record(load_body("free"))


def test_pictures_people_and_shots_are_shown(record: Reconstruction) -> None:
    found = read(replace(record).with_report(REPORT)._repr_html_())
    assert len(found.pictures) == 6 and all(url.startswith("data:image/jpeg;base64,") for url in found.pictures)
    assert "1.68 m" in found.cells and "floats <b>23 cm</b> over the floor" in found.cells
    assert {"bad", "good", "doubtful", "the lens is a guess"} <= set(found.cells)
    seen = int(record.person_valid[0].sum())
    assert f"{seen} of {record.num_frames}" in found.cells


def test_without_a_report_nothing_is_made_up(record: Reconstruction) -> None:
    assert record.report is None
    cells = read(record._repr_html_()).cells
    assert not {"good", "doubtful", "bad"} & set(cells) and "unknown" in cells


@pytest.mark.parametrize(("num_people", "num_shots"), [(0, 1), (1, 3), (40, 3)])
def test_any_number_of_people_and_shots_stays_small(num_people: int, num_shots: int) -> None:
    record = make_record(load_body("free"), num_people=num_people, num_shots=num_shots)
    loud = {"warnings": ["x" * 10_000] * 500}
    text = replace(record, model="<i>" * 5000).with_report(loud)._repr_html_()
    read(text)
    assert len(text) < 250_000 and "<i>" not in text
    assert ("the first 20 of 40" in text) == (num_people == 40)


def test_a_person_who_is_never_seen_and_depth_that_is_unknown(record: Reconstruction) -> None:
    nowhere = replace(
        record, person_valid=np.zeros_like(record.person_valid), depth=np.zeros_like(record.depth),
        gravity=np.full_like(record.gravity, np.nan), floor=np.full_like(record.floor, np.nan),
    )  # fmt: skip
    assert "neither" in read(nowhere._repr_html_()).cells


def test_a_result_knows_the_report_beside_it_and_a_changed_record_does_not(
    record: Reconstruction, tmp_path: Path
) -> None:
    record.save(tmp_path / "reconstruction.npz")
    assert Reconstruction.load(tmp_path).report is None
    (tmp_path / "report.json").write_text(json.dumps({"people": [], "warnings": ["dark"]}))
    loaded = Reconstruction.load(tmp_path)
    assert loaded.report == {"people": [], "warnings": ["dark"]}
    assert replace(loaded, model="another").report is None
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "reconstruction.npz").read_bytes()
    (tmp_path / "report.json").write_text("{broken")
    assert Reconstruction.load(tmp_path).report is None
