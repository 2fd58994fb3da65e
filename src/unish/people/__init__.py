"""Clip → Tracks, Landmarks and Crops: who is where in the picture. Every part is behind a Protocol (``protocols``)."""

from unish.people.choice import PeopleChoice
from unish.people.config import FAST_PEOPLE, PeopleConfig
from unish.people.crops import cut_crops
from unish.people.find import PeopleModels, PoseModels, find_people
from unish.people.log import ObservationLog
from unish.people.records import describe_unread
from unish.people.tracks_file import read_tracks

__all__ = [
    "FAST_PEOPLE",
    "ObservationLog",
    "PeopleChoice",
    "PeopleConfig",
    "PeopleModels",
    "PoseModels",
    "cut_crops",
    "describe_unread",
    "find_people",
    "read_tracks",
]
