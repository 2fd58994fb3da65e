"""Who is who over the whole video: after the last frame, pieces of tracks that show one person are joined.

A tracker that goes from frame to frame makes two kinds of mistakes: it loses somebody who is away for a while or beyond
a cut, and it goes on with another body where two people pass one another. So tracks are cut wherever that may have
happened, and all pieces of the video are grouped anew by what the people look like, how well that is known, and where
they were. Two people who are in one frame are never one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array
from scipy.spatial.distance import squareform

from unish.people.appearance import appearance_similarity
from unish.people.boxes import box_area, box_containment, box_iou
from unish.people.protocols import Observation
from unish.people.tracklet import Tracklet

_FAR = 1e12
"""Distance of pieces that cannot be one person: no average with it comes near to what others have."""

_NEAREST = 10.0
"""Likeness at which a distance is 0; there is no greater one."""


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Limits of ``settle_identities``, chosen on half of the cases of ``tools/measure_identity.py``.

    Attributes:
        colour_weight: of the likeness of colours (0 to 1) beside that of image features (−1 to 1).
        min_likeness: sum of the two from which on two pieces are taken for one person.
        min_colours: the same of colours alone, where nobody has looked at image features.
        colours_alone: by how much one step of colours alone counts more than one of that sum.
        clear_lead: by how much a piece must be more like its own person than like another one whom it may be instead.
        same_track: by how much pieces of one track may be less alike, since motion says that they are one person;
        same_short_track: how much more that is where one of them is described by a single frame; half of it for two.
        same_place: the same for somebody who comes back to the same place of the picture in the same shot at once;
        place_s: it falls to nothing over so many seconds.
        min_clean: frames on both sides, in which nobody else is near, that a cut of a track needs.
        touching: overlap of two boxes from which on one person may be taken for the other.
        max_growth: ratio of the heights of two boxes in a row at which a track may have gone on with somebody else.
        max_leap: the same of the way between them, in diagonals of the box.
    """

    colour_weight: float = 2.0
    min_likeness: float = 2.05
    min_colours: float = 0.9
    colours_alone: float = 5.0
    clear_lead: float = 0.1
    same_track: float = 0.3
    same_short_track: float = 0.2
    same_place: float = 0.3
    place_s: float = 5.0
    min_clean: int = 1
    touching: float = 0.1
    max_growth: float = 1.25
    max_leap: float = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A part of a track in which nothing suggests that the person has changed.

    Attributes:
        track: index of the track; segment: its shot.
        frames, times, people: of its observations.
        num_clear: how many of these describe it: those without anybody else near, if there are any.
        colours: mean unit-sum histogram; features: unit mean of the image features, ``None`` where there are none.
    """

    track: int
    segment: int
    frames: list[int]
    times: list[float]
    people: list[Observation]
    num_clear: int
    colours: Float[ndarray, "bins"]
    features: Float[ndarray, "D"] | None


def settle_identities(
    tracklets: Sequence[Tracklet], config: IdentityConfig | None = None
) -> list[dict[int, Observation]]:
    """The observations of each person by frame number, in order of first appearance.

    Pieces are grouped by average linkage (Sokal & Michener, 1958), which takes time and memory of the square of their
    number. Those whose person is not clear are then taken out again.
    """
    config = config or IdentityConfig()
    pieces = cut_tracks(tracklets, config)
    if not pieces:
        return []
    likeness, together = compare_pieces(pieces, config)
    groups = group_pieces(likeness, together)
    unclear = find_unclear(likeness, together, groups, config.clear_lead)
    # What is taken out of a person stays together as far as a track says so.
    track = np.array([piece.track for piece in pieces])
    groups = np.unique(np.stack([groups, np.where(unclear, track, -1)]), axis=1, return_inverse=True)[1].reshape(-1)
    people = [
        {frame: one for index in np.flatnonzero(groups == group)
         for frame, one in zip(pieces[index].frames, pieces[index].people, strict=True)}
        for group in np.unique(groups)
    ]  # fmt: skip
    return [dict(sorted(person.items())) for person in sorted(people, key=min)]


def cut_tracks(tracklets: Sequence[Tracklet], config: IdentityConfig) -> list[Piece]:
    """Every track, cut where it may have gone on with another body.

    That is after frames without the person, after somebody else was near, and where the box leaps or changes its size.
    """
    touched = _find_touched(tracklets, config.touching)
    pieces = []
    for track, (tracklet, near) in enumerate(zip(tracklets, touched, strict=True)):
        clean = np.cumsum(~near)
        bounds = [0]
        for row in np.flatnonzero(_find_doubtful(tracklet, near, config)):
            since = clean[row - 1] - (clean[bounds[-1] - 1] if bounds[-1] else 0)
            if since >= config.min_clean and clean[-1] - clean[row - 1] >= config.min_clean:
                bounds.append(int(row))
        bounds.append(len(tracklet.people))
        pieces += [_make_piece(track, tracklet, near, slice(start, stop)) for start, stop in pairwise(bounds)]
    return pieces


def compare_pieces(
    pieces: Sequence[Piece], config: IdentityConfig
) -> tuple[Float[ndarray, "N N"], Bool[ndarray, "N N"]]:
    """How likely each two pieces are one person, above 0 where they may be; and which share a frame, so are not."""
    colours = np.stack([piece.colours for piece in pieces])
    alike = np.stack([appearance_similarity(colours, own) for own in colours])
    likeness = config.colours_alone * (alike - config.min_colours)
    rows = [row for row, piece in enumerate(pieces) if piece.features is not None]
    if rows:
        both = np.ix_(rows, rows)
        features = np.stack([features for piece in pieces if (features := piece.features) is not None])
        likeness[both] = features @ features.T + config.colour_weight * alike[both] - config.min_likeness
    track = np.array([piece.track for piece in pieces])
    fewest = np.minimum.outer(*[[piece.num_clear for piece in pieces]] * 2)
    likeness += np.where(
        track[:, None] == track,
        config.same_track + config.same_short_track / fewest,
        config.same_place * _measure_places(pieces, config),
    )
    frames = [piece.frames for piece in pieces]
    ends = np.cumsum([0, *map(len, frames)])
    shown = csr_array((np.ones(ends[-1], np.int32), np.concatenate(frames), ends))
    return likeness, (shown @ shown.T).toarray() > 0


def group_pieces(likeness: Float[ndarray, "N N"], together: Bool[ndarray, "N N"]) -> Int[ndarray, "N"]:
    """A number for each piece, the same for those of one person."""
    if len(likeness) < 2:
        return np.zeros(len(likeness), int)
    distance = np.where(together, _FAR, np.maximum(_NEAREST - likeness, 0.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    return fcluster(tree, _NEAREST, "distance").astype(int)


def find_unclear(
    likeness: Float[ndarray, "N N"], together: Bool[ndarray, "N N"], groups: Int[ndarray, "N"], lead: float
) -> Bool[ndarray, "N"]:
    """Pieces that are hardly more like their own person than like another one, for whom they might be taken as well.

    Somebody else is another person for certain only where the two are seen together. If that one's own pieces are seen
    together with this one, it is the exchange of both that must be clearly worse.
    """
    numbers = np.unique(groups)
    member = groups[:, None] == numbers
    allowed = ~together & ~np.eye(len(groups), dtype=bool)
    counts = allowed.astype(float) @ member
    # Mean likeness of each piece to the pieces of each group that are not seen together with it; NaN without any.
    with np.errstate(invalid="ignore"):
        mean = (np.where(allowed, likeness, 0.0) @ member) / np.where(counts > 0, counts, np.nan)
    own = np.searchsorted(numbers, groups)
    apart = (member.T.astype(float) @ (together & ~np.eye(len(groups), dtype=bool)) @ member) > 0
    unclear = np.zeros(len(groups), bool)
    for piece in np.flatnonzero(np.isfinite(mean[np.arange(len(groups)), own])):
        here = own[piece]
        for other in np.flatnonzero(apart[here] & (np.nan_to_num(mean[piece], nan=-1.0) > 0)):
            if other == here:
                continue
            gain = mean[piece, here] - mean[piece, other]
            rivals = np.flatnonzero(member[:, other] & together[piece])
            swapped = mean[rivals, other] - mean[rivals, here]
            gain += float(np.mean(swapped[np.isfinite(swapped)])) if np.isfinite(swapped).any() else 0.0
            unclear[piece] |= gain < lead
    return unclear


def _find_touched(tracklets: Sequence[Tracklet], touching: float) -> list[Bool[ndarray, "_"]]:
    """For each observation of each track, whether the box of somebody else overlaps it."""
    rows_of: dict[int, list[tuple[int, int]]] = {}
    for track, tracklet in enumerate(tracklets):
        for row, frame in enumerate(tracklet.frames):
            rows_of.setdefault(frame, []).append((track, row))
    touched = [np.zeros(len(tracklet.people), bool) for tracklet in tracklets]
    for places in rows_of.values():
        if len(places) > 1:
            boxes = np.stack([tracklets[track].people[row].box_xyxy for track, row in places])
            overlap = np.maximum(box_iou(boxes, boxes), box_containment(boxes, boxes) / 2)
            np.fill_diagonal(overlap, 0.0)
            for (track, row), near in zip(places, overlap.max(axis=1) > touching, strict=True):
                touched[track][row] = near
    return touched


def _find_doubtful(tracklet: Tracklet, touched: Bool[ndarray, "n"], config: IdentityConfig) -> Bool[ndarray, "n"]:
    """Observations before which the track may have gone on with somebody else."""
    boxes = np.stack([person.box_xyxy for person in tracklet.people])
    size, middle = boxes[:, 2:] - boxes[:, :2], boxes.reshape(-1, 2, 2).mean(axis=1)
    diagonal = np.maximum(np.linalg.norm(size, axis=1), 1.0)
    doubtful = np.zeros(len(boxes), bool)
    growth = abs(np.diff(np.log(np.maximum(size[:, 1], 1.0))))
    way = np.linalg.norm(np.diff(middle, axis=0), axis=1) / np.minimum(diagonal[1:], diagonal[:-1])
    doubtful[1:] = (np.diff(tracklet.frames) > 1) | (touched[:-1] & ~touched[1:])
    doubtful[1:] |= (growth > np.log(config.max_growth)) | (way > config.max_leap)
    return doubtful


def _make_piece(track: int, tracklet: Tracklet, touched: Bool[ndarray, "n"], rows: slice) -> Piece:
    people = tracklet.people[rows]
    clear = [person for person, near in zip(people, touched[rows], strict=True) if not near] or people
    features = [person.features for person in clear if person.features is not None]
    mean = np.mean(features, axis=0) if features else None
    return Piece(
        track=track,
        segment=tracklet.segment,
        frames=tracklet.frames[rows],
        times=tracklet.times[rows],
        people=people,
        num_clear=len(clear),
        colours=np.mean([person.appearance for person in clear], axis=0),
        features=None if mean is None else mean / max(float(np.linalg.norm(mean)), 1e-9),
    )


def _measure_places(pieces: Sequence[Piece], config: IdentityConfig) -> Float[ndarray, "N N"]:
    """1 where one piece begins where another of the same shot has just ended; 0 after ``place_s`` or far away."""
    first, last = (np.stack([piece.people[row].box_xyxy for piece in pieces]) for row in (0, -1))
    start, end = (np.array([piece.times[row] for piece in pieces]) for row in (0, -1))
    segment = np.array([piece.segment for piece in pieces])
    middle = [boxes.reshape(-1, 2, 2).mean(axis=1) for boxes in (first, last)]
    size = [np.sqrt(np.maximum(box_area(boxes), 1.0)) for boxes in (first, last)]
    way = np.linalg.norm(middle[1][:, None] - middle[0], axis=-1) / np.minimum(size[1][:, None], size[0])
    same_size = abs(np.log(size[1][:, None] / size[0])) < np.log(config.max_growth)
    gap = start - end[:, None]
    near = (gap > 0) & (segment[:, None] == segment) & same_size & (way < config.max_leap)
    score = np.where(near, np.clip(1 - gap / config.place_s, 0, 1), 0.0)
    return np.maximum(score, score.T)
