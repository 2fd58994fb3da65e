"""Options of the slots that users may fill with models of their own; see docs/experts.md."""

from __future__ import annotations

import argparse

from unish.slots import DEPTH_PRIORS, KEYPOINTS, MASKS, PEOPLE_DETECTORS

_SLOTS = (
    ("--depth-prior", DEPTH_PRIORS, "depth of each frame, to which cameras and scene are fitted"),
    ("--people-detector", PEOPLE_DETECTORS, "what finds people"),
    ("--keypoints", KEYPOINTS, "what reads the points of people in the picture"),
    ("--masks", MASKS, "what outlines people"),
)


def add_experts(parser: argparse.ArgumentParser) -> None:
    """One option for each slot."""
    for option, kinds, what in _SLOTS:
        names = ", ".join("files:FOLDER" if name == "files" else name for name in kinds)
        parser.add_argument(
            option,
            default=argparse.SUPPRESS,
            metavar="NAME|PATH",
            help=f"{what}: {names}; also NAME:WEIGHTS, or the folder of weights (default {next(iter(kinds))})",
        )
