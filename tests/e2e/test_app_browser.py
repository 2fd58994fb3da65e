"""``unish app`` in a real browser: dropping a video, watching, looking at the result, correcting it, errors."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from app_running import RunningApp, running_app
from app_stand_in import BAD_INPUT, FINE, GO, NOBODY, WAITS
from unish.app.processes import unish_command
from unish.app.worker import Worker
from written_videos import numbered_pictures, write_video

pytest.importorskip("uvicorn", reason="the extra `app` is not installed")
pytest.importorskip("starlette", reason="the extra `app` is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on the path")
    options = [
        "--no-sandbox", "--disable-background-networking", "--use-gl=angle", "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    ]  # fmt: skip
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=options)
        yield opened
        opened.close()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    with running_app(tmp_path / "work") as app:
        yield app


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a <i>walk.mp4", numbered_pictures(6))


class Tab:
    """A page of the app, with its errors."""

    def __init__(self, browser: Any, app: RunningApp, *, size: tuple[int, int] = (1280, 860), **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
        self.context.set_default_timeout(240_000)  # for what takes a second: machines that test may be busy
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"http://127.0.0.1:{app.port}/")
        self.page.wait_for_selector("#limits:not(:empty)", state="attached")

    def send(self, video: Path, **options: Any) -> None:
        self.page.set_input_files("#file", video)
        for name, value in options.items():
            self.page.fill(f"#{name}", str(value))
        self.page.click("#send")
        self.page.wait_for_selector("#job:not([hidden]) h1")

    def until(self, holds: str, seconds: float = 240) -> None:
        """Until a JavaScript expression is true. Playwright's own means needs what the page's policy forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(holds):
            assert time.monotonic() < end, holds
            time.sleep(0.05)

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()


def test_from_a_dropped_video_to_a_corrected_result(browser: Any, app: RunningApp, video: Path) -> None:
    """Two pages see the same; the result can be looked at, measured, corrected, downloaded and deleted."""
    tab, other = Tab(browser, app), Tab(browser, app)
    tab.send(video, fps=WAITS, people="all")
    page = tab.page
    page.wait_for_selector(".stages .now:has-text('See depth') progress")
    assert "a <i>walk.mp4" in page.inner_text("#job h1")
    other.page.wait_for_selector("#history a")
    assert "See depth, cameras and bodies" in page.inner_text("#status")  # said to people who listen
    (app.work / GO).touch()
    page.wait_for_selector("iframe")
    assert page.frame_locator("iframe >> nth=0").locator("title").count() == 1
    frame = next(frame for frame in page.frames if frame.url.startswith(page.url.split("#")[0] + "jobs/"))
    frame.wait_for_function("document.title === 'it runs'")  # its script runs,
    assert frame.evaluate("window.origin") == "null"  # and can reach nothing of the app
    assert "done" in other.page.inner_text("#history")

    tab.open("People")
    assert page.locator(".people tbody tr").count() == 3
    assert "90 %: 1.60 m to 1.80 m" in page.inner_text(".people tbody tr >> nth=0")
    page.select_option("#measure-second", "2")
    assert "2.00 m (90 %: 1.80 m to 2.20 m)" in page.inner_text(".card:has(#measure-first)")
    page.get_by_label("choose person 0").check()
    page.get_by_label("choose person 2").check()
    page.get_by_role("button", name="Make one person of these").click()
    tab.until("document.querySelectorAll('.people tbody tr').length === 2")
    page.get_by_label("known height of person 1 in metres").fill("1.66")
    page.get_by_role("button", name="Set the height of person 1").click()
    tab.until("document.querySelector('.people').innerText.includes('1.66 m')")
    assert "People 0, 2 are one person" in page.inner_text("#part-people")
    page.get_by_role("button", name="Undo: People 0, 2 are one person").click()
    tab.until("document.querySelectorAll('.people tbody tr').length === 3")
    page.get_by_label("choose person 1").check()
    page.get_by_role("button", name="Keep only these").click()
    tab.until("document.querySelectorAll('.people tbody tr').length === 1")

    tab.open("Film")
    assert "no film of the corrected result yet" in page.inner_text("#part-film")
    page.get_by_role("button", name="Draw the film").click()
    page.get_by_label("film of the result").wait_for()
    assert page.get_by_role("button", name="Draw the film").count() == 0

    tab.open("Files")
    page.locator("input[value=glb]").check()
    page.get_by_role("button", name="Make these files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download glb", exact=True).click()
    assert download.value.suggested_filename.endswith("walk-glb.glb")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_selector("#new:not([hidden])")
    other.page.wait_for_selector("#history-empty:not([hidden])")
    assert app.files() == {GO}
    assert tab.errors == [] and other.errors == []


