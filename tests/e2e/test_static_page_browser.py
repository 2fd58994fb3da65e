"""The static page in a real browser, without a network: it plays, it measures, it is thinned."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_record import make_golden
from small_record import make_record
from unish.body import Body
from unish.errors import InputError
from unish.viewer.measuring import Place, find_place, measure_distance
from viewer_browser import (
    FLOOR_M,
    WALL_M,
    Window,
    make_true_world,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_static_page_plays_without_network(tmp_path: Path, browser: Any, body: Body) -> None:
    """Three loops later the same is drawn as at first; two shots, and people who come and go; no network is asked.

    Skinned bodies that viser's client would lose, or pictures of cameras that viser4d would not write, fail here.
    """
    from unish.viewer.page import write_static_page

    evil = "a</script><img src=x onerror=alert(1)>&amp;"
    path = tmp_path / "page.html"
    record = make_golden(body)
    write_static_page(path, record, body, title=evil, credit="Ann & Ben")
    assert path.stat().st_size < 3_000_000
    window = Window(browser, path.as_uri(), (640, 420), offline=True)
    window.page.wait_for_selector("#unish-poster", state="detached")
    assert window.page.inner_text("#unish summary") == evil and window.page.title() == evil
    assert "Ann & Ben" in window.page.inner_text("#unish-licence")
    assert window.page.evaluate("window.__VISER4D__.debug.playing")  # it plays by itself
    first = {step: window.look(step, 2500) for step in (1, 6)}
    window.play("window.wraps = 0; const step = player.listener.step;"
                "player.listener.step = (at, on) => { if (at === 0) window.wraps++; step(at, on); };"
                "player.setSpeed(4, true); player.play();")  # fmt: skip
    window.page.wait_for_function("window.wraps >= 3")
    again = {step: window.look(step, 2500) for step in (6, 1)}
    for step, picture in first.items():
        assert (np.abs(again[step] - picture).max(axis=-1) > 24).mean() < 0.002
    assert (np.abs(first[1] - first[6]).max(axis=-1) > 24).mean() > 0.002
    window.page.keyboard.press("c")
    window.look()
    assert window.page.get_attribute("#unish-film", "aria-pressed") == "true"
    window.page.keyboard.press("c")
    assert (np.abs(window.look(1, 3000) - first[1]).max(axis=-1) > 24).mean() < 0.01  # the view is as it was
    window.page.keyboard.press(".")
    window.page.wait_for_function("window.__VISER4D__.debug.appliedStep === 2")
    assert window.errors == []
    assert {url.split(":")[0] for url in window.requests} <= {"file", "data", "blob"}


def test_two_clicks_measure_in_a_static_page(tmp_path: Path, browser: Any, body: Body) -> None:
    """Without network, seen through the camera: within 2 % + 1 cm where the depth is true; a drag is no click."""
    from unish.viewer.page import write_static_page

    path, report = tmp_path / "page.html", {"people": [{"id": 0, "height_interval_m": [1.6, 1.8]}]}
    record = replace(make_true_world(body), scale_interval=np.float32([[0.9, 1.2]]))
    write_static_page(path, record, body, title="true", report=report)
    window = Window(browser, path.as_uri(), (640, 420), offline=True)
    window.page.wait_for_selector("#unish-poster", state="detached")
    window.look(2)
    assert "(90 %: 1.60 to 1.80 m)" in window.page.text_content("#unish-people")
    window.page.keyboard.press("m")
    window.page.mouse.move(200, 100)
    window.page.mouse.down()
    window.page.mouse.move(260, 130)
    window.page.mouse.up()
    assert "two places" in window.page.text_content("#unish-measured")
    window.page.keyboard.press("c")
    window.settle(2500)
    fov = window.page.evaluate("window.__VISER4D__.viser.viewer.mutable.current.camera.fov")
    focal = 420 / 2 / np.tan(np.radians(fov) / 2)
    truth = []
    for x, y in ((330, 60), (200, 325)):
        window.page.mouse.click(x, y)
        ray = np.array([(x + 0.5 - 320) / focal, (y + 0.5 - 210) / focal, 1.0])
        truth.append(ray * (FLOOR_M / ray[1] if ray[1] > FLOOR_M / WALL_M else WALL_M))
    said = window.page.text_content("#unish-measured")
    assert " m (90 %" in said, said
    metres, low, high = (float(word) for word in re.findall(r"[0-9.]+(?= m| to)", said))
    expected = float(np.linalg.norm(truth[0] - truth[1]))
    assert abs(metres - expected) < 0.02 * expected + 0.01, (said, expected)
    assert abs(low - 0.9 * metres) < 0.02 and abs(high - 1.2 * metres) < 0.02
    window.page.wait_for_function("document.querySelectorAll('#unish-marks circle').length === 2")
    window.page.keyboard.press("m")
    window.page.wait_for_function("document.querySelectorAll('#unish-marks circle').length === 0")
    assert window.page.text_content("#unish-measured") == "" and window.errors == []


def test_the_page_measures_as_the_viewer_does(browser: Any) -> None:
    """``measuring.js`` is the twin of ``measuring.py``: the same places, scatter and words."""
    source = resources.files("unish.viewer").joinpath("measuring.js").read_text(encoding="utf-8")
    page, rng = browser.new_page(), np.random.default_rng(2)
    page.evaluate(source + "; window.measuring = unishMeasuring;")
    slanted = np.column_stack([rng.uniform(-1, 1, (3000, 2)), np.zeros(3000)])
    slanted[:, 2] = 3 + 0.8 * slanted[:, 0] + 0.02 * rng.normal(size=3000)
    few = np.array([[0, 0.01, 4.0], [0.01, 0, 4.1]])
    clouds = (slanted, few, np.concatenate([slanted, [[0, 0, 1.0]], slanted * [1, 1, 2]]), np.zeros((0, 3)))
    for cloud in clouds:
        for _ in range(5):
            origin, goal = rng.normal(size=3) * 0.05, np.array([*rng.uniform(-0.05, 0.05, 2), 3])
            place = find_place(origin, goal - origin, cloud)
            found = page.evaluate("(given) => measuring.findPlace(...given)", [
                origin.tolist(), (goal - origin).tolist(), cloud.ravel().tolist(),
            ])  # fmt: skip
            assert (place is None) == (found is None)
            if place is not None:
                np.testing.assert_allclose(found["xyz"], place.xyz, atol=1e-6)
                np.testing.assert_allclose(found["sigma"], place.sigma_m, atol=1e-6)
    ends = [Place(xyz=np.array([x, 0.0, 0.0]), sigma_m=0.03) for x in (0.0, 2.0)]
    given = [{"xyz": end.xyz.tolist(), "sigma": end.sigma_m} for end in ends]
    for interval in (None, [0.9, 1.2]):
        told = page.evaluate("(given) => measuring.describeDistance(...given)", [*given, interval])
        assert told == measure_distance(*ends, np.array(interval or [np.nan, np.nan])).describe()
    page.close()


@pytest.mark.parametrize("num_people", [0, 1])
def test_anything_makes_a_page(tmp_path: Path, viser: Any, body: Body, num_people: int) -> None:
    """One frame, nobody, no floor, no depth at all."""
    from unish.viewer.page import write_static_page

    record = make_record(body, num_people=num_people, num_frames=1)
    record = replace(record, floor=np.full_like(record.floor, np.nan), gravity=np.full_like(record.gravity, np.nan))
    for depth in (record.depth, np.zeros_like(record.depth)):
        write_static_page(tmp_path / "page.html", replace(record, depth=depth), body, title="x")
        assert "unish-data" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_large_page_is_thinned_and_says_so(
    tmp_path: Path, viser: Any, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unish.viewer import page

    record, told = make_record(body, num_frames=16), []
    page.write_static_page(tmp_path / "whole.html", record, body, title="x", announce=told.append)
    assert told == []
    monkeypatch.setattr(page, "_WANTED_BYTES", (tmp_path / "whole.html").stat().st_size - 1)
    page.write_static_page(tmp_path / "thin.html", record, body, title="x", announce=told.append)
    assert "8 of 16 frames" in told[0] and told[0] in (tmp_path / "thin.html").read_text(encoding="utf-8")
    monkeypatch.setattr(page, "_WANTED_BYTES", 1)
    monkeypatch.setattr(page, "_MOST_BYTES", 1)
    with pytest.raises(InputError, match="more than 32"):
        page.write_static_page(tmp_path / "none.html", record, body, title="x")
    assert not (tmp_path / "none.html").exists()
