"""Forward pass as the training steps call it: channels last, compiled where that pays, in the precision of the run.

The precision `auto` is bfloat16 where the device computes it natively and a few timed steps show that it pays. Which one is
faster depends on the net as much as on the device, so it is measured on a copy of the model; the choice is kept in the
checkpoint, so that a run which is continued elsewhere goes on as it began.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.measure.clock import synchronise
from frugal.record import PRECISION_CHOSEN
from frugal.training import convolution_gradients
from frugal.training.device import cpu_flags

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}  # of autocast, by the recipe's names
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


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """What a pass in a precision of the recipe is taken under; does nothing for float32."""
    return torch.autocast(device.type, DTYPES.get(precision, torch.bfloat16), enabled=precision in DTYPES)


class Forward:
    """Inputs -> logits. Only shapes that were warmed up run compiled, so a ragged last batch never compiles anything.

    mode: of torch.compile, or None; the model itself stays as it is, for evaluation, checkpoints and counting; layers: whose
    weights take their gradients from images side by side, see `choose_gradients`
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        precision: str,
        mode: str | None,
        layers: Sequence[Sequence[int]] = (),
    ):
        self.model, self.device = model, device
        self.gradients = convolution_gradients.SideBySide(layers) if layers else nullcontext()
        self.autocast = autocast(device, precision)
        self.compiled = torch.compile(model, dynamic=False, mode=mode) if mode else None
        self.mode = mode
        self.graphs = mode == "reduce-overhead"
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs: (b, ...), images (b, C, H, W) or whatever the model takes -> logits (b, classes)."""
        net = self.compiled if tuple(inputs.shape) in self.shapes else self.model
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()  # what the last step's graph gave may be overwritten
        with self.autocast, self.gradients:
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


ROUNDS = 5
ENOUGH = 2.0  # seconds that were timed, after which no further round is: beside them the clock's chance is small
FILLS = 256  # samples that keep a CPU core as busy as more of them; a batch of 1,024 would take a minute to choose for
PAYS = 1.1  # times faster; less may be chance, and float32 is the more exact


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; elsewhere it is emulated, which never pays."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu_flags())


def choose_precision(
    model: nn.Module, shape: tuple[int, ...], classes: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[str, str]:
    """ "float32" or "bfloat16", and a sentence for the record. shape, dtype: of a training batch, (b, ...), of which a part is
    timed on a CPU.

    Leaves the model, its statistics and the random state as they were.
    """
    if not computes_bfloat16(device):
        return "float32", f"{PRECISION_CHOSEN}float32, this device has no bfloat16 instructions"
    times, spent = {"float32": float("inf"), "bfloat16": float("inf")}, 0.0
    if device.type == "cpu":
        shape = (min(shape[0], FILLS), *shape[1:])
    with _twin(model, shape, device, dtype) as (twin, inputs):
        for turn in range(ROUNDS + 1):
            for precision, best in times.items():
                seconds = _step(twin, inputs, classes, precision)
                if turn:  # the first one allocates and plans
                    times[precision], spent = min(best, seconds), spent + seconds
            if spent >= ENOUGH:
                break
    gain = times["float32"] / times["bfloat16"]
    chosen = "bfloat16" if gain >= PAYS else "float32"
    return chosen, f"{PRECISION_CHOSEN}{chosen}, a step in bfloat16 took 1/{gain:.2f} of one in float32 on this device"


def choose_gradients(
    model: nn.Module, shapes: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[list[tuple[int, ...]], list[str]]:
    """The layers whose weights take their gradients in bfloat16 from images side by side, and notes for the record.

    shapes: of training batches, (b, ...), of which a part is timed; none is chosen for anything but images on a CPU.
    Leaves the model, its statistics and the random state as they were.
    """
    if device.type != "cpu" or len(shapes[0]) != 4:
        return [], []
    smaller = [(min(shape[0], FILLS), *shape[1:]) for shape in shapes]
    with _twin(model, smaller[0], device, torch.float32) as (twin, _):
        layers, notes = convolution_gradients.choose(twin, [laid_out(torch.randn(shape)) for shape in smaller])
    return [tuple(layer) for layer in layers], notes


def check_float16(
    model: nn.Module, shape: tuple[int, ...], classes: int, device: torch.device, dtype: torch.dtype
) -> None:
    """Raise FrugalError where torch can't train a model in float16 on a device: on a CPU some layers have no code for it.

    shape, dtype: of a small batch, (b, ...). Leaves the model, its statistics and the random state as they were.
    """
    with autocast(device, "float16"):
        known = torch.is_autocast_enabled(device.type)
    why = None if known else "it has no autocast to it"
    if known:
        try:
            with _twin(model, shape, device, dtype) as (twin, inputs):
                _step(twin, inputs, classes, "float16")
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = str(error).strip().splitlines()[0]
    if why:
        raise FrugalError(
            f"recipe.precision is float16, in which torch can't train this model on {device.type} ({why}); choose bfloat16"
        )


@contextmanager
def _twin(
    model: nn.Module, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[nn.Module, Tensor]]:
    """A copy of a model in training mode and a batch for it; random draws within change none outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        drawn = torch.randn(shape, device=device)
        inputs = laid_out(drawn) if dtype.is_floating_point else torch.ones_like(drawn, dtype=dtype)
        yield copy.deepcopy(model).train(), inputs


def _step(model: nn.Module, inputs: torch.Tensor, classes: int, precision: str) -> float:
    """Seconds of a forward and a backward pass."""
    device = inputs.device
    synchronise(device)
    start = time.perf_counter()
    with autocast(device, precision):
        logits = model(inputs).flatten(0, -2)
    labels = torch.arange(len(logits), device=device) % classes
    functional.cross_entropy(logits.float(), labels).backward()
    synchronise(device)
    model.zero_grad()
    return time.perf_counter() - start


@torch.no_grad()
def score(forward: Forward, inputs: Tensor, scale: float) -> Tensor:
    """Logits (b, classes) of inputs (b, ...); images (b, C, H, W) at half their size where `scale` is 0.5.

    In evaluation mode: batch normalisation uses its running statistics and doesn't update them, dropout is off.
    """
    model: nn.Module = forward.model
    if scale == 0.5:
        inputs = functional.avg_pool2d(inputs, 2, ceil_mode=True)
    model.eval()
    with forward.autocast:
        logits = model(laid_out(inputs))
    model.train()
    return logits


def scored_size(pixels: int, scale: float) -> int:
    """Pixels per side of a scored image."""
    return pixels if scale == 1 else -(-pixels // 2)
