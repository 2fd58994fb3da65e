"""Clip → Tracks, Landmarks and Crops: who is where in the picture. Every part is behind a Protocol (``protocols``)."""

from unish.people.config import PeopleConfig
from unish.people.find import find_people

__all__ = ["PeopleConfig", "find_people"]
