"""Places and things: sound meshes, free floors, closed walls, light from panoramas."""

from pathlib import Path

import numpy as np
import pytest

from unish.errors import InputError
from unish.lab.synthetic.clip import PLACES
from unish.lab.synthetic.forms import make_cushion, make_rods, make_rounded_box, make_tube
from unish.lab.synthetic.grounds import make_ground
from unish.lab.synthetic.panoramas import develop_sky, read_radiance
from unish.lab.synthetic.rooms import SIZES, make_room
from unish.lab.synthetic.shapes import Paint
from unish.lab.synthetic.stage import Furnishing, KeepOut, Stage
from unish.lab.synthetic.textures import make_texture_bank
from unish.lab.synthetic.walls import Opening, Wall, make_wall
from unish.render.scene import Mesh


def build(kind: str, seed: int, people: np.ndarray) -> Stage:
    maker = make_room if kind in SIZES else make_ground
    return maker(np.random.default_rng(seed), make_texture_bank(0), kind, people, [])


def assert_sound(mesh: Mesh) -> None:
    assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
    assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
    lengths = np.linalg.norm(mesh.normals, axis=1)
    assert (((lengths > 0.99) & (lengths < 1.01)) | (lengths < 0.02)).all()
    assert mesh.colours.min() >= 0 and mesh.colours.max() <= 1.0
    assert mesh.layers.min() >= -1 and mesh.layers.max() < len(make_texture_bank(0).layers)


@pytest.mark.long
@pytest.mark.parametrize("kind", PLACES)
def test_places_are_sound_and_leave_the_floor_of_people_free(kind: str) -> None:
    for seed in range(4):
        people = np.random.default_rng(seed).normal(0, 0.7, (6, 2))
        stage = build(kind, seed, people)
        assert_sound(stage.shell)
        np.testing.assert_allclose(stage.ground(people), 0, atol=1e-9)
        for prop in stage.props:
            assert_sound(prop.mesh)
            if prop.low[1] <= 2.1:
                flat = np.clip(people, prop.low[[0, 2]], prop.high[[0, 2]])
                assert np.linalg.norm(flat - people, axis=1).min() >= 0.45
        assert (stage.low < stage.high).all()


@pytest.mark.long
@pytest.mark.parametrize("kind", PLACES)
def test_a_place_is_the_same_whatever_was_made_before(kind: str) -> None:
    first = build(kind, 5, np.zeros((0, 2)))
    build("room", 6, np.zeros((0, 2)))
    second = build(kind, 5, np.zeros((0, 2)))
    np.testing.assert_array_equal(first.shell.vertices, second.shell.vertices)
    assert len(first.props) == len(second.props)
    for one, other in zip(first.props, second.props, strict=True):
        np.testing.assert_array_equal(one.mesh.vertices, other.mesh.vertices)
        np.testing.assert_array_equal(one.mesh.colours, other.mesh.colours)


@pytest.mark.long
def test_furniture_stays_inside_rooms_and_apart() -> None:
    stage = build("room", 2, np.zeros((0, 2)))
    low, high = stage.low[[0, 2]] - 0.2, stage.high[[0, 2]] + 0.2
    for prop in stage.props:
        assert (prop.low[[0, 2]] >= low - 1e-4).all() and (prop.high[[0, 2]] <= high + 1e-4).all()


def test_what_does_not_fit_is_not_added() -> None:
    box = make_rounded_box((1, 1, 1), 0.1, Paint(), (0, 0.5, 0))
    stock = Furnishing([], KeepOut(centres=np.array([[3.0, 3.0]]), radius=0.5), np.full(2, -4.0), np.full(2, 4.0))
    assert stock.add([box]) and not stock.add([box])
    beside = make_rounded_box((1, 1, 1), 0.1, Paint(), (2, 0.5, 0))
    assert stock.add([beside, box]) and len(stock.props) == 2
    assert not stock.add([make_rounded_box((1, 1, 1), 0.1, Paint(), (3, 0.5, 3))])
    assert not stock.add([make_rounded_box((1, 1, 1), 0.1, Paint(), (3.8, 0.5, 0))])


