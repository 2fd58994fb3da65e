"""Reading body models from files."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from unish.body.body import Body
from unish.errors import InputError


@cache
def load_body(name_or_path: str | Path = "free") -> Body:
    """The free body that ships with the package."""
    if str(name_or_path) != "free":
        raise InputError(f"body {name_or_path}: only free can be read so far")
    with resources.as_file(resources.files("unish.body") / "assets" / "free.npz") as path, np.load(path) as file:
        data = {key: file[key] for key in file.files}

    def floats(key: str) -> torch.Tensor:
        return torch.from_numpy(data[key].astype(np.float32))

    weights = torch.zeros(len(data["v_template"]), 24)
    weights.scatter_(1, torch.from_numpy(data["weight_joints"].astype(np.int64)), floats("weight_values"))
    return Body(
        name="free",
        faces=torch.from_numpy(data["faces"].astype(np.int64)),
        template=floats("v_template"),
        shape_dirs=floats("shapedirs"),
        joint_template=floats("joint_template"),
        joint_dirs=floats("joint_shapedirs"),
        weights=weights / weights.sum(1, keepdim=True),
        landmark_template=floats("landmark_template"),
        landmark_dirs=floats("landmark_shapedirs"),
        landmark_joints=torch.from_numpy(data["landmark_joints"].astype(np.int64)),
        contact_vertices={
            key.removeprefix("contact_"): torch.from_numpy(value.astype(np.int64))
            for key, value in data.items()
            if key.startswith("contact_")
        },
    )
