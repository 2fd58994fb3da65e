"""The OpenGL renderer against its plain twin, and what happens when it cannot be had."""

import sys

import numpy as np
import pytest

from unish.errors import DegradedResultWarning, InputError
from unish.render import SKY_ID, Lighting, Renderer, Scene, make_renderer
from unish.render.scene import join_meshes
from unish.synthetic.cameras import look_matrices
from unish.synthetic.shapes import Paint, make_blob, make_box, make_quad, place

SIZE = (60, 80)
INTRINSICS = np.array([[62.0, 0, 41.0], [0, 62.0, 29.0], [0, 0, 1]])


def make_scene(shadows: bool = False) -> Scene:
    rng = np.random.default_rng(3)
    textures = rng.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    floor = make_quad((-6, 0, -6), (12, 0, 0), (0, 0, 12), Paint(layer=1, tile=4.0))
    sky = make_box((300, 300, 300), Paint(colour=(0.3, 0.5, 0.9), lit=False, identity=SKY_ID))
    box = place(make_box((1, 1, 1), Paint(colour=(0.8, 0.2, 0.2)), (0, 0.5, 0)), (1.2, 0, 0.3), 0.4)
    person = place(make_blob(rng, (0.3, 0.8, 0.3), Paint(colour=(0.9, 0.7, 0.5), identity=0)), (-0.5, 0.8, 0))
    other = place(make_blob(rng, (0.3, 0.8, 0.3), Paint(colour=(0.2, 0.7, 0.5), identity=1)), (-0.9, 0.8, 1.0))
    light = Lighting(
        sun_direction=np.array([0.6, 0.8, 0], np.float32), sun_colour=np.full(3, 0.6, np.float32),
        sky_colour=np.full(3, 0.4, np.float32), ground_colour=np.full(3, 0.2, np.float32),
        lamp_positions=np.array([[0, 2.5, 0], [2, 2, 2]], np.float32), lamp_colours=np.full((2, 3), 0.5, np.float32),
        fog_colour=np.full(3, 0.5, np.float32), fog_density=0.02, shadow_centre=np.zeros(3, np.float32),
        shadow_radius=6.0 if shadows else 0.0, up=np.array([0, 1, 0], np.float32),
    )  # fmt: skip
    return Scene(
        shell=join_meshes([floor, sky]),
        objects=box,
        people=join_meshes([person, other]),
        lighting=light,
        textures=textures,
    )


def egl_renderer(samples: int = 1) -> Renderer:
    try:
        return make_renderer("egl", samples=samples)
    except InputError as error:
        pytest.skip(str(error))


def camera(yaw: float = 0.1) -> np.ndarray:
    position = np.array([[0.4, 1.5, -3.5]])
    return np.linalg.inv(look_matrices(position, np.array([yaw]), np.array([0.25]), np.array([0.05]))[0])


@pytest.mark.egl
@pytest.mark.parametrize("yaw", [0.1, -0.4, 2.0])
def test_both_renderers_see_the_same(yaw: float) -> None:
    scene = make_scene()
    frames = []
    for renderer in (make_renderer("plain"), egl_renderer()):
        renderer.load(scene)
        frames.append(renderer.draw(scene.people.vertices, scene.people.normals, camera(yaw), INTRINSICS, SIZE))
    plain, egl = frames
    same = plain.ids == egl.ids
    assert same.mean() > 0.995  # only pixels whose centre is on an outline may differ
    near = same & (plain.depth > 0)
    error = np.abs(plain.depth - egl.depth)[near] / plain.depth[near]
    assert np.median(error) < 1e-5 and np.quantile(error, 0.995) < 2e-3
    assert (plain.depth[same & (plain.ids == SKY_ID)] == 0).all() and (egl.depth[egl.ids == SKY_ID] == 0).all()
    lit = near & (np.linalg.norm(plain.normals, axis=-1) > 0.5)
    assert np.quantile((plain.normals * egl.normals).sum(-1)[lit], 0.01) > 0.99
    smooth = near & (plain.ids >= 0)  # untextured: nearest and filtered texels cannot differ
    if smooth.any():
        assert np.abs(plain.colour.astype(int) - egl.colour)[smooth].mean() < 2


@pytest.mark.egl
def test_people_move_without_loading_again() -> None:
    scene, renderer = make_scene(), egl_renderer()
    renderer.load(scene)
    before = renderer.draw(scene.people.vertices, scene.people.normals, camera(), INTRINSICS, SIZE)
    moved = scene.people.vertices + np.array([0.8, 0, 0], np.float32)
    after = renderer.draw(moved, scene.people.normals, camera(), INTRINSICS, SIZE)
    columns = [np.nonzero(frame.ids == 0)[1].mean() for frame in (before, after)]
    assert columns[1] < columns[0] - 5  # the camera looks along +z with y up: stage +x is to the left
    with pytest.raises(ValueError, match="vertices"):
        renderer.draw(moved[:-1], scene.people.normals[:-1], camera(), INTRINSICS, SIZE)


@pytest.mark.egl
def test_shadows_only_darken() -> None:
    pictures = []
    renderer = egl_renderer(samples=4)
    for shadows in (False, True):
        scene = make_scene(shadows)
        renderer.load(scene)
        pictures.append(renderer.draw(scene.people.vertices, scene.people.normals, camera(), INTRINSICS, SIZE).colour)
    change = pictures[1].astype(int) - pictures[0]
    assert change.max() <= 1 and (change < -10).mean() > 0.01


def test_without_moderngl_the_plain_renderer_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.warns(DegradedResultWarning, match="moderngl"):
        assert make_renderer("auto").name == "plain"
    with pytest.raises(InputError, match="pip install"):
        make_renderer("egl")
