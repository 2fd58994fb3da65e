"""Linear layers that take the faster of PyTorch's matrix products on a CPU.

Legend: C input channels, E output channels.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Linear(nn.Linear):
    """``nn.Linear`` that runs inference on a CPU through oneDNN, with the call that ``torch.compile`` uses.

    PyTorch itself hands float32 products to MKL, which has slower kernels for processors that are not Intel's, and
    is a little slower in bfloat16, too. Sums are float32 either way, in another order.
    """

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch E"]:
        if self._can_use_onednn(x):
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return super().forward(x)

    def _can_use_onednn(self, x: Tensor) -> bool:
        """The call has no gradient and knows nothing of autocast; a compiler chooses by itself."""
        needs_gradient = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype
            and _has_onednn(x.dtype)
            and x.numel() > 0
            and not needs_gradient
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )


@cache
def _has_onednn(dtype: torch.dtype) -> bool:
    """Whether this build and this processor multiply matrices of this dtype in oneDNN."""
    # An operator without a stability promise: where a version of PyTorch lacks it, its own products do.
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32
