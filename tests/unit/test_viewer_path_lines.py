"""Paths that the viewer draws: few pieces, the same line, no piece where a place is not known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import ndarray

from unish.viewer.path_lines import path_lines


def _distance(places: ndarray, pieces: ndarray) -> ndarray:
    """From each place to the nearest of points along the pieces, two millimetres apart."""
    counts = [2 + int(np.linalg.norm(end - begin) / 0.002) for begin, end in pieces]
    points = np.concatenate(
        [np.linspace(begin, end, count) for (begin, end), count in zip(pieces, counts, strict=True)]
    )
    return np.array([np.linalg.norm(points - place, axis=1).min() for place in places])


@pytest.mark.parametrize("turns", [0.0, 0.5, 3.0])
def test_every_place_stays_within_a_centimetre_of_a_line_of_fewer_pieces(turns: float) -> None:
    angle = np.linspace(0, 2 * np.pi * turns, 400)
    places = np.stack([np.cos(angle), 0.1 * np.sin(2 * angle), np.sin(angle)], axis=1) + np.linspace(0, 3, 400)[:, None]
    pieces = path_lines(places)
    assert len(pieces) < 120
    np.testing.assert_allclose(pieces[0, 0], places[0], atol=1e-6)
    np.testing.assert_allclose(pieces[-1, 1], places[-1], atol=1e-6)
    np.testing.assert_array_equal(pieces[1:, 0], pieces[:-1, 1])
    assert _distance(places, pieces).max() < 0.0101


def test_a_straight_walk_at_any_speed_is_one_piece() -> None:
    places = np.cumsum(np.linspace(0, 0.1, 200))[:, None] * np.array([0.6, 0.0, 0.8])
    pieces = path_lines(places)
    assert pieces.shape == (1, 2, 3)
    np.testing.assert_allclose(pieces[0], places[[0, -1]], atol=1e-5)


def test_a_way_and_its_way_back_reaches_the_turning_point() -> None:
    there = np.linspace(0, 2, 50)[:, None] * np.array([1.0, 0.0, 0.0])
    pieces = path_lines(np.concatenate([there, there[::-1]]))
    np.testing.assert_allclose(pieces[:, :, 0], [[0, 2], [2, 0]], atol=1e-6)


def test_a_turn_beyond_the_end_stays() -> None:
    """The path ends between its begin and its turn, all on one line."""
    places = np.concatenate([np.linspace(0, 3, 60), np.linspace(3, 1, 40)])[:, None] * np.array([0.0, 0.6, 0.8])
    pieces = path_lines(places)
    np.testing.assert_allclose(pieces[0, 1], [0, 1.8, 2.4], atol=1e-6)
    np.testing.assert_allclose(pieces[-1, 1], [0, 0.6, 0.8], atol=1e-6)


def test_unknown_places_interrupt_the_line_and_single_places_have_none() -> None:
    places = np.arange(9.0)[:, None] * np.array([1.0, 1.0, 0.0])
    places[[3, 5], 1] = np.nan
    np.testing.assert_allclose(path_lines(places)[:, :, 0], [[0, 2], [6, 8]])
    assert path_lines(np.full((4, 3), np.nan)).shape == (0, 2, 3)
    assert path_lines(places[3:6]).shape == (0, 2, 3)
    assert path_lines(np.zeros((0, 3))).shape == (0, 2, 3)


def test_one_who_stands_is_a_piece_without_length() -> None:
    pieces = path_lines(np.full((5, 3), 2.0))
    np.testing.assert_allclose(pieces, np.full((1, 2, 3), 2.0))
