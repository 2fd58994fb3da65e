"""People for the free body's shape space: who they are, and their meshes in anny's A-pose.

All points that leave this module are in SMPL's axes (x to the body's left, y up, z ahead), metres.
"""

from __future__ import annotations

from pathlib import Path

import anny
import numpy as np
import torch
from numpy import ndarray

NUM_ADULTS, NUM_CHILDREN = 600, 240
LOCAL_CHANGES = {
    "measure-upperarm-length-incr": 0.3, "measure-lowerarm-length-incr": 0.3, "measure-upperleg-height-incr": 0.3,
    "measure-lowerleg-height-incr": 0.3, "measure-shoulder-dist-incr": 0.3, "measure-hips-circ-incr": 0.3,
    "measure-waist-circ-incr": 0.3, "torso-scale-vert-incr": 0.25, "measure-neck-height-incr": 0.25,
    "head-scale-vert-incr": 0.2, "head-scale-depth-incr": 0.2, "head-scale-horiz-incr": 0.2,
}  # fmt: skip
PAIRED_LOCAL_CHANGES = {"hand-scale-incr": 0.25, "foot-scale-incr": 0.25}


def load_model() -> anny.Anny:
    return anny.Anny(phenotypes="all", local_changes="default").to(torch.float64)


def sample_phenotypes(rng: np.random.Generator, num_adults: int, num_children: int) -> dict[str, ndarray]:
    num = num_adults + num_children
    adult = np.arange(num) < num_adults
    male = rng.random(num) < 0.5

    def around(mean: float, sd: float) -> ndarray:
        return np.clip(rng.normal(mean, sd, num), 0.0, 1.0)

    races = rng.dirichlet(np.ones(3), num)
    return {
        "gender": np.clip(np.where(male, 0.1, 0.9) + rng.normal(0, 0.1, num), 0, 1),
        "age": np.where(adult, rng.uniform(2 / 3, 0.95, num), rng.uniform(0.06, 0.6, num)),
        "muscle": around(0.5, 0.18),
        "weight": around(0.53, 0.2),
        "height": around(0.5, 0.1),
        "proportions": around(0.5, 0.15),
        "cupsize": around(0.5, 0.15),
        "firmness": around(0.5, 0.15),
        "african": races[:, 0],
        "asian": races[:, 1],
        "caucasian": races[:, 2],
    }


def sample_local_changes(rng: np.random.Generator, num: int) -> dict[str, ndarray]:
    changes = {name: np.clip(rng.normal(0, sd, num), -1, 1) for name, sd in LOCAL_CHANGES.items()}
    for name, sd in PAIRED_LOCAL_CHANGES.items():
        both = np.clip(rng.normal(0, sd, num), -1, 1)
        changes |= {f"l-{name}": both, f"r-{name}": both}
    return changes


def to_smpl_axes(points: ndarray) -> ndarray:
    """anny is z up and faces −y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


@torch.no_grad()
def shape_coefficients(model: anny.Anny, phenotypes: dict, changes: dict) -> ndarray:
    """(N, K) coefficients of anny's linear shapes (its phenotypes act on them piecewise linearly)."""
    coefficients = model.get_phenotype_blendshape_coefficients(
        **{k: torch.as_tensor(v) for k, v in phenotypes.items()},
        local_changes={k: torch.as_tensor(v) for k, v in changes.items()},
    )
    return coefficients.numpy()


def rest_vertices(model: anny.Anny, coefficients: ndarray, which: ndarray | slice = slice(None)) -> ndarray:
    """(N, W, 3) vertices ``which`` of anny's A-pose, SMPL's axes, float32."""
    template = model.template_vertices.numpy()[which].astype(np.float32)
    directions = model.blendshapes.numpy()[:, which].astype(np.float32)
    moved = coefficients.astype(np.float32) @ directions.reshape(len(directions), -1)
    return to_smpl_axes(template + moved.reshape(-1, *template.shape))


def rest_bone_heads(model: anny.Anny, coefficients: ndarray) -> ndarray:
    """(N, 104, 3) bone heads of anny's A-pose, SMPL's axes."""
    moved = np.einsum("nk,kbc->nbc", coefficients, model.bone_heads_blendshapes.numpy())
    return to_smpl_axes(model.template_bone_heads.numpy() + moved)


def sample_people(model: anny.Anny, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """(N, K) shape coefficients of people and (N,) who is an adult.

    Adults have statures of 1.76 ± 0.07 m (men) and 1.63 ± 0.065 m (women); children are about 1.5 to 15 years old.
    """
    num = NUM_ADULTS + NUM_CHILDREN
    phenotypes, changes = sample_phenotypes(rng, NUM_ADULTS, NUM_CHILDREN), sample_local_changes(rng, num)
    adult = np.arange(num) < NUM_ADULTS
    male = phenotypes["gender"] < 0.5
    target = np.where(male, rng.normal(1.76, 0.07, num), rng.normal(1.63, 0.065, num))
    # Stature is close to linear in anny's height parameter: two evaluations give the parameter of a wanted stature.
    up = to_smpl_axes(model.template_vertices.numpy())[:, 1]
    ends = np.flatnonzero((up > up.max() - 0.03) | (up < up.min() + 0.03))
    statures = []
    for height in (0.4, 0.6):
        coefficients = shape_coefficients(model, {**phenotypes, "height": np.full(num, height)}, changes)
        statures.append(np.ptp(rest_vertices(model, coefficients, ends)[..., 1], axis=1))
    wanted = np.clip(0.4 + 0.2 * (target - statures[0]) / (statures[1] - statures[0]), 0, 1)
    phenotypes["height"] = np.where(adult, wanted, phenotypes["height"])
    return shape_coefficients(model, phenotypes, changes), adult


def twins(model: anny.Anny) -> ndarray:
    """(V,) index of each vertex's mirror twin, from MakeHuman's own table."""
    base = model.base_mesh_vertex_indices.numpy()
    table = Path(anny.__path__[0], "data/mpfb2/mesh_metadata/hm08.mirror").read_text().split("\n")
    twin = {int(row.split()[0]): int(row.split()[1]) for row in table if row.strip() and not row.startswith("#")}
    index = {b: i for i, b in enumerate(base)}
    return np.array([index[twin[b]] for b in base])