def test_walls_cover_all_but_their_openings() -> None:
    holes = (
        Opening(kind="door", left=0.5, right=1.5, low=0.0, high=2.0),
        Opening(kind="window", left=2.0, right=3.5, low=1.0, high=2.2),
    )
    wall = Wall(corner=np.array([1.0, 0.0, 2.0]), yaw=0.7, length=4.0, openings=holes)
    mesh = make_wall(wall, 2.5, Paint())
    a, b, c = (mesh.vertices[mesh.faces[:, corner]].astype(np.float64) for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(4.0 * 2.5 - 2.0 - 1.5 * 1.2, rel=1e-5)


def test_round_shapes_have_the_sizes_asked_for() -> None:
    box = make_rounded_box((1, 2, 3), 0.2, Paint(), (1, 0, 0))
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), [1, 2, 3], atol=1e-6)
    ball = make_cushion((0.5, 0.5, 0.5), Paint(), 1, 1)
    np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=1), 0.5, atol=1e-6)
    np.testing.assert_allclose(ball.normals, ball.vertices / 0.5, atol=1e-5)
    path = np.array([[0, 0, 0], [1, 2, 0.5]], np.float64)
    for tube in (make_tube(path, 0.1, Paint()), make_rods(path[:1], path[1:], 0.1, Paint())):
        along = (path[1] - path[0]) / np.linalg.norm(path[1] - path[0])
        away = tube.vertices - np.outer(tube.vertices @ along, along)
        np.testing.assert_allclose(np.linalg.norm(away, axis=1), 0.1, atol=1e-5)


def write_radiance(path: Path, pixels: np.ndarray, coded: bool) -> None:
    """RGBE by the format's description: shared exponent of the largest channel, runs of equal and of other bytes."""
    top = np.maximum(pixels.max(-1), 1e-30)
    exponent = np.floor(np.log2(top)).astype(int) + 1
    rgbe = np.concatenate([pixels * np.exp2(8.0 - exponent)[..., None], (exponent + 128)[..., None]], -1).astype(
        np.uint8
    )
    height, width = pixels.shape[:2]
    body = b""
    for row in rgbe:
        if not coded:
            body += row.tobytes()
            continue
        body += bytes([2, 2, width >> 8, width & 255])
        for channel in row.T:
            half = width // 2
            body += (
                bytes([128 + half, channel[0]])
                if (channel[:half] == channel[0]).all()
                else bytes([half]) + channel[:half].tobytes()
            )
            body += bytes([width - half]) + channel[half:].tobytes()
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + f"-Y {height} +X {width}\n".encode() + body)


@pytest.mark.parametrize("coded", [False, True])
def test_radiance_pictures_are_read_back(tmp_path: Path, coded: bool) -> None:
    pixels = np.random.default_rng(0).uniform(0.01, 30, (6, 20, 3))
    pixels[2:, :10] = 0.7
    write_radiance(tmp_path / "sky.hdr", pixels, coded)
    # Eight bits of mantissa for the largest channel: at most half a step of it.
    error = np.abs(read_radiance(tmp_path / "sky.hdr") - pixels) / pixels.max(-1, keepdims=True)
    assert error.max() <= 1 / 256
    for damage in (b"", b"#?RADIANCE\n\n+Y 2 +X 2\n", (tmp_path / "sky.hdr").read_bytes()[:-30]):
        (tmp_path / "bad.hdr").write_bytes(damage)
        with pytest.raises(InputError):
            read_radiance(tmp_path / "bad.hdr")


@pytest.mark.long
def test_the_light_of_a_panorama_comes_from_its_sun(tmp_path: Path) -> None:
    sky = np.full((32, 64, 3), [0.2, 0.3, 0.5])
    sky[8, 16] = 500.0  # 43 degrees up, a quarter of the way around
    write_radiance(tmp_path / "noon.hdr", sky, True)
    _, light = develop_sky(read_radiance(tmp_path / "noon.hdr"), 16, 3)
    up, turn = np.radians(90 - 8.5 * 180 / 32), np.radians(16.5 * 360 / 64)
    expected = [np.cos(up) * np.cos(turn), np.sin(up), np.cos(up) * np.sin(turn)]
    np.testing.assert_allclose(light.sun_direction, expected, atol=1e-6)
    assert light.sun_colour.min() > 0 and light.sky_colour.argmax() == 2
    bank = make_texture_bank(0, str(tmp_path))
    assert len(bank.skies) == 1 and bank.pick(np.random.default_rng(0), "panorama") == bank.skies[0].layer
