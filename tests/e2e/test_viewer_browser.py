"""The viewer in a real browser: what is drawn, what a click measures, what is sent, who may connect."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from golden_record import make_golden
from small_record import make_record
from unish.body import Body
from unish.edits import Drop, Edit
from unish.errors import InputError
from unish.structs import Reconstruction
from unish.viewer.editing import EditList
from viewer_browser import (
    FLOOR_M,
    WALL_M,
    Window,
    greenish,
    make_true_world,
    reddish,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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


def test_edits_are_applied_and_shown(browser: Any, viser: Any, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is said; what fits is shown by another server on the same port, to which the window comes, and
    goes to the step at which it was.
    """
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

    begin_timeline = viser.Viser4dServer._attach_session

    def begin_late(server: Any, client: Any) -> None:
        """The timeline of a window begins in a thread of its own, whenever that comes."""
        sleep(0.5)
        begin_timeline(server, client)

    monkeypatch.setattr(viser.Viser4dServer, "_attach_session", begin_late)
    monkeypatch.setattr(live, "LiveViewer", Watched)
    monkeypatch.setattr(time, "sleep", ask)
    live.serve(before, body, title="x", edits=EditList(applied=()), apply=apply, open_browser=False, announce=str)
    first, second = viewers
    assert asked == [(Drop(person=9),), (Drop(person=4),)]
    assert second.panel.edits.applied == (Drop(person=4),) and len(second.record.people) == 1
    assert first.stage.address == second.stage.address
    # While no server is there, the window asks for it in vain.
    assert [error for error in windows[0].errors if "ERR_CONNECTION_REFUSED" not in error] == []
