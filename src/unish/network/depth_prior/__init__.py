"""Depth priors that users may put in the place of the shipped one, and how each kind is aligned to a scene."""

from unish.network.depth_prior.find import find_depth_prior
from unish.network.depth_prior.record import DepthPrior, PriorDepth, PriorKind, PriorView

__all__ = ["DepthPrior", "PriorDepth", "PriorKind", "PriorView", "find_depth_prior"]
