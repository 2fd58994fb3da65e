"""The camera of a source, where the user or the file says what it is."""

from __future__ import annotations

from unish.geometry.lens import focal_of_equivalent, focal_of_field_of_view
from unish.reconstruction import know_camera, know_lens
from unish.settings import Settings
from unish.structs import Camera, Clip, Lens

FIELD_OF_VIEW_SIGMA, EQUIVALENT_SIGMA = 0.02, 0.03
"""1σ of the logarithm of a focal length: users give rounded numbers, and those of data sheets."""


def find_known_camera(settings: Settings, whole: Clip, clip: Clip) -> Camera | None:
    """By the user's word, else by the file's own; ``None`` where nobody says anything.

    A focal length that is stated by a file holds as firmly as one that is given: nothing later changes it. How far it
    may be off (``Camera.focal_sigma``) counts for the uncertainty of all sizes.

    Args:
        whole: the source's pictures, bars included.
        clip: what is inside of their bars.
    """
    if settings.intrinsics is not None:
        return know_camera(settings.intrinsics, clip)
    lens = _given_lens(settings, whole) or clip.lens
    return None if lens is None else know_lens(lens, clip)


def _given_lens(settings: Settings, whole: Clip) -> Lens | None:
    if settings.fov is not None:
        focal = focal_of_field_of_view(settings.fov, whole.size)
        return Lens(focal=focal, log_sigma=FIELD_OF_VIEW_SIGMA, source="given", told_by="--fov")
    if settings.focal_35mm is not None:
        focal = focal_of_equivalent(settings.focal_35mm, whole.size)
        return Lens(focal=focal, log_sigma=EQUIVALENT_SIGMA, source="given", told_by="--focal-35mm")
    return None