def test_what_else_is_known_is_said_in_a_form(browser: Any, app: RunningApp, video: Path) -> None:
    """Every kind of correction is filled in and arrives as ``unish refine`` reads it; what is wrong is a sentence."""
    tab = Tab(browser, app)
    page = tab.page
    tab.send(video, fps=FINE)
    page.wait_for_selector("iframe")
    tab.open("People")

    def choose(kind: str, **fields: str) -> None:
        page.select_option("#edit-kind", kind)
        for name, value in fields.items():
            field = page.locator(f"#edit-{name}")
            field.select_option(value) if name in ("person", "point", "touches", "shot") else field.fill(value)

    def refuse(sentence: str) -> None:
        page.get_by_role("button", name="Apply").click()
        tab.until(f"document.getElementById('trouble').textContent.includes({json.dumps(sentence)})")
        assert next(iter(app.jobs().values()))["edits"] == said

    def apply(words: str, **edit: Any) -> None:
        page.get_by_role("button", name="Apply").click()
        page.wait_for_selector(f"#part-people li:has-text('{words}')")
        tab.until("!document.querySelector('#part-people form button[type=submit]').disabled")
        said.append(edit)
        assert next(iter(app.jobs().values()))["edits"] == said and not page.is_visible("#trouble")

    def click(x: float, y: float) -> None:
        picture = page.locator(".places img")
        box = picture.bounding_box()
        picture.click(position={"x": box["width"] * x, "y": box["height"] * y})

    said: list[dict[str, Any]] = []
    assert page.is_visible(".places img") and not page.is_visible("#edit-places")
    refuse("From this time on, seconds: give a number")
    choose("split", person="1")
    page.locator("#picture-time").press("ArrowRight")
    page.get_by_role("button", name="Use the time shown above for: From this time on").click()
    apply("Person 1 is somebody else from 0.50 s on", kind="split", person=1, at_s=0.5)
    contact = {"person": 3, "point": "left_toe", "from_s": 0.5, "to_s": 1.0, "touches": False}
    choose("contact", person="3", point="left_toe", touches="false", from_s="0.5", to_s="0.25")
    refuse("contact ends (0.25 s) before it begins (0.5 s)")
    choose("contact", to_s="1")
    apply("The left toe of person 3 does not touch the ground from 0.50 s to 1.00 s", kind="contact", **contact)
    choose("known_distance", metres="1.8")
    refuse("Choose both ends of the distance")
    for x, y in ((0.9, 0.9), (0.25, 0.5), (0.75, 0.25)):
        click(x, y)
    assert page.locator(".places circle").count() == 2
    ends = [(int(x), int(y)) for x, y in re.findall(r"(\d+),(\d+)@0.5", page.input_value("#edit-places"))]
    # A pixel of the page shows ten of the source here.
    np.testing.assert_allclose(ends, [(100, 100), (300, 50)], atol=10)
    known = {"from": list(ends[0]), "to": list(ends[1]), "at_s": 0.5, "metres": 1.8}
    apply("Two places at 0.50 s are 1.80 m apart", kind="known_distance", **known)
    choose("floor")
    page.get_by_role("button", name="Remove the places").click()
    click(0.25, 0.5)
    page.locator("#picture-time").press("ArrowRight")
    assert page.locator(".places circle").count() == 0
    refuse("three or more places")
    choose("floor", places="100,100@0.5 300,50@0 40,180@1")
    refuse("in different shots")
    choose("floor", places="100,100@0.5 300,50@0 40,180@0.6")  # the nearest picture is before the cut
    refuse("in different shots")
    choose("floor", places="100,100@0.5 300;50@0")
    refuse("300;50@0 is no place")
    choose("floor", places="100,100@0.5 300,50@0 40,180@0")
    points = [[100, 100, 0.5], [300, 50, 0], [40, 180, 0]]
    apply("The floor of shot 1 is at 3 places", kind="floor", shot=0, points=points)
    choose("closed_loop", shot="1")
    assert not page.is_visible(".places img")
    apply("The camera of shot 2 ends where it began", kind="closed_loop", shot=1)
    page.get_by_role("button", name="Undo all").click()
    page.wait_for_selector("#part-people h3", state="detached")
    # What the server refuses (422), and the poster of a job whose files are gone (404), the browser notes by itself.
    assert [error for error in tab.errors if "422" not in error and "404" not in error] == []


