"""Kinds of videos and people that the method was not made for, each named in a sentence.

The limits lie between what made videos of each kind and ordinary clips measure (docs/research/unusual.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from unish.reconstruction.checks.views import Reflection
from unish.reconstruction.findings import Finding, Limit
from unish.reconstruction.world_checks import PersonMeasures, ShotMeasures

DARKNESS = Limit(doubtful=-40.0, bad=-5.0)
"""Of minus the brightness: ordinary clips have 100 and more, one at a sixteenth of its light 8."""

GROWTH = 1.1
LOWER_BODY_SHARE = 0.3
UPSIDE_DOWN = 0.5
LIKENESS = 0.999
"""A picture of a person has .9992 and more, a distant player who waits for a ball .998."""

REFLECTED, MORE_THAN_ALIKE, MOVES_CM = 0.85, 0.2, 3.0


def judge_pictures(shot: ShotMeasures) -> list[Finding]:
    """What is unusual in a shot's pictures."""
    pictures = shot.pictures
    growth = max(pictures.enlarged, 1 / pictures.enlarged)
    way = "in" if pictures.enlarged > 1 else "out"
    found = [
        (DARKNESS.grade(-pictures.brightness), "the picture is very dark: what is in it is seen badly, or not at all"),
        (
            2 * pictures.is_round,
            "the picture is round, as fisheye lenses draw it: their distortion is not followed, so sizes and distances "
            "are wrong",
        ),
        (
            2 * (growth > GROWTH),
            f"the lens zooms {way} by a factor of {growth:.1f}, which is taken for a camera that moves",
        ),
        (
            int(shot.trunk_down > UPSIDE_DOWN),
            "people are upside down in the picture: right if the camera was held so; if they stand on their hands, "
            "gravity and floor are wrong",
        ),
    ]
    return [Finding(grade=grade, sentence=sentence) for grade, sentence in found if grade]


def judge_views(person: PersonMeasures) -> list[Finding]:
    """What is unusual in how a person is seen."""
    name, few = f"person {person.person_id}", person.lower_body_frames
    found = [
        (
            int(few > LOWER_BODY_SHARE * person.frames),
            f"{name} is seen without the upper body in {few} of {person.frames} frames: the rest is a guess there",
        ),
        (
            int(person.likeness > LIKENESS),
            f"{name} never moves: this may be a poster, a screen or a statue, so nothing is measured by it",
        ),
    ]
    return [Finding(grade=grade, sentence=sentence) for grade, sentence in found if grade]


def judge_reflections(person_id: int, reflections: Sequence[Reflection]) -> list[Finding]:
    """Whether a person and another one are one and its image in a mirror; which is which cannot be told."""
    found = []
    for pair in reflections:
        if person_id not in (pair.first, pair.second) or pair.movement_cm < MOVES_CM:
            continue
        if pair.mirrored > REFLECTED and pair.mirrored > pair.direct + MORE_THAN_ALIKE:
            other = pair.second if person_id == pair.first else pair.first
            sentence = f"person {person_id} moves like person {other} in a mirror: one of them may be a reflection"
            found.append(Finding(grade=1, sentence=sentence))
    return found
