"""What a user has put into the slots of a run: a depth prior, and models of the people stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unish.network.depth_prior import DepthPrior, find_depth_prior
from unish.people.experts import PeopleExperts, find_people_experts
from unish.people.experts.find import LICENCE
from unish.settings import Settings

SLOTS = ("depth_prior", "people_detector", "keypoints", "masks")
"""Names of the settings."""


@dataclass(frozen=True, kw_only=True)
class Experts:
    """What is not the shipped model.

    Attributes:
        depth_prior: ``None`` where the shipped one stays.
    """

    depth_prior: DepthPrior | None
    people: PeopleExperts

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of every slot that is filled: what a run must have in common with an earlier one to go on with its work."""
        prior = {} if self.depth_prior is None else {"depth_prior": self.depth_prior.fingerprint}
        return prior | dict(self.people.fingerprints)

    @property
    def licences(self) -> dict[str, str]:
        """Of every slot that is filled."""
        prior = {} if self.depth_prior is None else {"depth_prior": self.depth_prior.licence}
        return prior | dict.fromkeys(dict(self.people.fingerprints), LICENCE)

    def describe(self) -> dict[str, dict[str, str]]:
        """``experts`` of ``report.json``."""
        licences = self.licences
        return {slot: {"model": model, "licence": licences[slot]} for slot, model in self.fingerprints.items()}

    def announced(self, tell: Callable[[str], None]) -> Experts:
        """The same, after ``tell`` was told of each model and its licence, in a sentence, before it is used."""
        for slot, model in self.fingerprints.items():
            name = model.split(" sha256:")[0]
            tell(f"{slot.replace('_', ' ')}: {name}, licence {self.licences[slot]}")
        return self


def name_experts(settings: Settings) -> tuple[str, ...]:
    """What the user wrote for each slot."""
    return tuple(str(getattr(settings, slot)) for slot in SLOTS)


def find_experts(settings: Settings, device: str) -> Experts:
    """The models that the settings name; those that read pictures load their weights when they are first asked.

    Raises:
        InputError: a model is not there, or lacks the package that it needs.
    """
    prior, detector, keypoints, masks = name_experts(settings)
    return Experts(
        depth_prior=find_depth_prior(prior, device), people=find_people_experts(detector, keypoints, masks, device)
    )
