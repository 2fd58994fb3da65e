"""From observations of identified people to the records that leave this stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int16

from unish.people.boxes import box_area
from unish.people.choice import PeopleChoice, choose_people
from unish.people.config import PeopleConfig
from unish.people.fuse import sigma_alone
from unish.people.protocols import MIN_EVIDENCE, Person
from unish.structs import NUM_LANDMARKS, Clip, FrameTensor, Landmarks, Tracks

_MAX_UNREAD = 0.25


def select_people(
    people: Mapping[int, Person],
    clip: Clip,
    config: PeopleConfig,
    choice: PeopleChoice | None = None,
    *,
    number_anew: bool = False,
) -> tuple[dict[int, Person], list[str]]:
    """Drop what is too short to be used, keep whom the user wants and of these the most prominent ``max_people``.

    Args:
        people: by number.
        choice: whom the user wants; ``None`` is everybody.
        number_anew: from 0 on without holes; those whom the user wants keep the numbers that they have among everybody.

    Returns:
        People by number, and what to say of those who are too short, one sentence each.

    Raises:
        InputError: ``choice`` names somebody who is not there.
    """
    kept, messages = _drop_short(people, clip, config)
    if number_anew:
        kept = dict(enumerate(kept.values()))
    if choice:
        kept = choose_people(kept, choice, clip)
    if config.max_people is not None and len(kept) > config.max_people:
        ranked = sorted(kept, key=lambda identity: _prominence(kept[identity]), reverse=True)
        kept = {identity: kept[identity] for identity in sorted(ranked[: config.max_people])}
        if number_anew and not choice:
            kept = dict(enumerate(kept.values()))
    return kept, messages


def _drop_short(people: Mapping[int, Person], clip: Clip, config: PeopleConfig) -> tuple[dict[int, Person], list[str]]:
    """Those who are seen for long enough, and how many are not.

    Frames in which somebody was only looked for (evidence below a half) do not make a track longer. A clip that is
    itself shorter than ``min_seconds`` or ``min_frames`` asks for no more than its own length.
    """
    times = clip.timestamps_s.numpy()
    steps = np.diff(times)
    # A frame stands for the time until the next one, so three frames at six per second last half a second.
    step = float(np.median(steps)) if len(steps) else 0.0
    min_frames = min(config.min_frames, clip.num_frames)
    min_seconds = min(config.min_seconds, float(times[-1] - times[0]) + step)

    def is_long(person: Person) -> bool:
        sure = [frame for frame, seen in person.items() if seen.score >= MIN_EVIDENCE]
        if len(sure) < max(min_frames, 1):
            return False
        return bool(times[max(sure)] - times[min(sure)] + step >= min_seconds - 1e-6)

    kept = {identity: person for identity, person in people.items() if is_long(person)}
    messages = []
    if dropped := len(people) - len(kept):
        who = "1 person was" if dropped == 1 else f"{dropped} people were"
        messages.append(
            f"{who} left out, seen for less than {config.min_seconds:g} s or {config.min_frames} used frames"
        )
    return kept, messages


def describe_unread(tracks: Tracks, landmarks: Landmarks) -> list[str]:
    """A sentence that names everybody whose landmarks are missing in more than a quarter of the frames, or nothing."""
    missing = tracks.valid & landmarks.px.isnan().all(-1).all(-1)
    many = missing.sum(1) > _MAX_UNREAD * tracks.valid.sum(1)
    unread = [str(identity) for identity in tracks.person_ids[many].tolist()]
    if not unread:
        return []
    who = "person" if len(unread) == 1 else "people"
    return [
        f"landmarks of {who} {', '.join(unread)} are missing in more than a quarter of the frames "
        "(too small, hidden or cut off): only the box says where the body is there"
    ]


def _prominence(person: Person) -> float:
    """Size and time together: the sum over frames of the square root of the box area."""
    return float(sum(np.sqrt(box_area(seen.box_xyxy)) for seen in person.values()))


def pack(
    people: Mapping[int, Person], clip: Clip, labels: Int16[FrameTensor, "T h w"], messages: Sequence[str] = ()
) -> tuple[Tracks, Landmarks]:
    """People by identity → records; NaN where nothing was seen."""
    shape = len(people), clip.num_frames
    valid, score = np.zeros(shape, bool), np.zeros(shape, np.float32)
    boxes = np.full((*shape, 4), np.nan, np.float32)
    px = np.full((*shape, NUM_LANDMARKS, 3), np.nan, np.float32)
    world, sigma_px = px.copy(), px[..., 0].copy()
    for row, person in enumerate(people.values()):
        for frame, seen in person.items():
            valid[row, frame], boxes[row, frame] = True, seen.box_xyxy
            if seen.pose is not None:
                px[row, frame], world[row, frame] = seen.pose.px, seen.pose.world
                sigma = seen.pose.sigma_px
                sigma_px[row, frame] = sigma_alone(seen.pose.px, seen.pose.world) if sigma is None else sigma
                score[row, frame] = seen.pose.score
    tracks = Tracks(
        person_ids=torch.tensor(list(people), dtype=torch.int64),
        valid=torch.from_numpy(valid),
        boxes_xyxy=torch.from_numpy(boxes),
        masks=labels,
        warnings=tuple(messages),
    )
    return tracks, Landmarks(
        px=torch.from_numpy(px),
        world=torch.from_numpy(world),
        score=torch.from_numpy(score),
        sigma_px=torch.from_numpy(sigma_px),
    )
