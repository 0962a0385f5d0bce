"""The model as the training steps call it: channels last, in the run's precision, compiled where that pays."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError

# Steps below which compiling is not tried: it takes about a minute, and a step of a small net on a GPU some milliseconds.
WORTH_COMPILING = 5000


def compile_mode(wanted: str | bool, device: torch.device, steps: int) -> str | None:
    """The mode of torch.compile, or None for running eagerly. wanted: as in the recipe; steps: of the whole run.

    Raises FrugalError where CUDA graphs are asked for without CUDA.
    """
    if wanted == "graphs":
        if device.type != "cuda":
            raise FrugalError("recipe.compile is graphs, which needs a CUDA GPU; use true, false or auto")
        return "reduce-overhead"
    if wanted == "auto":
        wanted = device.type == "cuda" and steps >= WORTH_COMPILING
    return "default" if wanted else None


def laid_out(inputs: Tensor) -> Tensor:
    """Images (b, C, H, W) with their channels last, which convolutions like; anything else as it is."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


class Forward:
    """Inputs -> logits. Only shapes that were warmed up run compiled, so a ragged last batch never compiles anything.

    mode: of torch.compile, or None; the model itself stays as it is, for evaluation, checkpoints and counting
    """

    def __init__(self, model: nn.Module, device: torch.device, precision: str, mode: str | None):
        self.model, self.device = model, device
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
        self.compiled = torch.compile(model, dynamic=False, mode=mode) if mode else None
        self.mode = mode
        self.graphs = mode == "reduce-overhead"
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs: (b, ...), images (b, C, H, W) or whatever the model takes -> logits (b, classes)."""
        net = self.compiled if tuple(inputs.shape) in self.shapes else self.model
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()  # what the last step's graph gave may be overwritten
        with self.autocast:
            return net(laid_out(inputs))

    def renew(self) -> None:
        """Compile the model anew for the same shapes of inputs, after its weights changed theirs."""
        shapes, self.shapes = sorted(self.shapes), set()
        torch.compiler.reset()  # the old code is never called again; kept, it would count towards torch's limit of recompiles
        self.compiled = torch.compile(self.model, dynamic=False, mode=self.mode)
        self.warm_up(shapes, self.dtype)

    def warm_up(self, shapes: list[tuple[int, ...]], dtype: torch.dtype = torch.float32) -> None:
        """Compile for inputs of these shapes (b, ...), by one pass each.

        It leaves weights, statistics and random state alone.
        """
        self.dtype = dtype
        new = [] if self.compiled is None else [shape for shape in shapes if shape not in self.shapes]
        if not new:
            return
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            for shape in new:
                self.shapes.add(shape)
                logits = self(torch.ones(shape, dtype=dtype, device=self.device)).flatten(
                    0, -2
                )  # token 0 would be no text
                labels = torch.zeros(len(logits), dtype=torch.long, device=self.device)
                functional.cross_entropy(logits.float(), labels).backward()
        self.model.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)
