"""The viewer and the static page in a real browser: what is drawn, what a click measures, who may connect."""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from golden_record import make_golden
from small_record import make_figure, make_record
from unish.body import Body
from unish.edits import Drop, Edit
from unish.errors import InputError
from unish.render.plain import render_mesh
from unish.structs import Reconstruction
from unish.viewer.editing import EditList
from unish.viewer.measuring import Place, find_place, measure_distance

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SIZE, FOCAL, MIDDLE = (360, 640), 420.0, (300.0, 200.0)
WALL_M, FLOOR_M = 6.0, 1.4
PATIENCE_MS = 240_000
"""For what takes a second: machines that test may be busy."""


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def viser() -> Any:
    return pytest.importorskip("viser4d", reason="the extra `view` is not installed")


@pytest.fixture(scope="module")
def browser(viser: Any) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on the path")
    options = ["--no-sandbox", "--disable-background-networking", "--use-gl=angle", "--use-angle=swiftshader"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=[*options, "--enable-unsafe-swiftshader"])
        yield opened
        opened.close()


class Window:
    """A page with its errors and its requests; steps of the timeline are waited for."""

    def __init__(self, browser: Any, address: str, size: tuple[int, int], *, offline: bool = False) -> None:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, offline=offline)
        context.set_default_timeout(PATIENCE_MS)
        self.page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address + "?fixedDpr=1")
        self.page.wait_for_function("window.__VISER4D__ && window.__VISER4D__.debug.appliedStep >= 0")

    def play(self, code: str) -> None:
        self.page.evaluate(f"(() => {{ const player = window.__VISER4D__.controller.player; {code} }})()")

    def settle(self, wait_ms: int = 0) -> None:
        """Wait until so many pictures were drawn through a camera that rests; a busy machine takes longer."""
        self.page.wait_for_timeout(wait_ms)
        self.page.evaluate("""(count) => new Promise((done) => {
            let drawn = 0, before = "";
            const look = () => {
                const { camera } = window.__VISER4D__.viser.viewer.mutable.current;
                const now = JSON.stringify([camera.matrixWorld.elements, camera.fov]);
                drawn = now === before ? drawn + 1 : 0;
                before = now;
                drawn < count ? requestAnimationFrame(look) : done();
            };
            requestAnimationFrame(look);
        })""", 20)  # fmt: skip

    def look(self, step: int | None = None, wait_ms: int = 1500) -> np.ndarray:
        """A picture of the window (height, width, 3), at a step once it is drawn."""
        if step is not None:
            self.play(f"player.pause(); player.seek({step});")
            self.page.wait_for_function(f"window.__VISER4D__.debug.appliedStep === {step}")
        self.settle(wait_ms)
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")).astype(int)


