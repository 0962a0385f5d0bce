"""Residual blocks whose branch can be left out: then only their shortcut is computed, in the forward pass as in the backward.

A model whose blocks can do so says `BLOCKS = True` and has a function `droppable(net)`, which makes them such, in place, and
returns them from the front.
"""

from torch import Tensor


class Droppable:
    """What a block has beside its own: a class of its kind that derives from this and whose `forward` asks for it.

    kept: whether a training pass computes the branch; in_training, in_test: what the branch is multiplied by
    """

    kept: bool = True
    in_training: float = 1.0
    in_test: float = 1.0

    @property
    def dropped(self) -> bool:
        """Whether this pass leaves the branch out."""
        return self.training and not self.kept

    def scaled(self, branch: Tensor) -> Tensor:
        """The branch times its factor, of any shape."""
        factor = self.in_training if self.training else self.in_test
        return branch if factor == 1 else branch * factor
