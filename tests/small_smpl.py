"""Licensed body files in miniature, made of the free body: enough for every reader of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unish.body import PARENTS, load_body

SMPLX_PARENTS = (
    *PARENTS[:22], 15, 15, 15, *(parent for start, wrist in ((25, 20), (40, 21)) for finger in range(5)
                                 for parent in (wrist, start + 3 * finger, start + 3 * finger + 1)),
)  # fmt: skip


def make_smpl_arrays(every: int = 3, *, num_shapes: int = 300) -> dict[str, np.ndarray]:
    """A licensed file in miniature: every third vertex of the free body, with pose correctives and 300 shapes."""
    free = load_body()
    keep = np.arange(0, free.num_vertices, every)
    rng = np.random.default_rng(0)
    template = free.template.numpy()[keep].astype(np.float64)
    nearest = np.linalg.norm(template[None] - free.joint_template.numpy()[:, None], axis=-1).argsort(1)[:, :30]
    regressor = np.zeros((24, len(keep)))
    np.put_along_axis(regressor, nearest, 1 / 30, axis=1)
    spare = 1e-3 * rng.normal(size=(len(keep), 3, num_shapes - 10))
    return {
        "v_template": template,
        "shapedirs": np.concatenate([free.shape_directions.numpy()[keep], spare], axis=-1),
        "posedirs": 1e-3 * rng.normal(size=(len(keep), 3, 207)),
        "J_regressor": regressor,
        "weights": free.skin_weights.numpy()[keep].astype(np.float64),
        "kintree_table": np.stack([np.array([2**32 - 1, *PARENTS[1:]]), np.arange(24)]),
        "f": np.array([[0, 1, 2], [2, 3, 4]], dtype=np.uint32),
    }


def make_smplx_arrays(smpl: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same body with SMPL-X's 55 joints: whoever keeps the hands still has the same vertices in both."""
    weights = np.zeros((len(smpl["weights"]), 55))
    weights[:, :22] = smpl["weights"][:, :22]
    weights[:, [20, 21]] += smpl["weights"][:, [22, 23]]
    correctives = np.zeros((len(weights), 3, 486))
    correctives[..., :189] = smpl["posedirs"][..., :189]
    regressor = np.full((55, len(weights)), 1 / len(weights))
    regressor[:22] = smpl["J_regressor"][:22]
    return {
        **{key: smpl[key] for key in ("v_template", "shapedirs", "f")},
        "posedirs": correctives,
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([np.array([2**32 - 1, *SMPLX_PARENTS[1:]]), np.arange(55)]),
        "hands_meanl": np.zeros(45),
        "hands_meanr": np.zeros(45),
    }


def write_smpl(data: Path, *genders: str) -> dict[str, np.ndarray]:
    """``body_models/smpl/SMPL_*.npz`` of people who differ in size by gender; returns the arrays of the neutral one."""
    (data / "body_models" / "smpl").mkdir(parents=True, exist_ok=True)
    arrays = make_smpl_arrays(12, num_shapes=10)
    sizes = {"male": 1.06, "female": 0.96, "neutral": 1.0}
    for gender in genders:
        scaled = {key: arrays[key] * sizes[gender] for key in ("v_template", "shapedirs", "posedirs")}
        np.savez(data / "body_models" / "smpl" / f"SMPL_{gender.upper()}.npz", **{**arrays, **scaled})
    return arrays
