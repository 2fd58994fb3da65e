"""At which frame of which shot something is known."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from unish.errors import InputError
from unish.passes.known_sizes import find_frame
from unish.passes.observations import Observations


@pytest.fixture
def seen() -> Mock:
    """Two shots of 2 seconds at 6 frames per second; every other frame of the second one has depth."""
    found = Mock(spec=Observations)
    found.clip = SimpleNamespace(timestamps_s=10.0 + torch.arange(24, dtype=torch.float64) / 6)
    found.shots = [
        SimpleNamespace(frames=slice(0, 12), dense=torch.arange(12)),
        SimpleNamespace(frames=slice(12, 24), dense=torch.arange(0, 12, 2)),
    ]
    return found


@pytest.mark.parametrize(
    ("time_s", "shot", "row", "found_s"),
    [(10.0, 0, 0, 10.0), (11.05, 0, 6, 11.0), (12.01, 1, 0, 12.0), (12.7, 1, 2, 12 + 2 / 3), (9.9, 0, 0, 10.0)],
)
def test_the_nearest_frame_with_depth_of_all_shots(
    seen: Mock, time_s: float, shot: int, row: int, found_s: float
) -> None:
    number, place, when = find_frame(time_s, seen, [0, 1], "a span")
    assert (number, place) == (shot, row) and when == pytest.approx(found_s)


def test_of_the_shots_that_are_asked_for_alone(seen: Mock) -> None:
    assert find_frame(12.0, seen, [0], "a span")[:2] == (0, 11)
    with pytest.raises(InputError, match=r"a span: .*12\.00 s; give a time within the shot"):
        find_frame(10.0, seen, [1], "a span")
    with pytest.raises(InputError, match=r"give a time within the video"):
        find_frame(30.0, seen, [0, 1], "a span")
