"""What the matching of frames hands over.

Legend: B clips, N frames, F = B·N; K key points of a frame, A anchors of a frame; P unordered pairs of frames, E = 2·P
directed ones. Pixels are those of the images of the same record; the centre of the top-left pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class KeyPoints:
    """Places that are likely to be found again in other pictures. Every frame has the same number of slots.

    Attributes:
        px: (F, K, 2) pixels, best score first; 0 in empty slots.
        scores: (F, K) probability of a key point × reliability; 0 in empty slots.
        descriptors: (F, K, 64) of unit length; 0 in empty slots, so that these resemble nothing.
    """

    px: Float[Tensor, "F K 2"]
    scores: Float[Tensor, "F K"]
    descriptors: Float[Tensor, "F K 64"]


@dataclass(frozen=True, kw_only=True)
class IndexMatches:
    """Matches as numbers of key point slots: one to one, −1 where a key point has no match.

    Attributes:
        forward: (P, K) slot in the second frame of each key point of the first.
        backward: (P, K) slot in the first frame of each key point of the second; says the same as ``forward``.
    """

    forward: Int64[Tensor, "P K"]
    backward: Int64[Tensor, "P K"]


@dataclass(frozen=True, kw_only=True)
class FrameFeatures:
    """What the frames of B clips are matched by, at the size at which they are matched: h×w, the long side at most 640.

    Attributes:
        key_points: of the F = B·N frames, in pixels of h×w.
        grey: (F, h, w) brightness, from ``subpixel.make_grey``.
        usable: (F, h, w) False where no matches are wanted; ``None`` is True everywhere.
        num_clips: B.
        image_size: (H, W) of the images that were given, in whose pixels the result is.
    """

    key_points: KeyPoints
    grey: Float[Tensor, "F h w"]
    usable: Bool[Tensor, "F h w"] | None
    num_clips: int
    image_size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SparseMatches:
    """Where anchors of each frame are in other frames.

    Attributes:
        pairs: E directed pairs (first, second) of frame numbers: of every unordered pair (i, j) both (i, j) and
            (j, i), all of the former before all of the latter.
        anchors_px: (B, N, A, 2) key points of each frame, pixels; those with matches in most pairs first. 0 in empty
            slots.
        anchor_valid: (B, N, A) the slot is not empty.
        targets_px: (B, E, A, 2) pixels at which frame ``second`` shows anchor a of frame ``first``; 0 where
            ``weights`` is 0.
        weights: (B, E, A) 0 where there is no match, else in (0, 1]: correlation of the two windows around it.
    """

    pairs: list[tuple[int, int]]
    anchors_px: Float[Tensor, "B N A 2"]
    anchor_valid: Bool[Tensor, "B N A"]
    targets_px: Float[Tensor, "B E A 2"]
    weights: Float[Tensor, "B E A"]
