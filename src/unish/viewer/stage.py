"""A server that shows a drawing in the browser. No other module imports viser or viser4d.

viser4d reaches into private parts of viser, and so do seven places here; the extra ``view`` pins both exactly, and
``tests/e2e/test_viewer_browser.py`` fails where a new version behaves otherwise.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.viewer.drawing import Drawing
from unish.viewer.record import SceneRecord

HOST = "127.0.0.1"
_BLOCK_STEPS = 16
"""A window gets so many steps at once, and those before and after them: fewer are there sooner after a jump."""
_LEAVE_S = 5.0
_COME_BACK = """
(() => {
  // A page of its own, since the viewer's fails when its server ends. It waits until that server has ended: until then
  // the old one would answer.
  const page = `<!doctype html><meta charset="utf-8"><title>one moment</title>
    <body style="background:#141414;color:#eee;font:16px sans-serif"><p>The result is being drawn …</p><script>
    const since = Date.now();
    let ended = false;
    function answered() {
      if (ended || Date.now() - since > 10000) location.replace("${location.href}");
      else setTimeout(look, 100);
    }
    function failed() { ended = true; setTimeout(look, 200); }
    function look() { fetch("${location.origin}/", { cache: "no-store" }).then(answered, failed); }
    look();
    </scr` + `ipt>`;
  location.replace(URL.createObjectURL(new Blob([page], { type: "text/html" })));
})();
"""
"""What a window runs to come back to the server that takes this one's place."""


