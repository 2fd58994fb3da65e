"""The people of a result for the page: a picture of each, where they are over time, and the video to point at.

``python -m unish.app.people RESULT SHOWN [--blur-faces]`` writes ``person-ID.jpg``, ``frame-NUMBER.jpg`` and
``people.json`` into SHOWN.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import InputError
from unish.export.faces import blur_faces
from unish.export.report_charts import css_colour
from unish.io import write_json
from unish.render.colours import person_colour
from unish.structs import Reconstruction

_PICTURE_PX = 200
_MARGIN = 0.15
"""Room around a box, as a share of its sides."""
_MAX_TIMES = 2000
"""Of a longer video every second, third, … frame is written."""
_MAX_PICTURES = 60
"""Of the whole video, evenly over its frames with depth: on these a user points at places."""


def write_people(result: Path, shown: Path, *, blurred: bool = False) -> None:
    """Pictures and places of everybody in a finished result; what was there of an earlier one goes.

    ``people.json`` has ``times_s`` (N), ``shots`` (N), and for every person ``id``, ``colour`` and ``places``: for each
    time (x, y, z) of the pelvis in the world of its shot in metres, or null where the person has no body. ``pictures``
    has ``time_s`` of each ``frame-NUMBER.jpg``, and ``source_size`` the (height, width) of the source that
    these show.

    Args:
        blurred: blur the faces in the pictures.

    Raises:
        InputError: there is no readable result in the folder.
    """
    record = Reconstruction.load(result)
    seen = blur_faces(record) if blurred else record
    for path in (*shown.glob("person-*.jpg"), *shown.glob("frame-*.jpg")):
        path.unlink()
    step = -(-max(1, record.num_frames) // _MAX_TIMES)
    shots = record.shot_of_frame()
    has_body = record.person_valid | record.person_filled
    people = []
    for index, person_id in enumerate(record.person_ids.tolist()):
        picture = _cut_out(seen, index)
        if picture is not None:
            Image.fromarray(picture).save(shown / f"person-{person_id}.jpg", quality=85)
        pelvis = record.joints[index, ::step, 0].astype(np.float64)
        people.append(
            {
                "id": person_id,
                "colour": css_colour(person_colour(person_id)),
                "has_picture": picture is not None,
                "places": _list_places(pelvis, has_body[index, ::step] & np.isfinite(pelvis).all(-1)),
            }
        )
    write_json(
        shown / "people.json",
        {
            "times_s": record.timestamps_s[::step].round(3),
            "shots": shots[::step],
            "people": people,
            "pictures": _write_pictures(seen, shown),
            "source_size": record.source_size,
        },
        indent=0,
    )


def _write_pictures(record: Reconstruction, shown: Path) -> list[dict[str, object]]:
    """Pictures of the video, named by their order; the time of each."""
    step = -(-max(1, len(record.dense_frames)) // _MAX_PICTURES)
    chosen = range(0, len(record.dense_frames), step)
    for number, place in enumerate(chosen):
        Image.fromarray(np.asarray(record.images[place])).save(shown / f"frame-{number}.jpg", quality=85)
    frames = [int(record.dense_frames[place]) for place in chosen]
    return [{"time_s": round(float(record.timestamps_s[frame]), 3)} for frame in frames]


def _list_places(pelvis: Float64[ndarray, "N 3"], known: Bool[ndarray, "N"]) -> list[list[float] | None]:
    return [
        place if is_known else None for place, is_known in zip(pelvis.round(3).tolist(), known.tolist(), strict=True)
    ]


def _cut_out(record: Reconstruction, person: int) -> UInt8[ndarray, "h w 3"] | None:
    """The person where they are seen largest, among the frames that have pictures; ``None`` if they never are."""
    boxes = record.boxes_xyxy[person, record.dense_frames].astype(np.float64)
    height, width = (int(side) for side in record.image_size)
    sides = boxes[:, 2:] - boxes[:, :2]
    # A box that reaches the edge of the picture may show a part of the person only.
    inside = (boxes[:, :2] > 0).all(-1) & (boxes[:, 2:] < (width, height)).all(-1)
    area = np.nan_to_num(sides.prod(-1), nan=0.0) * np.where(inside, 1.0, 0.25)
    if not (area > 0).any():
        return None
    best = int(area.argmax())
    left, top = np.maximum(boxes[best, :2] - _MARGIN * sides[best], 0).astype(int)
    right, bottom = np.minimum(boxes[best, 2:] + _MARGIN * sides[best], (width, height)).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    picture = Image.fromarray(np.asarray(record.images[best])[top:bottom, left:right])
    picture.thumbnail((_PICTURE_PX, _PICTURE_PX))
    return np.asarray(picture)


def main(result: str, shown: str, *flags: str) -> int:
    try:
        write_people(Path(result), Path(shown), blurred="--blur-faces" in flags)
    except InputError as error:
        print(f"unish: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