def test_errors_are_sentences_on_the_page(browser: Any, app: RunningApp, video: Path, tmp_path: Path) -> None:
    tab = Tab(browser, app)
    page = tab.page
    (tmp_path / "notes.mp4").write_text("no video\n" * 100)
    page.set_input_files("#file", tmp_path / "notes.mp4")
    page.wait_for_selector("#chosen-unseen:not([hidden])")
    page.click("#send")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "not a video" in page.inner_text("#trouble")
    page.fill("#people", "some")
    page.click("#send")
    assert "People: give a number" in page.inner_text("#trouble")
    assert page.evaluate("document.activeElement.id") == "people"
    page.fill("#people", "")
    # A file that is too large is not sent at all; one that only seems to be as large takes no room.
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 3_000_000_000)
    page.set_input_files("#file", large)
    tab.until("document.getElementById('trouble').textContent.includes('3.0 GB')")
    assert page.is_disabled("#send")
    tab.send(video, fps=BAD_INPUT)
    page.wait_for_selector("#job .trouble")
    assert "there is no frame between" in page.inner_text("#job .trouble")
    page.get_by_role("link", name="Try another video").click()
    tab.send(video, fps=NOBODY)
    page.wait_for_selector("iframe")
    tab.open("People")
    assert "Nobody was found" in page.inner_text("#part-people") and not page.is_visible(".people")
    # What the server refuses (422), and the poster of a job whose files are gone (404), the browser notes by itself.
    assert [error for error in tab.errors if "422" not in error and "404" not in error] == []


def test_a_page_comes_back_when_the_app_does(browser: Any, tmp_path: Path, video: Path) -> None:
    """The app is restarted in the middle of a run, on the same port: the page waits, and then shows the result."""
    with running_app(tmp_path / "work", probes=False) as app:
        tab = Tab(browser, app)
        tab.send(video, fps=WAITS)
        tab.page.wait_for_selector(".stages .now")
    tab.page.wait_for_selector("#trouble:has-text('does not answer')")
    (app.work / GO).touch()
    with running_app(tmp_path / "work", probes=False, port=app.port):
        tab.page.wait_for_selector("iframe")
        assert not tab.page.is_visible("#trouble")


def test_a_camera_recording_is_sent(browser: Any, app: RunningApp) -> None:
    tab = Tab(browser, app, permissions=["camera"])
    page = tab.page
    page.click("#camera-open")
    tab.until("document.getElementById('camera-view').videoWidth > 0")
    page.click("#camera-record")
    page.wait_for_timeout(1500)
    page.click("#camera-record")
    page.wait_for_selector("#chosen:not([hidden])")
    page.fill("#fps", str(FINE))
    page.click("#send")
    page.wait_for_selector("iframe")
    (job,) = app.jobs().values()
    assert job["name"].startswith("recording.") and job["state"] == "done" and job["width"] > 0
    assert 0.5 < job["seconds"] < 20 and tab.errors == []


def test_keyboard_and_small_windows(browser: Any, app: RunningApp, video: Path) -> None:
    """At 390 px nothing is cut off sideways, in light and dark; everything is reached by keys."""
    for scheme in ("light", "dark"):
        tab = Tab(browser, app, size=(390, 780), color_scheme=scheme, reduced_motion="reduce")
        page = tab.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        tab.send(video, fps=FINE)
        page.wait_for_selector("iframe")
        for name in ("People", "Film", "Report", "Files"):
            page.locator("[role=tab][aria-selected=true]").focus()
            page.keyboard.press("ArrowRight")
            assert page.inner_text("[role=tab][aria-selected=true]") == name
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(245, 246, 249)" if scheme == "light" else "rgb(18, 21, 28)"
        )
        page.get_by_role("link", name="New video").click()
        tab.until("document.activeElement.id === 'content'")
        assert tab.errors == []


