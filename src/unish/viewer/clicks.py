"""Places that are clicked on in the live viewer: kept in their order, and marked in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unish.viewer.measuring import Place, find_place, measure_distance
from unish.viewer.stage import Stage

_COLOUR = (255, 235, 60)


@dataclass(frozen=True, kw_only=True)
class Clicked:
    """A place, and the step that was shown when it was clicked on."""

    place: Place
    step: int


class Clicks:
    """Marks of places, a line and a text between the ends of a distance."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._record = stage, stage.record
        self._nodes: list[Any] = []
        self.places: list[Clicked] = []

    def clear(self) -> None:
        for node in self._nodes:
            node.remove()
        self._nodes, self.places = [], []

    def add(self, event: Any, step: int, points: np.ndarray) -> bool:
        """Take the place that a click means, among points (N, 3) in world metres; whether there is one."""
        place = find_place(np.array(event.ray_origin), np.array(event.ray_direction), points)
        if place is None:
            return False
        radius = 2.5 * self._stage.drawing.point_size
        name = f"/measure/{len(self.places)}"
        scene = self._stage.server.scene
        self._nodes.append(scene.add_icosphere(name, radius=radius, color=_COLOUR, position=place.xyz))
        self.places.append(Clicked(place=place, step=step))
        return True

    def measure(self) -> str:
        """The distance of the last two places, which is drawn, too; or why there is none."""
        first, second = self.places[-2:]
        shot, other = (int(self._record.shot_of_step[clicked.step]) for clicked in (first, second))
        if shot != other:
            return "The two points are of different shots, which are worlds of their own."
        interval = self._record.shots[shot].scale_interval
        found = measure_distance(first.place, second.place, interval).describe()
        scene, ends = self._stage.server.scene, np.stack([first.place.xyz, second.place.xyz])
        self._nodes.append(scene.add_line_segments("/measure/line", ends[None], _COLOUR, thickness=0.01))
        self._nodes.append(scene.add_label("/measure/text", found, position=ends.mean(axis=0)))
        return f"**{found}**\n\nClick again to measure anew."