class Stage:
    """A server and the drawing on it.

    ``lock`` is held by whoever changes what stands on the server: what is changed while the timeline records a step
    would become a part of that step.
    """

    def __init__(self, server: Any, record: SceneRecord) -> None:
        self.server, self.record = server, record
        self.drawing = Drawing(record)
        self.lock = threading.RLock()
        self._ended = threading.Event()
        self._writer: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server.get_port()}"

    def show(self, group: str, shown: bool) -> None:
        """Show or hide a group of the drawing at every step."""
        with self.lock:
            self.drawing.groups[group].visible = shown

    def set_points(self, shot: int, xyz: Float32[ndarray, "N 3"], colours: UInt8[ndarray, "N 3"]) -> None:
        """Other scene points for a shot, counted from its centre; without any it is hidden, for viser wants some."""
        cloud = self.drawing.clouds[shot]
        with self.lock:
            cloud.visible = len(xyz) > 0
            if len(xyz):
                cloud.points, cloud.colors = xyz.astype(np.float16), colours

    def seek(self, client: Any, step: int) -> None:
        """Have a window show a step, if it is still there."""
        playback = self.server.get_client_playback(client.client_id)
        if playback is not None:
            playback.pause()
            playback.seek(step)

    def have_pages_come_back(self) -> None:
        """Have all windows leave this server, which is about to end, and load the one that takes its place."""
        from viser4d import _viser

        clients = list(self.server.get_clients().values())
        for client in clients:
            _viser.queue_client_message(client, _viser.run_javascript_message(_COME_BACK))
            client.flush()
        ended = time.monotonic() + _LEAVE_S
        while self.server.get_clients() and time.monotonic() < ended:
            time.sleep(0.05)

    def as_html(self) -> str:
        """The whole timeline as one page that plays by itself."""
        from viser4d import _export

        encode = _export._encode_array

        def encode_bytes_too(value: Any) -> Any:
            # Pictures of drawn cameras are bytes, which viser4d's export does not know.
            return encode(np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value)

        self.wait()
        with _replaced(_export, "_encode_array", encode_bytes_too):
            return str(self.server.as_html(dark_mode=True))

    def begin(self) -> None:
        """Draw step 0, and the other steps in a thread of their own: they are there a little later."""
        scene, record = self.server.scene, self.record
        # Shadows and an environment map cost seconds of shader compilation; without the hemisphere bodies are black.
        scene.configure_environment_map(hdri=None)
        scene.configure_default_lights(cast_shadow=False)
        scene.add_light_hemisphere("/light", intensity=2.0)
        scene.world_axes.visible = False
        scene.set_up_direction(record.shots[0].up)
        _place_first_camera(self.server, record)
        with self.server.at(0) as now:
            self.drawing.begin(scene, now.scene, functools.partial(_let_move, timeline=now.scene))
            self.drawing.go_to(0)
        self._writer = threading.Thread(target=self._write_steps, daemon=True)
        self._writer.start()

    def wait(self) -> None:
        """Until every step is drawn; what went wrong while they were is raised here."""
        if self._writer is not None:
            self._writer.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._ended.set()
        if self._writer is not None:
            self._writer.join()
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def _write_steps(self) -> None:
        try:
            for step in range(1, self.record.num_steps):
                if self._ended.is_set():
                    return
                with self.lock, self.server.at(step):
                    self.drawing.go_to(step)
            # What a block of steps begins with is put together once and kept, lest a jump wait until all steps before
            # it have been gone through.
            for block in range(-(-self.record.num_steps // self.server.block_size)):
                if self._ended.is_set():
                    return
                self.server._timeline.block_message(block)
        except Exception as error:
            self._failure = error


@contextlib.contextmanager
def open_stage(record: SceneRecord, *, port: int = 0) -> Iterator[Stage]:
    """A server on this machine's loopback with the record on it; it stops when the block ends.

    Its websocket answers pages of this very server alone, and nobody can have it opened to the outside.

    Args:
        port: 0 takes a free one.

    Raises:
        InputError: viser or viser4d is missing, or the port is taken.
    """
    try:
        import viser4d
        from viser4d import _timeline
    except ImportError:
        raise InputError("the viewer needs viser and viser4d; pip install 'unish[view]'") from None
    port = _free_port(port)
    origins = [f"http://{name}:{port}" for name in (HOST, "localhost")]
    # Rich panels are printed whatever ``verbose`` says.
    with _origins_checked(origins), contextlib.redirect_stdout(io.StringIO()), _no_port_override():
        server = viser4d.Viser4dServer(
            num_steps=record.num_steps,
            fps=record.fps,
            loop=True,
            host=HOST,
            port=port,
            verbose=False,
            label=record.title,
            show_share_button=False,
            streaming=viser4d.StreamingConfig(block_size=_BLOCK_STEPS),
        )
    server.request_share_url = lambda *args, **kwargs: None  # type: ignore[method-assign]
    stage = Stage(server, record)
    with _replaced(_timeline, "_MAX_CHECKPOINTS", record.num_steps):
        try:
            stage.begin()
            yield stage
        finally:
            stage.stop()


def _let_move(body: Any, timeline: Any) -> None:
    """Have what is changed of a skinned mesh that stands recorded in the timeline, and all of it at the next step.

    viser sends nothing that it holds for unchanged.
    """
    body._impl.api, body._impl.visible = timeline, None
    for bone in body.bones:
        bone._impl.wxyz[:] = bone._impl.position[:] = np.nan


def _free_port(port: int) -> int:
    """The port, or a free one for 0. viser would silently take another, and its own pages would then be refused."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise InputError(f"port {port} is taken; give another --port, or 0 for a free one") from None
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _origins_checked(origins: list[str]) -> contextlib.AbstractContextManager[None]:
    """viser's server answers pages of any site; websockets can refuse those of others, if it is told to."""
    import websockets.asyncio.server as websocket

    return _replaced(websocket, "serve", functools.partial(websocket.serve, origins=origins))  # type: ignore[arg-type]


@contextlib.contextmanager
def _no_port_override() -> Iterator[None]:
    """An environment variable of viser would take another port than the one whose pages are let in."""
    kept = os.environ.pop("_VISER_PORT_OVERRIDE", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["_VISER_PORT_OVERRIDE"] = kept


def _place_first_camera(server: Any, record: SceneRecord) -> None:
    """Behind the camera that filmed and above it, looking at the people, else at the middle of the scene."""
    shot = record.shots[0]
    people = [person.joint_positions[shot.steps, 0][person.shown[shot.steps]] for person in record.people]
    places = np.concatenate(people) if people else np.zeros((0, 3))
    target = np.median(places, axis=0) if len(places) else shot.centre.astype(np.float64)
    first = record.c2w[0]
    away = first[:3, 3] - target
    distance = float(np.linalg.norm(away))
    away = away / distance if distance > 1e-6 else -first[:3, 2]
    position = target + max(distance, 1.0) * (1.15 * away + 0.35 * shot.up + 0.6 * first[:3, 0])
    camera = server.initial_camera
    camera.position, camera.look_at, camera.up = position, target, shot.up
