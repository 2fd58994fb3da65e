"""The OpenGL renderer against its plain twin, and what happens when it cannot be had."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from unish.errors import DegradedResultWarning, InputError
from unish.lab.synthetic.cameras import look_matrices
from unish.lab.synthetic.shapes import Paint, make_blob, make_box, make_quad, place
from unish.render import SKY_ID, Frame, Lighting, Renderer, Scene, make_renderer
from unish.render.drawables import BLOCK
from unish.render.egl import DEVICE_VARIABLE, fit_shadow, view_planes
from unish.render.scene import MAX_LAMPS, empty_mesh, join_meshes

SIZE = (60, 80)
INTRINSICS = np.array([[62.0, 0, 41.0], [0, 62.0, 29.0], [0, 0, 1]])


def make_scene(shadows: bool = False, num_lamps: int = 2) -> Scene:
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
        lamp_positions=np.array([[0, 2.5, 0], [2, 2, 2], [-2, 1, -1], [1, 1, -2]], np.float32)[:num_lamps],
        lamp_colours=np.array([[0.5, 0.5, 0.5], [0.2, 0.4, 0.6], [0, 0, 0], [0.9, 0.1, 0.1]], np.float32)[:num_lamps],
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


def shoot(renderer: Renderer, scene: Scene, yaw: float = 0.1) -> Frame:
    renderer.load(scene)
    return renderer.render(scene.people.vertices, scene.people.normals, camera(yaw), INTRINSICS, SIZE)


@pytest.mark.egl
@pytest.mark.parametrize(("yaw", "num_lamps"), [(0.1, 2), (-0.4, MAX_LAMPS), (2.0, 1), (0.1, 0)])
def test_both_renderers_see_the_same(yaw: float, num_lamps: int) -> None:
    scene = make_scene(num_lamps=num_lamps)
    plain, egl = shoot(make_renderer("plain"), scene, yaw), shoot(egl_renderer(), scene, yaw)
    same = plain.ids == egl.ids
    assert same.mean() > 0.995  # only pixels whose centre is on an outline may differ
    near = same & (plain.depth > 0)
    error = np.abs(plain.depth - egl.depth)[near] / plain.depth[near]
    assert np.median(error) < 1e-5 and np.quantile(error, 0.995) < 2e-3
    assert (plain.depth[same & (plain.ids == SKY_ID)] == 0).all() and (egl.depth[egl.ids == SKY_ID] == 0).all()
    lit = near & (np.linalg.norm(plain.normals, axis=-1) > 0.5)
    assert np.quantile((plain.normals * egl.normals).sum(-1)[lit], 0.01) > 0.99
    np.testing.assert_array_less(np.abs(np.linalg.norm(egl.normals[lit], axis=-1) - 1), 1e-4)  # int16: 3e-5 per axis
    smooth = near & (plain.ids >= 0)  # untextured: nearest and filtered texels cannot differ
    if smooth.any():
        assert np.abs(plain.colour.astype(int) - egl.colour)[smooth].mean() < 2


@pytest.mark.egl
def test_people_move_without_loading_again() -> None:
    scene, renderer = make_scene(), egl_renderer()
    renderer.load(scene)
    before = renderer.render(scene.people.vertices, scene.people.normals, camera(), INTRINSICS, SIZE)
    moved = scene.people.vertices + np.array([0.8, 0, 0], np.float32)
    after = renderer.render(moved, scene.people.normals, camera(), INTRINSICS, SIZE)
    columns = [np.nonzero(frame.ids == 0)[1].mean() for frame in (before, after)]
    assert columns[1] < columns[0] - 5  # the camera looks along +z with y up: stage +x is to the left
    with pytest.raises(ValueError, match="vertices"):
        renderer.render(moved[:-1], scene.people.normals[:-1], camera(), INTRINSICS, SIZE)


@pytest.mark.egl
@pytest.mark.parametrize("samples", [1, 4])
def test_shadows_only_darken(samples: int) -> None:
    renderer = egl_renderer(samples)
    bright, dark = (shoot(renderer, make_scene(shadows)).colour.astype(int) for shadows in (False, True))
    change = dark - bright
    assert change.max() <= 1 and (change < -10).mean() > 0.01


@pytest.mark.egl
def test_people_cast_the_shadows_that_they_would_cast_as_objects() -> None:
    """The maps differ in how fine they are, so edges differ: 0.14 % of the floor, where the shadows cover 2.9 %."""
    scene, renderer = make_scene(shadows=True), egl_renderer()
    moving = shoot(renderer, scene)
    still = shoot(renderer, replace(scene, objects=join_meshes([scene.objects, scene.people]), people=empty_mesh()))
    lonely = shoot(renderer, replace(scene, people=empty_mesh()))
    floor = (moving.ids == -1) & (lonely.ids == -1)
    differ = np.abs(moving.colour.astype(int) - still.colour).max(-1)
    cast = np.abs(moving.colour.astype(int) - lonely.colour).max(-1) > 12
    assert cast[floor].mean() > 0.02
    assert (differ > 12)[floor].mean() < 0.25 * cast[floor].mean()


@pytest.mark.egl
def test_smooth_edges_change_the_colours_of_edges_alone() -> None:
    """Light that is added to the finished pixels is the light that is added while drawing, but for 8-bit albedo."""
    sharp, smooth = (shoot(egl_renderer(samples), make_scene(shadows=True)) for samples in (1, 4))
    np.testing.assert_array_equal(sharp.depth, smooth.depth)
    np.testing.assert_array_equal(sharp.ids, smooth.ids)
    inner = sharp.ids[2:-2, 2:-2] >= 0  # people are untextured: only their outlines may change
    for rows, columns in ((0, 2), (4, 2), (2, 0), (2, 4)):
        inner &= sharp.ids[rows : rows + SIZE[0] - 4, columns : columns + SIZE[1] - 4] >= 0
    difference = np.abs(sharp.colour.astype(int) - smooth.colour)[2:-2, 2:-2][inner]
    assert len(difference) > 50 and np.median(difference) <= 1


@pytest.mark.egl
@pytest.mark.parametrize("samples", [1, 4])
def test_gloss_adds_light_and_leaves_the_truth_alone(samples: int) -> None:
    scene, renderer = make_scene(), egl_renderer(samples)
    polished = replace(scene.shell, gloss=np.full(len(scene.shell.vertices), 0.7, np.float32))
    matt, glossy = shoot(renderer, scene), shoot(renderer, replace(scene, shell=polished))
    np.testing.assert_array_equal(matt.depth, glossy.depth)
    np.testing.assert_array_equal(matt.normals, glossy.normals)
    change = glossy.colour.astype(int) - matt.colour
    shell = (matt.ids == -1) & (matt.depth > 0)
    assert change.min() >= -1 and change[shell].max() > 20
    if samples == 1:  # otherwise its edges mix with the floor
        assert (change[matt.ids == SKY_ID] == 0).all()  # what shines by itself does not gleam


@pytest.mark.egl
def test_what_is_left_out_is_never_seen() -> None:
    """Many small things on all sides, one mesh: the picture is that of the plain renderer, which leaves out nothing."""
    rng = np.random.default_rng(0)
    spots = rng.uniform(-5, 5, (60, 2))
    things = [place(make_box((0.5, 1, 0.4), Paint(), (0, 0.5, 0)), (x, 0, z), x) for x, z in spots]
    scene = replace(make_scene(), objects=join_meshes(things))
    assert len(scene.objects.faces) > 10 * BLOCK and len(scene.objects.faces) % BLOCK
    renderer, twin = egl_renderer(), make_renderer("plain")
    for yaw in (0.0, 1.5, 3.0, 4.5):
        plain, egl = shoot(twin, scene, yaw), shoot(renderer, scene, yaw)
        assert (plain.ids == egl.ids).mean() > 0.995
        both = (plain.depth > 0) & (egl.depth > 0)
        assert (np.abs(plain.depth - egl.depth)[both] < 2e-3 * plain.depth[both]).mean() > 0.99


def test_the_planes_of_the_view_hold_what_the_picture_shows() -> None:
    points = np.random.default_rng(1).uniform(-6, 6, (4000, 3))
    local = points @ camera()[:3, :3].T + camera()[:3, 3]
    pixels = (local @ INTRINSICS.T)[:, :2] / local[:, 2:]
    shown = (local[:, 2] > 0.02) & (pixels > 0).all(1) & (pixels < np.array(SIZE[::-1])).all(1)
    planes = view_planes(camera(), INTRINSICS, SIZE)
    np.testing.assert_array_equal((points @ planes[:, :3].T + planes[:, 3] >= 0).all(1), shown)
    assert 0.02 < shown.mean() < 0.5


@pytest.mark.egl
def test_two_renderers_do_not_disturb_each_other() -> None:
    scene, first = make_scene(), egl_renderer()
    alone = shoot(first, scene)
    shoot(egl_renderer(samples=4), make_scene(shadows=True, num_lamps=0), yaw=0.4)
    beside = first.render(scene.people.vertices, scene.people.normals, camera(), INTRINSICS, SIZE)
    for name, values in vars(alone).items():
        np.testing.assert_array_equal(values, getattr(beside, name), err_msg=name)


def test_fitted_shadows_hold_all_vertices() -> None:
    people = make_scene().people.vertices
    matrix, texel = fit_shadow(make_scene().lighting, people)
    inside = people @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(inside).max() < 1 and np.abs(inside).max(0).max() > 0.95
    assert 0 < texel < 0.02  # two people within 2.5 m


def test_more_lamps_than_the_renderers_know_are_refused() -> None:
    light = make_scene().lighting
    lamps = np.zeros((MAX_LAMPS + 1, 3), np.float32)
    with pytest.raises(ValueError, match="at most 4"):
        replace(light, lamp_positions=lamps, lamp_colours=lamps)


def test_a_device_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "gpu")
    with pytest.raises(InputError, match=DEVICE_VARIABLE):
        make_renderer("egl")


def test_without_moderngl_the_plain_renderer_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.warns(DegradedResultWarning, match="moderngl"):
        assert make_renderer("auto").name == "plain"
    with pytest.raises(InputError, match="pip install"):
        make_renderer("egl")
