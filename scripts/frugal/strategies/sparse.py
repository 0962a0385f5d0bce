"""Sparse layers: leave out weights from the start, in a fixed pattern, and never hold them, their gradients or their moments.

"Experiment Report: Sparse Matrix Representations for Efficient Training" (author and year not named), which planned 4x4
blocks and random entries at 50 %. Published experience: at 50 % such a step takes as long as a dense one; what is saved is
memory. Speed begins at 75-80 %, or with blocks of 16 and more.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Lt
from torch import nn

from frugal.parameters import SparsityPattern
from frugal.sparse.convert import kept_and_total, kernel_notes, kernels_of, restore_kernels, sparsify
from frugal.sparse.pattern import parse_pattern
from frugal.strategies.base import Strategy


@dataclass
class Sparse(Strategy):
    """Linear layers and convolutions keep only some of their weights.

    pattern: random, block-BxB, or semi-structured-2-4 (CUDA only); sparsity: share of a layer's weights left out, in [0, 1)
    kernel: auto measures for each layer whether computing from the values alone or through the dense weight is faster
    skip: layers that stay dense, by name with * and ?; none given: first-conv (the first convolution) and head (the last
    linear layer)
    """

    decides = ("weights",)
    needs: ClassVar[dict[str, Any]] = {
        "blocks": "its blocks have to tile each layer",
        "cuda": {"pattern": {"semi-structured-2-4": "two of every four weights are multiplied by CUDA GPUs only"}},
    }

    pattern: SparsityPattern = "random"
    sparsity: Annotated[float, Ge(0), Lt(1)] = 0.5
    kernel: Literal["auto", "sparse", "scatter"] = "auto"
    skip: list[str] | None = None

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The net with sparse layers; raises FrugalError where the pattern doesn't fit it."""
        pattern = parse_pattern(self.pattern)
        draws, called = self.run.generator("sparse"), self.model_builder and self.model_builder.use
        self.covered = sparsify(model, pattern, self.sparsity, draws, self.skip, self.kernel, called=called)
        self.model = model
        return model

    @property
    def notes(self) -> list[str]:
        """What is sparse, what stays dense, and each layer's kernel with the milliseconds it was chosen by."""
        return [self.covered, *kernel_notes(self.model)]

    def evidence(self) -> dict[str, float | None]:
        """Weights kept in the sparse layers, and the share of them left out."""
        kept, total = kept_and_total(self.model)
        return {"kept_weights": kept, "sparsity": 1 - kept / total}

    def state_dict(self) -> dict[str, Any]:
        """The chosen kernels; values and pattern are the model's."""
        return {"kernels": kernels_of(self.model)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        restore_kernels(self.model, state["kernels"])
