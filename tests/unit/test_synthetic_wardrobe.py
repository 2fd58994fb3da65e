"""Clothes with a geometry of their own: outside the body, at rest on it, the same for the same numbers."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from unish.lab.synthetic import SynthConfig, make_clip
from unish.lab.synthetic.motion import sample_motion
from unish.lab.synthetic.people import _sample_shape, load_cast_body, rest_params
from unish.lab.synthetic.textures import make_texture_bank
from unish.lab.synthetic.truth import split_ids
from unish.lab.synthetic.wardrobe import PART_STEP, Outfit, Part
from unish.lab.synthetic.wardrobe.anatomy import load_anatomy
from unish.lab.synthetic.wardrobe.dressing import dress_person
from unish.lab.synthetic.wardrobe.surfaces import trim
from unish.render.scene import vertex_normals
from unish.structs import BodyParams

PEOPLE = range(12)
CLOSE = 1 / 480
"""Seconds between frames in which nobody moves far."""


@dataclass(frozen=True)
class Dressed:
    outfit: Outfit
    body_vertices: np.ndarray
    surface: np.ndarray
    rest: BodyParams

    def of_part(self, part: Part) -> np.ndarray:
        return self.outfit.looks.ids // PART_STEP == part


@functools.lru_cache
def dress(number: int, frames: int = 4, step: float = 0.3) -> Dressed:
    rng = np.random.default_rng([3, number])
    body, body_map = load_cast_body("free")
    betas = _sample_shape(rng, body)
    outfit = dress_person(rng, body, body_map, betas, make_texture_bank(0), 5)
    motion = sample_motion(rng, torch.arange(frames).double() * step)
    params = BodyParams(
        betas=betas.expand(frames, 10),
        global_orient=motion.global_orient.float(),
        body_pose=motion.body_pose.float(),
        transl=motion.root.float() + torch.tensor([0.0, 1.0, 0.0]),
    )
    vertices = body.vertices(params).numpy()
    return Dressed(outfit, vertices, outfit.pose(body, params, vertices), rest_params(betas[None]))


@pytest.mark.long
@pytest.mark.parametrize("number", PEOPLE)
def test_a_dressed_person_is_one_sound_mesh(number: int) -> None:
    dressed = dress(number)
    looks = dressed.outfit.looks
    assert dressed.surface.shape == (4, len(looks.vertices), 3) and np.isfinite(dressed.surface).all()
    assert looks.faces.min() >= 0 and looks.faces.max() < len(looks.vertices)
    assert (looks.ids[looks.faces] == looks.ids[looks.faces[:, :1]]).all()
    person, parts = split_ids(looks.ids[None])
    assert (person == 5).all() and {Part.SKIN, Part.CLOTHES} <= set(np.unique(parts))
    assert 10_000 < len(looks.faces) < 45_000


@pytest.mark.long
@pytest.mark.parametrize("number", PEOPLE)
def test_cloth_lies_outside_the_skin_and_near_it(number: int) -> None:
    """Every cloth point is in front of the skin point that it was lifted from, by what clothes are thick."""
    dressed = dress(number)
    outfit = dressed.outfit
    start = len(outfit.skin)
    for layer in outfit.cloth:
        size = len(layer.thickness)
        cloth = dressed.surface[:, start : start + size]
        start += size
        faces = outfit.anatomy.faces.astype(np.int32)
        normals = [vertex_normals(vertices, faces) for vertices in dressed.body_vertices]
        for frame in range(len(cloth)):
            skin, outward = layer.points @ dressed.body_vertices[frame], layer.points @ normals[frame]
            lift = ((cloth[frame] - skin) * outward).sum(1)
            # Normals are smoothed before cloth is lifted; in sharp folds of the skin the two kinds disagree.
            assert (lift > 0).mean() > 0.99
            assert 0.003 < np.median(np.linalg.norm(cloth[frame] - skin, axis=1)) < 0.06


@pytest.mark.long
@pytest.mark.parametrize("number", PEOPLE)
def test_folds_do_not_flicker(number: int) -> None:
    """Between frames 2 ms apart cloth moves hardly farther than the body does.

    A skirt's points that a leg has just reached from within may be pushed by 9 mm at once (measured): one in 200.
    """
    dressed = dress(number, step=CLOSE)
    cloth = np.quantile(np.abs(np.diff(dressed.surface[:, dressed.of_part(Part.CLOTHES)], axis=0)), 0.995)
    assert cloth < 1.5 * np.abs(np.diff(dressed.body_vertices, axis=0)).max() + 0.001


@pytest.mark.parametrize("number", PEOPLE)
def test_shoes_stand_where_the_bare_feet_stand(number: int) -> None:
    dressed = dress(number)
    shoes = dressed.of_part(Part.SHOES)
    if not shoes.any():
        pytest.skip("barefoot")
    body, _ = load_cast_body("free")
    bare = body.vertices(dressed.rest).numpy()
    lower = bare[..., 1].min() - dressed.outfit.pose(body, dressed.rest, bare)[:, shoes, 1].min()
    assert 0 <= lower <= 0.002


@pytest.mark.long
def test_the_same_numbers_make_the_same_clothes_and_others_make_others() -> None:
    first = dress(0)
    dress.cache_clear()
    np.testing.assert_array_equal(first.surface, dress(0).surface)
    assert len({dress(number).surface.shape[1] for number in PEOPLE}) == len(PEOPLE)


def test_trimming_keeps_exactly_what_is_inside() -> None:
    anatomy = load_anatomy("free")
    rest = anatomy.fine.points @ anatomy.rest
    cut = trim(anatomy.fine, [anatomy.rest[:, 1]])
    kept = cut.points @ anatomy.rest
    assert kept[:, 1].max() < 1e-6
    edges = cut.find_borders(anatomy.fine)
    on_cut = np.abs(kept[edges][..., 1]).max(1) < 1e-6
    assert on_cut.sum() > 20

    def area(at: np.ndarray, of: np.ndarray) -> float:
        a, b, c = at[of].swapaxes(0, 1)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())

    other = trim(anatomy.fine, [-anatomy.rest[:, 1]])
    whole = area(rest, anatomy.fine.faces)
    assert area(kept, cut.faces) + area(other.points @ anatomy.rest, other.faces) == pytest.approx(whole, rel=1e-4)


def test_several_fields_cut_like_one_after_the_other() -> None:
    """A patch between four planes: all points are inside, and its border is one closed line of edges of one face."""
    anatomy = load_anatomy("free")
    x, y, z = anatomy.rest.T
    middle = anatomy.joints[9, 1]
    cut = trim(anatomy.fine, [x - 0.08, -x - 0.08, y - middle - 0.1, middle - 0.1 - y, -z])
    patch = cut.points @ anatomy.rest
    assert np.abs(patch[:, 0]).max() < 0.08 + 1e-6 and np.abs(patch[:, 1] - middle).max() < 0.1 + 1e-6
    np.testing.assert_array_equal(np.unique(cut.faces), np.arange(len(patch)))
    np.testing.assert_allclose(cut.points.sum(axis=1), 1, atol=1e-5)
    edges = np.sort(np.concatenate([cut.faces[:, [0, 1]], cut.faces[:, [1, 2]], cut.faces[:, [2, 0]]]), axis=1)
    single, count = np.unique(edges, axis=0, return_counts=True)
    borders = cut.find_borders(anatomy.fine)
    np.testing.assert_array_equal(np.unique(np.sort(borders, axis=1), axis=0), single[count == 1])
    assert (np.bincount(borders.ravel())[np.unique(borders)] == 2).all()


def test_regions_are_measured_like_the_whole_body() -> None:
    """Away from its border a region has the normals of the body, and smoothing the shape space smooths the body."""
    anatomy, (body, _) = load_anatomy("free"), load_cast_body("free")
    normals = vertex_normals(anatomy.rest, anatomy.faces.astype(np.int32))
    for region, inner in (
        (anatomy.clothed, (anatomy.arm < 1.0) & (anatomy.leg < 0.95) & (anatomy.leg > 0)),
        (anatomy.head, anatomy.rest[:, 1] > anatomy.joints[15, 1]),
        (anatomy.feet, anatomy.leg > 0.75),
    ):
        found = region.normals(anatomy.rest[region.index][..., None])[..., 0]
        kept = inner[region.index]
        assert kept.sum() == inner.sum()
        np.testing.assert_allclose(found[kept], normals[region.index[kept]], atol=1e-5)
    betas = _sample_shape(np.random.default_rng(2), body)
    own = body.shape(betas).vertices.numpy()[anatomy.head.index]
    np.testing.assert_allclose(
        anatomy.jaw(betas.numpy())[anatomy.rest[anatomy.head.index, 1] > anatomy.joints[15, 1]],
        anatomy.head.smooth(own, 2)[anatomy.rest[anatomy.head.index, 1] > anatomy.joints[15, 1]],
        atol=1e-5,
    )


@pytest.mark.long
def test_parts_of_pixels_agree_with_ids() -> None:
    config = SynthConfig(size=(96, 128), num_frames=2, min_people=1, max_people=3, samples=1)
    seen = set()
    for index in range(6):
        clip = make_clip(21, index, config)
        parts = clip.extra["truth_parts"]
        np.testing.assert_array_equal(parts == Part.SCENE, clip.person_masks < 0)
        assert clip.person_masks.max() < clip.num_people
        seen |= set(np.unique(parts))
        bare = make_clip(21, index, SynthConfig(**{**vars(config), "clothes": False}))
        assert set(np.unique(bare.extra["truth_parts"])) <= {Part.SCENE, Part.SKIN}
    assert {Part.SKIN, Part.CLOTHES, Part.HAIR} <= seen


def test_children_and_adults_are_drawn() -> None:
    rng = np.random.default_rng(0)
    body, _ = load_cast_body("free")
    betas = torch.stack([_sample_shape(rng, body) for _ in range(300)])
    heights = body.standing_height(betas)
    small = heights < 1.4
    assert 0.05 < float(small.float().mean()) < 0.25 and float(heights.min()) < 1.05 and float(heights.max()) > 1.85
    joints = body.rest_joints(betas)
    head = (body.shape(betas).vertices[..., 1].amax(-1) - joints[:, 12, 1]) / heights
    assert float(head[small].mean()) > float(head[~small].mean()) + 0.01, "children have larger heads for their size"
