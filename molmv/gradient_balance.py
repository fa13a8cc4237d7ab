r"""Equal pull of all teachers on the student, whatever the units of their losses.

Each teacher's gradient with respect to the embedding is rescaled to the mean norm of all of them, by running means of
the norms (as MetaBalance does for tasks; He et al., arXiv 2203.06801). The heads still learn by their own gradients.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: How much of a running mean one step replaces.
RATE = 0.1


class GradientBalance(nn.Module):
    """Identity on the embedding; its gradient is rescaled, for one teacher at a time.

    Args:
        teachers: how many.

    Attributes:
        norms: running mean of the norm of each teacher's gradient, (teachers,); zero before its first one.

    Example:
        >>> balance, z = GradientBalance(2), torch.ones(4, 3, requires_grad=True)
        >>> for _ in range(2):
        ...     z.grad = None
        ...     (balance(z, 0)[:, 0].sum() + 100 * balance(z, 1)[:, 1].sum()).backward()
        >>> z.grad[0]
        tensor([50.5000, 50.5000,  0.0000])
    """

    norms: Tensor

    def __init__(self, teachers: int) -> None:
        super().__init__()
        self.register_buffer("norms", torch.zeros(teachers))

    def forward(self, z: Float[Tensor, "batch embedding"], teacher: int) -> Float[Tensor, "batch embedding"]:
        """The same values, to be given to the head of one teacher."""
        if not (self.training and z.requires_grad):
            return z
        z = z.view_as(z)
        z.register_hook(lambda gradient: gradient * self._factor(gradient, teacher))
        return z

    def _factor(self, gradient: Float[Tensor, "batch embedding"], teacher: int) -> Float[Tensor, ""]:
        """What brings this gradient to the mean norm; one, before all norms are known or for a teacher without rows."""
        norm = gradient.detach().float().norm()
        known = self.norms.clone()
        before = known[teacher]
        here = torch.where(before > 0, torch.lerp(before, norm, RATE), norm)
        here = torch.where(norm > 0, here, before)
        self.norms[teacher] = here
        ready = (known > 0).all() & (here > 0)
        return torch.where(ready, known.mean() / here.clamp(min=1e-30), 1.0).to(gradient.dtype)