def reddish(picture: np.ndarray) -> np.ndarray:
    """Where a body in the first colour of people stands, lit or in the shade."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (red > 70) & (red > 1.6 * green) & (red > 1.5 * blue)


def greenish(picture: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(picture, -1, 0)
    return (green > 128) & (red < 90) & (blue < 90)


def make_true_world(body: Body) -> Reconstruction:
    """One person, green in the pictures, before a wall 6 m away on a floor 1.4 m below the camera; depth is exact.

    The principal point lies beside the middle.
    """
    small = make_record(body, num_people=1, num_frames=4)
    shown = np.ones((1, 4), bool)
    filled = [np.where(np.isfinite(values), values, values[:, :1]) for values in (small.global_orient_aa, small.transl)]
    pose = np.where(np.isfinite(small.body_pose_aa), small.body_pose_aa, 0.0).astype(np.float32)
    intrinsics = np.tile(np.float32([[FOCAL, 0, MIDDLE[0]], [0, FOCAL, MIDDLE[1]], [0, 0, 1]]), (4, 1, 1))
    c2w = np.tile(np.eye(4, dtype=np.float32), (4, 1, 1))
    transl = filled[1] + np.float32([-0.2, 0.3, 0.0])
    rows = (np.arange(SIZE[0]) + 0.5 - MIDDLE[1]) / FOCAL
    depth = np.where(rows > FLOOR_M / WALL_M, FLOOR_M / np.maximum(rows, 1e-6), WALL_M).astype(np.float32)
    depth = np.tile(depth[None, :, None], (4, 1, SIZE[1]))
    record = replace(
        small, person_ids=np.int32([0]), person_valid=shown, global_orient_aa=filled[0], transl=transl,
        body_pose_aa=pose, intrinsics=intrinsics, c2w=c2w, depth=depth, image_size=np.int32(SIZE),
        images=np.full((4, *SIZE, 3), 40, np.uint8), point_conf=np.full(depth.shape, 0.9, np.float16),
        person_masks=np.full(depth.shape, -1, np.int16), boxes_xyxy=np.full_like(small.boxes_xyxy, np.nan),
    )  # fmt: skip
    images = record.images.copy()
    for frame, vertices in enumerate(record.vertices(body)[0]):
        covered, _ = render_mesh(vertices.astype(np.float32), record.faces.astype(np.int64), intrinsics[frame], SIZE)
        images[frame][covered > 0] = (0, 255, 0)
    return replace(record, images=images)


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


def test_bodies_lie_on_the_picture_and_clicks_measure(tmp_path: Path, browser: Any, body: Body) -> None:
    """Through the camera, a body's edges are those of its picture within a pixel; distances are within 2 % + 1 cm."""
    from unish.viewer.live import LiveViewer
    from unish.viewer.record import build_record
    from unish.viewer.stage import open_stage

    record = make_true_world(body)
    with open_stage(build_record(record, body, title="true", max_points=60_000)) as stage:
        viewer = LiveViewer(stage)
        window = Window(browser, stage.address, (1000, 560))
        window.look(2)
        window.page.get_by_label("see through the camera").check()
        stage.show("contacts", False)
        # Around the person alone: the notice, the panel and the axes have colours of their own.
        around = np.s_[100:500, 200:640]
        drawn = reddish(window.look(wait_ms=5000)[around])
        stage.show("bodies", False)
        filmed = greenish(window.look(wait_ms=3000)[around])
        assert filmed.sum() > 2000
        for axis in (0, 1):
            edges = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for mask in (drawn, filmed)]
            assert np.abs(edges[0] - edges[1]).max() <= 1
        assert (drawn & filmed).sum() / (drawn | filmed).sum() > 0.8  # edges of thin limbs, and facets in the dark

        # In the window, the picture is scaled by the ratio of the focal lengths.
        window.page.get_by_label("click on two points").check()
        client = next(iter(stage.server.get_clients().values()))
        focal = 560 / 2 / np.tan(client.camera.fov / 2)
        truth = []
        for x, y in ((400, 90), (560, 480)):
            window.page.mouse.click(x, y)
            window.settle(1500)
            ray = np.array([(x + 0.5 - 500) / focal, (y + 0.5 - 280) / focal, 1.0])
            truth.append(ray * (FLOOR_M / ray[1] if ray[1] > FLOOR_M / WALL_M else WALL_M))
        marked = [one.place.xyz for one in viewer.clicks.places]
        assert len(marked) == 2
        expected = float(np.linalg.norm(truth[0] - truth[1]))
        assert abs(float(np.linalg.norm(marked[0] - marked[1])) - expected) < 0.02 * expected + 0.01
        assert window.page.get_by_text("unknown").count() > 0  # how large this scene is, nobody has said
        assert window.errors == []


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


def test_the_panel_changes_what_is_shown(browser: Any, body: Body) -> None:
    from unish.viewer.live import FRAME, LiveViewer
    from unish.viewer.record import build_record
    from unish.viewer.stage import open_stage

    with open_stage(build_record(make_golden(body), body, title="golden")) as stage:
        viewer = LiveViewer(stage)
        window = Window(browser, stage.address, (900, 500))
        whole = window.look(1, 4000)
        viewer._choose(points=FRAME)
        frame = window.look()
        viewer._choose(colour="depth")
        depth = window.look()
        viewer._choose(confidence=1.0)
        nothing = window.look()
        viewer._follow(0)
        followed = window.look(4)
        pictures = (whole, frame, depth, nothing, followed)
        with window.page.expect_download() as download:
            window.page.get_by_text("save a screenshot").click()
        assert download.value.suggested_filename == "golden.png"
        assert Image.open(download.value.path()).size == (900, 500)
        for before, after in pairwise(pictures):
            assert (np.abs(before - after).max(axis=-1) > 30).mean() > 0.001
        assert window.errors == []


def test_bodies_are_sent_once_and_moved_by_every_block(viser: Any, body: Body) -> None:
    """What the timeline makes itself is in each of its blocks, and a jump waits for a block."""
    from unish.viewer.record import build_record
    from unish.viewer.stage import open_stage

    seen = make_record(body, num_people=2, num_frames=40)
    valid = seen.person_valid.copy()
    valid[1, :5] = False  # who is not there at first is hidden when a loop begins again
    record = build_record(replace(seen, person_valid=valid), body, title="x")
    with open_stage(record) as stage:
        stage.wait()
        timeline = stage.server._timeline
        later = timeline._checkpoint_for(1).scene.entries
        moved = {entry.name for entry in later.values() if entry.message.type.startswith("SetBone")}
        bodies = {f"/bodies/{person.person_id}/body" for person in record.people}
        assert moved == bodies and not any(entry.message.type == "SkinnedMeshMessage" for entry in later.values())
        # A loop begins with step 0: all that is moved later is told there, whatever it was when the body was made.
        assert {key for key, entry in later.items() if entry.name in bodies} <= timeline.step_delta(0).puts.keys()


