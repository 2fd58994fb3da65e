"""Laws of the cast of a clip: feet that carry stand still, nobody is in the floor, in a seat or in somebody else."""

import functools

import numpy as np
import pytest

from unish.lab.synthetic import SynthConfig
from unish.lab.synthetic.clip import Shooting, plan_clip
from unish.lab.synthetic.people import load_cast_body
from unish.lab.synthetic.placement import arrange_people, bodies_touch
from unish.lab.synthetic.seats import needs_seat

SEED = 29
FEW, MANY = range(10), range(10, 50)
INDICES = [*FEW, *(pytest.param(index, marks=pytest.mark.long) for index in MANY)]
RATES = (6.0, 15.0, 24.0, 30.0, 60.0)


@functools.lru_cache
def shoot(index: int) -> Shooting:
    config = SynthConfig(num_frames=8, fps=RATES[index % len(RATES)], min_people=1)
    return plan_clip(np.random.default_rng([SEED, index]), SEED, config)


@pytest.mark.slow
@pytest.mark.parametrize("index", INDICES)
def test_what_touches_the_floor_does_not_move(index: int) -> None:
    """Where a region touches in two frames, the vertices that touch in both move less than 5 mm (median of them).

    At six frames per second a foot may leave the floor and come back elsewhere in between.
    """
    body, _ = load_cast_body("free")
    for actor in shoot(index).actors:
        for region, vertices in enumerate(body.contact_vertices.values()):
            points = actor.vertices[:, vertices.numpy()]
            low = points[..., 1] < points[..., 1].min(axis=1, keepdims=True) + 0.003
            for frame in np.flatnonzero(actor.contacts[:-1, region] & actor.contacts[1:, region]):
                both = low[frame] & low[frame + 1]
                if not both.any():
                    continue  # it rolled on to other vertices
                moved = float(np.median(np.linalg.norm(points[frame + 1, both] - points[frame, both], axis=1)))
                stepped = index % len(RATES) == 0 and moved > 0.1
                assert moved < 0.005 or stepped, (actor.action, region, moved)


@pytest.mark.long
def test_people_are_on_the_floor_most_of_the_time() -> None:
    """Some foot or other part of them carries them in most frames: contacts are not only rare and exact.

    Who lies does so on the back or the belly, which are no contact regions.
    """
    upright = [actor for index in FEW for actor in shoot(index).actors if "lie" not in actor.action]
    touching = np.concatenate([actor.contacts.any(axis=1) for actor in upright])
    assert touching.mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("index", INDICES)
def test_nobody_is_inside_the_floor_or_a_thing(index: int) -> None:
    shooting = shoot(index)
    for actor in shooting.actors:
        assert actor.vertices[..., 1].min() > -0.01
        for prop in shooting.stage.props:
            if prop is not actor.seat:
                inside = ((actor.vertices > prop.low + 0.02) & (actor.vertices < prop.high - 0.02)).all(-1)
                assert not inside.any(), actor.action


@pytest.mark.parametrize("index", INDICES)
def test_nobody_is_inside_somebody_else(index: int) -> None:
    bodies = [actor.vertices[:, ::4] for actor in shoot(index).actors]
    for number, body in enumerate(bodies):
        assert not any(bodies_touch(body, other, apart=0.03) for other in bodies[:number])


@pytest.mark.parametrize("index", INDICES)
def test_who_would_fall_has_a_seat_that_holds(index: int) -> None:
    """The seat's top is next to the thighs: within a centimetre somewhere, and no vertex is in its boxes."""
    for actor in shoot(index).actors:
        if needs_seat(actor.joints).all():
            assert actor.seat is not None, actor.action
        if actor.seat is not None:
            tops = actor.seat.mesh.vertices[actor.seat.mesh.normals[:, 1] > 0.9]
            above = actor.vertices.reshape(-1, 3)
            over = ((above > actor.seat.low) & (above < actor.seat.high + 2))[:, [0, 2]].all(axis=1)
            gaps = above[over, 1][:, None] - np.unique(tops[:, 1])
            assert np.abs(gaps).min(axis=0).min() < 0.01


def test_groups_are_of_many_kinds_and_sizes() -> None:
    rng = np.random.default_rng(0)
    for count in range(7):
        for _ in range(20):
            spots = arrange_people(rng, count, 1.5)
            assert len(spots) == count
            assert all(np.linalg.norm(spot.away) == pytest.approx(1) for spot in spots)
