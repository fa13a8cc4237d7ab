"""EfficientNet-Lite 0 to 4: the network, under the names of the weights that its PyTorch port published.

Tan and Le (arXiv:1905.11946) scale one network in width, depth and resolution; the Lite variants leave out
squeeze-and-excitation, use ReLU6, and do not scale stem and head. Padding is TensorFlow's ``SAME``: where the sum is
odd, the right and the bottom get one more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, relu6

DIM = 1280
STEM = 32
EPSILON = 1e-3


class Scale(NamedTuple):
    """What a variant multiplies, and the side of the images that it was trained on."""

    width: float
    depth: float
    size: int


SCALES = {
    "efficientnet-lite0": Scale(1.0, 1.0, 224),
    "efficientnet-lite1": Scale(1.0, 1.1, 240),
    "efficientnet-lite2": Scale(1.1, 1.2, 260),
    "efficientnet-lite3": Scale(1.2, 1.4, 280),
    "efficientnet-lite4": Scale(1.4, 1.8, 300),
}
# repeats, kernel, stride of the first, expansion, channels: table 1 of the paper.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

NORM_AFTER = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does, whatever the size of the image."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(ins, outs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Pad, then convolve."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides = []
        for side in (x.shape[3], x.shape[2]):  # the last dimension first, as pad() wants it
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            sides += [total // 2, total - total // 2]
        if any(side != sides[0] for side in sides):
            x, sides = pad(x, sides), [0]
        return conv2d(x, self.weight, self.bias, self.stride, sides[0], 1, self.groups)


class Block(nn.Module):
    """An inverted bottleneck (arXiv:1801.04381): widen, convolve each channel, narrow, add."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = ins * expansion
        self.widens, self.adds = expansion > 1, stride == 1 and ins == outs
        if self.widens:
            self._expand_conv, self._bn0 = SameConv(ins, middle, 1), _norm(middle)
        self._depthwise_conv, self._bn1 = SameConv(middle, middle, kernel, stride, groups=middle), _norm(middle)
        self._project_conv, self._bn2 = SameConv(middle, outs, 1), _norm(outs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """One block."""
        h = relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        h = relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return x + h if self.adds else h


class EfficientNetLite(nn.Module):
    """Images, scaled to about -1 … 1, to the mean of the last feature map: what the classifier would read.

    Args:
        scale: one of :data:`SCALES`.
    """

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STEM, 3, 2), _norm(STEM)
        blocks, ins = [], STEM
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
            outs = _eights(channels * scale.width)
            if 0 < number < len(STAGES) - 1:
                repeats = math.ceil(repeats * scale.depth)
            for k in range(repeats):
                blocks.append(Block(ins, outs, kernel, stride if k == 0 else 1, expansion))
                ins = outs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(ins, DIM, 1), _norm(DIM)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """The features of a batch."""
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _eights(channels: float) -> int:
    """The nearest multiple of eight that is not more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def folded(network: EfficientNetLite) -> EfficientNetLite:
    """The same network, changed in place, with every norm inside the convolution before it; for evaluation only."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in network.eval().modules():
        for conv, norm in NORM_AFTER.items():
            if hasattr(module, conv):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
    return network
