"""Dress a person: draw clothes, hair, shoes and what is carried for one body shape."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from unish.body import Body
from unish.lab.synthetic.clothes import BodyMap, paint_skin
from unish.lab.synthetic.textures import TextureBank
from unish.lab.synthetic.wardrobe.anatomy import Anatomy, load_anatomy
from unish.lab.synthetic.wardrobe.carried import sample_carried
from unish.lab.synthetic.wardrobe.feet import sample_shoes
from unish.lab.synthetic.wardrobe.garments import UNDER_HEM, Figure, sample_dressing
from unish.lab.synthetic.wardrobe.heads import sample_head
from unish.lab.synthetic.wardrobe.outfit import Outfit, assemble

Rng = np.random.Generator


def dress_person(
    rng: Rng, body: Body, body_map: BodyMap, betas: Float[Tensor, "10"], bank: TextureBank, person: int
) -> Outfit:
    """A random outfit with a geometry of its own for the body of these betas."""
    anatomy = load_anatomy(body.name)
    shaped = body.shape(betas)
    rest = shaped.vertices.numpy()
    figure = Figure(
        anatomy=anatomy,
        betas=betas.numpy(),
        rest=rest,
        joints=shaped.joints.numpy(),
        hollows=_find_hollows(anatomy, betas.numpy(), rest),
    )
    dressing = sample_dressing(rng, figure, bank)
    marks = (body.landmark_template + body.landmark_directions @ betas).numpy()[[2, 5, 9, 10]]
    solids = sample_head(rng, figure, marks, body_map.face_marks)
    solids += sample_carried(rng, figure, bank)
    hidden = dressing.hidden
    if rng.random() < 0.93:
        shoes, inside = sample_shoes(rng, figure)
        solids.append(shoes)
        hidden = np.minimum(hidden, inside)
    covered = (hidden < -UNDER_HEM)[anatomy.faces].all(1)
    return assemble(
        anatomy, person, anatomy.faces[~covered], paint_skin(rng, body_map), dressing.cloth, solids, dressing.drapes
    )


def _find_hollows(anatomy: Anatomy, betas: Float[ndarray, "S"], rest: Float[ndarray, "V 3"]) -> Float[ndarray, "V"]:
    """How far cloth that bridges hollows lies above the skin, metres; 0 where nobody wears any."""
    clothed = anatomy.clothed
    own = rest[clothed.index]
    above = np.maximum(((anatomy.hull(betas) - own) * clothed.normals(own[..., None])[..., 0]).sum(1), 0)
    hollows = np.zeros(len(rest), np.float32)
    hollows[clothed.index] = clothed.smooth(above, 4)
    return hollows