def test_nothing_serious_is_found_by_axe(browser: Any, app: RunningApp, video: Path) -> None:
    """axe-core looks at every state of the page, in light and dark."""
    folder = os.environ.get("UNISH_NODE_MODULES", "")
    axe = Path(folder) / "axe-core" / "axe.min.js"
    if not folder or not axe.is_file():
        pytest.skip("UNISH_NODE_MODULES names no folder with axe-core")
    for scheme in ("light", "dark"):
        tab = Tab(browser, app, color_scheme=scheme, bypass_csp=True)
        page = tab.page

        def look(page: Any = page) -> None:
            page.add_script_tag(path=str(axe))
            # What is in the frames is not the app's own: the 3D page is viser's.
            found = page.evaluate("axe.run({exclude: [['iframe']]})")
            serious = [one for one in found["violations"] if one["impact"] in SERIOUS]
            assert serious == [], json.dumps(serious, indent=1)[:3000]

        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        look()
        tab.send(video, fps=WAITS)
        page.wait_for_selector(".stages .now")
        look()
        (app.work / GO).touch()
        page.wait_for_selector("iframe")
        look()
        for name in ("People", "Film", "Report", "Files"):
            tab.open(name)
            look()
        tab.open("People")
        page.get_by_label("choose person 1").check()
        page.get_by_role("button", name="Drop these").click()
        page.wait_for_selector("text=Person 1 is left out")
        for kind in ("split", "contact", "floor", "known_distance", "closed_loop"):
            page.select_option("#edit-kind", kind)
            look()
        page.get_by_role("link", name="New video").click()
        tab.send(video, fps=BAD_INPUT)
        page.wait_for_selector("#job .trouble")
        look()
        (app.work / GO).unlink()


def write_film_with_a_negative(clip: Path, path: Path) -> Path:
    """Two people, and after a cut the same two in a negative of the film: of one of them the tool makes two."""
    with av.open(str(clip)) as container:
        pictures = [frame.to_image().resize((360, 640)) for frame in container.decode(video=0)]
    plain, later = ([np.asarray(one) for one in pictures[first : first + 12 : 3]] for first in (0, 24))
    return write_video(path, np.stack([*plain, *(255 - one for one in later)]), fps=6)


@pytest.mark.long
def test_a_real_clip_is_scrubbed_measured_merged_and_downloaded(browser: Any, tmp_path: Path, media_dir: Path) -> None:
    """With the real commands. Who are seen together are two; one who has two identities becomes one person."""
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    pytest.importorskip("viser4d", reason="the extra `view` is not installed")
    clip = media_dir / "video" / "mmhuman3d_multi_person_demo.mp4"
    if not clip.is_file():
        pytest.skip(f"{clip.name} is not among the media")
    commands = {"program": unish_command(), "people_program": Worker.people_program}
    with running_app(tmp_path / "work", **commands) as app:
        tab = Tab(browser, app)
        page = tab.page
        tab.send(write_film_with_a_negative(clip, tmp_path / "film.mp4"))
        page.wait_for_selector("iframe", timeout=900_000)
        assert not page.is_visible("#job .trouble")
        frame = next(frame for frame in page.frames if "/page?" in frame.url)
        frame.wait_for_function("window.__VISER4D__ && __VISER4D__.debug.appliedStep >= 0")
        for step in (4, 1):
            frame.evaluate(f"__VISER4D__.controller.player.pause(); __VISER4D__.controller.player.seek({step})")
            frame.wait_for_function(f"__VISER4D__.debug.appliedStep === {step}")
        tab.open("People")
        assert page.locator(".people tbody tr").count() == page.locator(".people td img").count() == 3
        assert "90 %: " in page.inner_text(".people tbody tr >> nth=0")
        assert "m (90 %:" in page.inner_text(".card:has(#measure-first)")

        def merge(first: int, second: int) -> None:
            for person in range(3):
                page.get_by_label(f"choose person {person}").set_checked(person in (first, second))
            page.get_by_role("button", name="Make one person of these").click()

        merge(0, 1)
        tab.until("document.querySelector('#job .trouble')?.innerText.includes('are seen in one frame')", 300)
        assert next(iter(app.jobs().values()))["edits"] == []
        merge(1, 2)
        tab.until("document.querySelectorAll('.people tbody tr').length === 2", 600)
        (job,) = app.jobs().values()
        assert job["edits"] == [{"kind": "merge", "persons": [1, 2]}] and job["task_error"] == ""
        rows = page.locator(".people tbody tr").all_inner_texts()
        assert all("8 frames" in row for row in rows), "each is seen before and after the cut"
        tab.open("Files")
        page.locator("input[value=glb]").check()
        page.get_by_role("button", name="Make these files").click()
        link = page.get_by_role("link", name="Download glb", exact=True)
        link.wait_for()
        with page.expect_download() as download:
            link.click()
        scene = trimesh.load(io.BytesIO(Path(download.value.path()).read_bytes()), file_type="glb")
        bodies = {name: len(mesh.vertices) for name, mesh in scene.geometry.items() if " mesh " in name}
        assert bodies.keys() == {f"person {person} mesh of shot {shot}" for person in (0, 1) for shot in (0, 1)}
        assert min(bodies.values()) > 5_000
        assert tab.errors == []
