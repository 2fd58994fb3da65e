"""The frozen parts of the small model as their authors published them.

Training takes them from the checkpoint that ships, which needs no network; ``tools/assemble_small.py --published`` is
how they came to be there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unish.assets import fetch
from unish.errors import InputError
from unish.network.encoders import efficientnet, fastdepth


def fetch_image_encoder() -> dict[str, Tensor]:
    """State dict of ``EfficientNetLite0`` with ImageNet weights.

    Raises:
        InputError: the file is neither cached nor can be fetched.
    """
    published = torch.load(fetch("efficientnet-lite0"), map_location="cpu", weights_only=True)
    return efficientnet.convert_published_weights(published)


def fetch_depth_prior() -> dict[str, Tensor]:
    """State dict of ``FastDepth`` with NYU Depth v2 weights.

    Raises:
        InputError: the file is neither cached nor can be fetched, or the package ``onnx`` is missing.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise InputError("FastDepth is published as ONNX; install its reader: pip install onnx") from None
    graph = onnx.load(str(fetch("fastdepth"))).graph
    return fastdepth.convert_published_weights(
        {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    )
