"""The page of a report: its numbers are those of report.json, it needs no other file, and names cannot break it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_record import make_golden
from made_report import make_report
from small_record import make_figure, make_record
from unish.body import Body
from unish.export.report_charts import Curve, draw_curves
from unish.export.report_page import _foot_speeds, name_of_video, write_report_page
from unish.io import to_json_values
from unish.structs import Reconstruction


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


class Page(HTMLParser):
    """The ``data`` elements of a page, its tags, and the addresses that it reads from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._open: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self._open = dict(attrs) if tag == "data" else None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.numbers.append((str(self._open["data-key"]), str(self._open["value"]), data))
            self._open = None


def write(folder: Path, record: Reconstruction, body: Body, report: dict[str, Any]) -> str:
    write_report_page(folder / "report.html", record, body, report)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    return (folder / "report.html").read_text(encoding="utf-8")


def test_every_number_is_that_of_the_report(tmp_path: Path, body: Body) -> None:
    record = make_golden(body)
    report = make_report(record)
    page = Page(write(tmp_path, record, body, report))
    known = json.loads(json.dumps(to_json_values(report)))
    assert len(page.numbers) > 20
    for key, value, text in page.numbers:
        expected: Any = known
        for part in key.split("."):
            expected = expected[int(part)] if isinstance(expected, list) else expected[part]
        if expected is None:
            assert (value, text) == ("", "unknown")
            continue
        assert json.loads(value) == expected
        shown = text.replace("\N{MINUS SIGN}", "-").split()[0]
        decimals = len(shown.partition(".")[2])
        assert abs(float(shown) - expected) <= 0.5000001 * 10.0**-decimals
    keys = [key for key, _, _ in page.numbers]
    assert {"people.0.height_m", "people.1.distance_m.1", "shots.0.field_of_view_deg", "shots.1.contacts"} <= set(keys)
    assert "shots.0.camera_extent_m" in keys and "shots.1.camera_extent_m" not in keys  # the second stood still


@pytest.mark.parametrize("number", [0, 1, 2])
def test_names_and_sentences_cannot_become_markup(tmp_path: Path, body: Body, number: int) -> None:
    evil = "<script>alert(1)' onload='x\" &amp;"
    changes = ({"input": f"a/{evil}.mp4"}, {"warnings": [evil]}, {"model": evil, "versions": {"unish": evil}})[number]
    record = make_record(body, num_frames=2)
    text = write(tmp_path, record, body, make_report(record, **changes))
    page = Page(text)
    assert "script" not in page.tags and "b" not in page.tags
    assert "&lt;script&gt;" in text and "&lt;b&gt;floor" in text and "&amp;amp;" in text


def test_it_needs_no_other_file_and_tells_no_folder(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    text = write(tmp_path, record, body, make_report(record, input="/home/somebody/secret/walk.mp4"))
    page = Page(text)
    assert page.addresses and all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"https?:|url\(|@import", text) and "secret" not in text and "walk.mp4" in text


@pytest.mark.parametrize("num_people", [0, 2])
@pytest.mark.parametrize("num_frames", [1, 3])
def test_it_is_written_for_anything(tmp_path: Path, body: Body, num_people: int, num_frames: int) -> None:
    """One frame, nobody, no gravity and no floor, nothing measured."""
    record = make_record(body, num_people=num_people, num_frames=num_frames)
    unknown = np.full_like
    record = replace(record, gravity=unknown(record.gravity, np.nan), floor=unknown(record.floor, np.nan))
    report = make_report(record)
    report["shots"][0] |= {"gravity_known": False, "ground": "unknown"}
    report["quality"] = {key: float("nan") for key in report["quality"]}
    text = write(tmp_path, record, body, report)
    assert "Which way is down is unknown" in text and "a guess" in text
    assert ("UniSH found nobody" in text) == (num_people == 0) and "Height of the head" not in text


def test_every_shot_has_a_map_and_a_row(tmp_path: Path, body: Body) -> None:
    record = make_golden(body)
    text = write(tmp_path, record, body, make_report(record))
    assert text.count("ways of camera and people from above") == 2 and text.count("<h3>Shot ") == 2
    for number in (1, 2):
        assert f"<h3>Shot {number}</h3>" in text and f">shot {number}, " in text
    assert "the film cuts" in text


def test_sizes_are_told_for_each_shot_and_person(tmp_path: Path, body: Body) -> None:
    record = make_golden(body)
    text = write(tmp_path, record, body, make_report(record))
    assert record.num_shots > 1
    for shot in range(record.num_shots):
        assert f"All lengths may be {12 + shot} % smaller or larger &lt;here&gt;." in text
    for person in range(record.num_people):
        assert f"{1.62 + person:.2f} m, guessed" in text


def test_a_name_of_bytes_that_are_no_letters_is_shown(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    text = write(tmp_path, record, body, make_report(record, input="clips/w\udcffalk.mp4"))
    assert "w\\udcffalk" in text


def test_what_the_user_calls_the_video_is_its_name() -> None:
    known = {"input": "work/jobs/1/video.mp4", "settings": {"title": "Our walk"}}
    assert name_of_video(known) == "Our walk"
    assert (
        name_of_video(known | {"settings": {"title": None}}) == name_of_video({"input": "a/video.mp4"}) == "video.mp4"
    )
    assert name_of_video({}) == ""


def test_curves_break_where_nothing_is_known() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, np.nan, 1.0, 1.5])
    drawn = draw_curves(np.arange(7.0), [Curve(name="1", colour="#123456", values=values)], label="a < b")
    lines = re.findall(r"points='([^']*)'", drawn)
    assert [len(line.split()) for line in lines] == [2, 2] and drawn.count("<circle") == 1
    assert "a &lt; b" in drawn
    first, second = ([float(part) for part in dot.split(",")] for dot in lines[0].split())
    assert second[0] > first[0] and second[1] < first[1]  # later is to the right, more is up


@pytest.mark.parametrize("seconds", [0.8, 7.0, 60.0, 1000.0])
def test_times_are_written_often_enough_to_be_read(seconds: float) -> None:
    times = np.linspace(3.0, 3.0 + seconds, 9)
    drawn = draw_curves(times, [Curve(name="1", colour="#123456", values=np.arange(9.0))], label="height")
    assert 4 <= len(re.findall(r"[0-9.e+]+ s</text>", drawn)) <= 9


def test_the_slower_foot_counts_and_shots_do_not_touch(body: Body) -> None:
    record = make_record(body, num_people=1, num_frames=4, num_shots=2)
    joints = np.zeros_like(record.joints)
    joints[:, :, 7, 0] = 0.1 * np.arange(4)  # the left ankle, 0.6 m/s at six frames per second
    joints[:, :, 8, 0] = 0.2 * np.arange(4)
    record = replace(record, joints=joints.astype(np.float32))
    np.testing.assert_allclose(_foot_speeds(record), [[np.nan, 0.6, np.nan, 0.6]], rtol=1e-5)
