"""Windows of a browser that shows the viewer or the static page, and a world whose sizes are known."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from small_record import make_record
from unish.body import Body
from unish.render.plain import render_mesh
from unish.structs import Reconstruction

SIZE, FOCAL, MIDDLE = (360, 640), 420.0, (300.0, 200.0)
WALL_M, FLOOR_M = 6.0, 1.4
PATIENCE_MS = 240_000
"""For what takes a second: machines that test may be busy."""


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
