"""How cameras and depth are solved from what frames show alike: every number that was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from unish.geometry.bundle import BundleConfig


@dataclass(frozen=True, kw_only=True)
class ViewSolverConfig:
    """How cameras are solved.

    Pixels are those of a picture whose long side has 640.

    Attributes:
        gaps: frame distances of the pairs that are matched; the first and the last frame are a pair, too.
        all_pairs: up to so many frames, all pairs are matched.
        num_keypoints, num_anchors: of each frame.
        min_matches: of a pair that tells parallax.
        quantile: of the distances of the matches of a pair that decides; less than half, so that a thing that fills two
            fifths of the picture does not.
        still_px, parallax_px: distance that a camera at rest, or one that only turns, may leave.
        still_share, still_spread: the camera is at rest where this share of what is matched keeps its place in all
            pairs, with this standard deviation in half sides of the picture, whatever the rest does.
        min_log_zoom: smallest change of the focal length that is a zoom.
        zoom_explains, zoom_share: a zoom leaves, of this share of the matches, this share of the distance.
        min_spread: standard deviation of the matches that tell a zoom, in half sides of the picture.
        inlier_px: largest Sampson error of a match that a pose explains.
        wide_share: a pair of which the closed form explains a smaller share is searched for.
        doubtful_inliers: a pair with so many may join frames that nothing else joins.
        sure_inliers: a pair with more, or one that closes a cycle of three, is beyond doubt.
        min_inliers, sure_share: and so is one with so many, where they are a larger share of its matches.
        num_similar: pairs of every frame with frames far away in time that show the same place.
        min_turn_deg: the focal length is free where the camera turns by more.
        known_px: depth is solved with known cameras as they are where the median Sampson error of the matches is less.
        bundle: the bundle adjustment.
        sweep: depth is looked for along the rays (``geometry.sweep``); without, it is the prior, bent to the anchors.
        refiner: a learnt network follows the plane sweep (``depth_refiner``); its weights are in the checkpoint.
    """

    gaps: tuple[int, ...] = (1, 2, 4, 8)
    all_pairs: int = 8
    num_keypoints: int = 2048
    num_anchors: int = 512
    min_matches: int = 20
    quantile: float = 0.4
    still_px: float = 0.3
    parallax_px: float = 1.0
    still_share: float = 0.05
    still_spread: float = 0.3
    min_log_zoom: float = 0.02
    zoom_explains: float = 0.85
    zoom_share: float = 0.15
    min_spread: float = 0.36
    inlier_px: float = 1.5
    wide_share: float = 0.7
    doubtful_inliers: int = 40
    sure_inliers: int = 120
    min_inliers: int = 30
    sure_share: float = 0.85
    num_similar: int = 1
    min_turn_deg: float = 3.0
    known_px: float = 0.5
    bundle: BundleConfig = field(default_factory=BundleConfig)
    sweep: bool = True
    refiner: bool = False


def fast_views(config: ViewSolverConfig) -> ViewSolverConfig:
    """What of the comparison of views can be left out for the least loss (docs/speed.md has the table)."""
    return replace(config, gaps=(1, 2, 4), num_keypoints=1024, sweep=False)
