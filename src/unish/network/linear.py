"""Linear layers that take the faster of PyTorch's matrix products on a CPU.

Legend: C input channels, E output channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_MIN_ROWS = 256
"""With fewer rows, copying the weights takes longer than what is gained."""


class Linear(nn.Linear):
    """``nn.Linear`` whose float32 inference on a CPU runs through oneDNN, in the layout that ``to_mkldnn`` makes.

    PyTorch hands float32 products of dense tensors to MKL, which takes twice as long on processors that are not Intel's
    (and those of 16 bits to oneDNN by itself). Sums are float32 either way, in another order.
    """

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch E"]:
        if not self._can_use_onednn(x):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.to_mkldnn()
        return functional.linear(x.to_mkldnn(), self.weight.to_mkldnn(), bias).to_dense()

    def _can_use_onednn(self, x: Tensor) -> bool:
        """The layout has no gradient here and ignores autocast; a compiler chooses by itself."""
        needs_gradient = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and x.numel() >= _MIN_ROWS * self.in_features
            and not needs_gradient
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and torch.backends.mkldnn.is_available()
        )