def test_pages_of_other_sites_are_refused(viser: Any, body: Body) -> None:
    """Only the server's own pages may open its websocket, on loopback; nobody can have it shared with the world."""
    import websockets
    from websockets.asyncio.client import connect

    from unish.viewer.record import build_record
    from unish.viewer.stage import HOST, open_stage

    async def is_let_in(port: int, origin: str | None) -> bool:
        try:
            async with connect(f"ws://{HOST}:{port}", origin=origin, subprotocols=["viser-v1.1.1"]):
                return True
        except websockets.exceptions.InvalidStatus as refused:
            assert refused.response.status_code == 403
            return False

    with open_stage(build_record(make_record(body, num_frames=2), body, title="x")) as stage:
        port = stage.server.get_port()
        assert stage.server.get_host() == HOST
        for origin, expected in (
            (f"http://{HOST}:{port}", True), (f"http://localhost:{port}", True), ("http://evil.example", False),
            (f"http://evil.example:{port}", False), (f"http://{HOST}:{port + 1}", False), (None, False),
        ):  # fmt: skip
            # In a thread of its own: the browser's driver runs a loop in this one.
            with ThreadPoolExecutor() as pool:
                assert pool.submit(asyncio.run, is_let_in(port, origin)).result() == expected, origin
        assert stage.server.request_share_url() is None
        with pytest.raises(InputError, match="taken"), open_stage(stage.record, port=port):
            pass


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


def test_the_viewer_ends_when_it_is_interrupted(viser: Any, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C is how it is meant to end: no error, and the port is free again."""
    from unish.viewer import live

    opened, said = [], []

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", interrupt)
    monkeypatch.setattr(live.webbrowser, "open", opened.append)
    live.serve(make_record(body, num_frames=3), body, title="walk", announce=said.append)
    (address,) = opened
    assert address.startswith("http://127.0.0.1:") and said[0].startswith(address)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.rsplit(":", 1)[1]))) != 0


def test_edits_are_applied_and_shown(browser: Any, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is said; what fits is shown by another server on the same port, to which the window comes."""
    from unish.viewer import live

    before, after = make_record(body, num_frames=3), make_record(body, num_frames=3, num_people=1)
    viewers: list[Any] = []
    windows: list[Window] = []
    asked: list[tuple[Edit, ...]] = []
    sleep = time.sleep

    class Watched(live.LiveViewer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            viewers.append(self)

    def ask(seconds: float) -> None:
        """What somebody does in the browser while the viewer waits: drop one who does not exist, then one who does."""
        if seconds != live._LOOK_S:
            return sleep(seconds)
        viewer = viewers[-1]
        if not windows:
            windows.append(Window(browser, viewer.stage.address, (500, 400)))
            windows[0].play("player.pause(); player.seek(2);")
            windows[0].page.wait_for_function("window.__VISER4D__.debug.appliedStep === 2")
        if len(viewers) == 2:
            windows[0].page.wait_for_url(f"{viewer.stage.address}/**")
            windows[0].page.wait_for_function("window.__VISER4D__ && window.__VISER4D__.debug.appliedStep === 2")
            raise KeyboardInterrupt
        assert not asked or "no person 9" in viewer.panel._say.content
        viewer.panel.edits.wanted = viewer.panel.asked = (Drop(person=4 if asked else 9),)
        viewer.panel.asked_by = next(iter(viewer.stage.server.get_clients().values()))

    def apply(edits: Sequence[Edit], progress: Any) -> tuple[Reconstruction, dict[str, Any]]:
        asked.append(tuple(edits))
        if edits == (Drop(person=9),):
            raise InputError("there is no person 9")
        return after, {}

    monkeypatch.setattr(live, "LiveViewer", Watched)
    monkeypatch.setattr(time, "sleep", ask)
    live.serve(before, body, title="x", edits=EditList(applied=()), apply=apply, open_browser=False, announce=str)
    first, second = viewers
    assert asked == [(Drop(person=9),), (Drop(person=4),)]
    assert second.panel.edits.applied == (Drop(person=4),) and len(second.record.people) == 1
    assert first.stage.address == second.stage.address
    # While no server is there, the window asks for it in vain.
    assert [error for error in windows[0].errors if "ERR_CONNECTION_REFUSED" not in error] == []
