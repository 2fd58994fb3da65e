"""Just enough of SMPL-X (Pavlakos et al. 2019) to pose the ground truth of RICH and bring it to SMPL's vertices.

Face and fingers keep their rest: jaw and eyes straight, hands in the mean pose, no expression, as in the published
evaluations. SMPL has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.joints import NUM_BETAS
from unish.body.skinning import apply_shape, chain_joints, pose_features, skin_points
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "hands_meanl", "hands_meanr")
_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class SmplxModel:
    """Arrays of one SMPL-X file: V vertices, J = 55 joints (22 of the body, jaw, eyes, 15 of each hand).

    Attributes:
        pose_directions: (9 · (J − 1), V · 3).
        hands: (30, 3) mean pose of the left and the right hand, axis-angle.
    """

    template: Float[Tensor, "V 3"]
    shape_directions: Float[Tensor, "V 3 10"]
    pose_directions: Float[Tensor, "F V3"]
    joint_regressor: Float[Tensor, "J V"]
    weights: Float[Tensor, "V J"]
    parents: tuple[int, ...]
    hands: Float[Tensor, "30 3"]

    def vertices(
        self,
        betas: Float[Tensor, "10"],
        global_orient_aa: Float[Tensor, "T 3"],
        body_pose_aa: Float[Tensor, "T 63"],
        transl: Float[Tensor, "T 3"],
    ) -> Float[Tensor, "T V 3"]:
        """Posed vertices, metres, in the frame of the parameters. In blocks, so that memory stays bounded."""
        shaped = apply_shape(self.template, self.shape_directions, betas)
        joints = self.joint_regressor @ shaped
        starts = range(0, len(transl), _BLOCK)
        return torch.cat(
            [
                self._pose(shaped, joints, *(x[i : i + _BLOCK] for x in (global_orient_aa, body_pose_aa, transl)))
                for i in starts
            ]
        )

    def _pose(self, shaped: Tensor, joints: Tensor, root: Tensor, body: Tensor, transl: Tensor) -> Tensor:
        count = len(transl)
        face = root.new_zeros(count, 3, 3)
        angles = [root[:, None], body.unflatten(-1, (21, 3)), face, self.hands.expand(count, -1, -1)]
        rotations = axis_angle_to_matrix(torch.cat(angles, dim=1))
        corrected = shaped + (pose_features(rotations[:, 1:]) @ self.pose_directions).unflatten(-1, (-1, 3))
        rest = joints.expand(count, -1, -1)
        turned, placed = chain_joints(rest, rotations, self.parents)
        return skin_points(corrected, self.weights, rest, turned, placed) + transl[:, None]


@lru_cache(maxsize=2)
def load_smplx(path: Path) -> SmplxModel:
    """Read a published SMPL-X npz; the first 10 shape directions are used.

    Raises:
        InputError: not readable, or not SMPL-X.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: torch.from_numpy(file[key].astype(np.float32)) for key in _KEYS if key != "kintree_table"}
            parents = tuple(int(parent) for parent in file["kintree_table"][0].astype(np.int64))
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no readable SMPL-X model ({error}); fetch SMPL-X as npz again") from None
    if len(parents) != 55 or arrays["posedirs"].shape[-1] != 9 * 54:
        raise InputError(f"{path}: has {len(parents)} joints in place of SMPL-X's 55; give SMPLX_*.npz")
    return SmplxModel(
        template=arrays["v_template"],
        shape_directions=arrays["shapedirs"][..., :NUM_BETAS],
        pose_directions=arrays["posedirs"].reshape(-1, 9 * 54).T.contiguous(),
        joint_regressor=arrays["J_regressor"],
        weights=arrays["weights"],
        parents=(-1, *parents[1:]),
        hands=torch.cat([arrays["hands_meanl"], arrays["hands_meanr"]]).reshape(30, 3),
    )
