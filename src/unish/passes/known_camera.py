"""The camera of a source, where the user or the file says what it is."""

from __future__ import annotations

from unish.errors import InputError
from unish.geometry.lens import focal_of_equivalent, focal_of_field_of_view
from unish.reconstruction import know_camera, know_lens
from unish.settings import Settings
from unish.structs import Camera, Clip, KnownCameras, Lens
from unish.video import read_known_cameras

FIELD_OF_VIEW_SIGMA, EQUIVALENT_SIGMA = 0.02, 0.03
"""1σ of the logarithm of a focal length: users give rounded numbers, and those of data sheets."""


def find_known_camera(
    settings: Settings, whole: Clip, clip: Clip, cameras: KnownCameras | None = None
) -> Camera | None:
    """By the user's word, else by the file of poses, else by the source's own; ``None`` where nobody says anything.

    A focal length that is stated by a file holds as firmly as one that is given: nothing later changes it. How far it
    may be off (``Camera.focal_sigma``) counts for the uncertainty of all sizes.

    Args:
        whole: the source's pictures, bars included.
        clip: what is inside of their bars, or the film that is cut out of a recorded screen.
        cameras: given poses, which may come with their lens.
    """
    if settings.intrinsics is not None:
        return know_camera(settings.intrinsics, clip)
    lens = _given_lens(settings, clip.size if clip.surrounded else whole.size)
    if lens is None and cameras is not None and cameras.intrinsics is not None:
        return know_camera(cameras.intrinsics, clip)
    lens = lens or clip.lens
    return None if lens is None else know_lens(lens, clip)


def know_poses(settings: Settings, whole: Clip, clip: Clip, *, takes_cameras: bool) -> KnownCameras | None:
    """What the file of ``--cameras`` says of the used frames; ``None`` where there is none.

    Args:
        whole, clip: see ``find_known_camera``.
        takes_cameras: whether the network does.

    Raises:
        InputError: the file does not fit the clip, nobody says what the lens is, the network cannot take cameras, or
            sizes are given twice.
    """
    if settings.cameras is None:
        return None
    in_metres = None if settings.camera_unit is None else settings.camera_unit == "m"
    known = read_known_cameras(settings.cameras, clip, in_metres=in_metres, refine=settings.refine_cameras)
    if find_known_camera(settings, whole, clip, known) is None:
        raise InputError(f"{settings.cameras}: it does not say what the lens is; give --intrinsics, too")
    if known.in_metres and (settings.person_height or settings.known_distance):
        raise InputError(
            "cameras in metres say how large everything is; leave out --person-height and --known-distance, "
            "or give --camera-unit unknown"
        )
    if not takes_cameras:
        raise InputError("this network takes no known cameras; leave out --cameras, or give --model small")
    return known


def _given_lens(settings: Settings, size: tuple[int, int]) -> Lens | None:
    """What the user says of the lens that took a picture of (height, width) ``size``."""
    if settings.fov is not None:
        focal = focal_of_field_of_view(settings.fov, size)
        return Lens(focal=focal, log_sigma=FIELD_OF_VIEW_SIGMA, source="given", told_by="--fov")
    if settings.focal_35mm is not None:
        focal = focal_of_equivalent(settings.focal_35mm, size)
        return Lens(focal=focal, log_sigma=EQUIVALENT_SIGMA, source="given", told_by="--focal-35mm")
    return None
