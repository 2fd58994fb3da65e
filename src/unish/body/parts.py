"""Bodies of few vertices: cheap to pose where only some points matter."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Int64
from torch import Tensor

from unish.body.model import Body


def pick_vertices(body: Body, index: Int64[Tensor, "K"]) -> Body:
    """The same body with some of its vertices only; contact vertices are dropped."""
    correctives = body.pose_directions
    if correctives is not None:
        correctives = correctives.unflatten(-1, (-1, 3))[:, index].flatten(-2)
    return replace(
        body, template=body.template[index], shape_directions=body.shape_directions[index],
        skin_weights=body.skin_weights[index], pose_directions=correctives, contact_vertices={},
    )  # fmt: skip
