"""Linear layers that take the faster of PyTorch's two matrix products on a CPU.

Legend: C input channels, E output channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Linear(nn.Linear):
    """``nn.Linear`` that runs inference in float32 on a CPU through oneDNN.

    PyTorch hands float32 products to MKL and bfloat16 ones to oneDNN. MKL has slower kernels for processors of other
    makers than Intel; oneDNN, which is always there where ``torch.compile`` uses the same call, has not. The sums are
    float32 in both, in another order.
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
            and x.dtype == self.weight.dtype == torch.float32
            and x.numel() > 0
            and not needs_gradient
            and torch.backends.mkldnn.is_available()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )
