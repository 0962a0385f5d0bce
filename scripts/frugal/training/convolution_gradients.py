"""Gradients of convolutions' weights over small images on a CPU, from rows in which several images lie side by side.

For the gradient of a convolution's weights torch's library, oneDNN, multiplies matrices of bfloat16 whose inner side is the
width of an image, filled up: images of 7x7 or 3x3 pixels leave most of each product empty. Images in one row, with zeros of the
padding's width between them, fill it, and the sums are the same. On a core with instructions for such products (AMX) the
gradient of 256 to 256 channels took half of the time at 7x7 pixels and a fifth at 3x3; which layers gain is measured before the
first step. It isn't tried in float32, where no more than a quarter was gained, at 3x3 alone.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

WIDTH = 64  # pixels of a row; of 16, 24, 32, 40 and 64 the last was the fastest at 3x3 and at 7x7
WORTH_TIMING = 5e8  # FLOPs of a gradient below which it isn't timed: it takes no longer than a few milliseconds
ROUNDS = 3
PAYS = 1.1  # times faster; less may be chance


class Layer(NamedTuple):
    """What a gradient's time depends on: channels, pixels per side of a filter, and an image's height and width."""

    inputs: int
    outputs: int
    kernel: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.inputs} to {self.outputs} channels at {self.height}x{self.width}"


class SideBySide(TorchFunctionMode):
    """While entered, convolutions of some layers take their gradients this way, under autocast; all else is torch's own.

    layers: the `Layer` of each
    """

    def __init__(self, layers: Iterable[Sequence[int]]):
        super().__init__()
        self.layers = {Layer(*layer) for layer in layers}

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """What a function of torch gives. Called by torch for each one."""
        if func is not torch.conv2d or kwargs or not torch.is_grad_enabled() or layer_of(*args) not in self.layers:
            return func(*args, **(kwargs or {}))
        x, weight, bias = (*args[:3], None)[:3]
        narrow = torch.get_autocast_dtype("cpu")  # to which autocast would cast them
        return _Convolution.apply(x.to(narrow), weight.to(narrow), None if bias is None else bias.to(narrow))


def layer_of(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Layer | None:
    """The layer of a call of torch.conv2d under autocast, with trained weights, that keeps the size of images; else None.

    x: images (b, C, H, W); weight: filters (O, C, k, k); the rest as torch.conv2d takes it
    """
    if x.dim() != 4 or x.dtype == torch.float64 or not torch.is_autocast_enabled("cpu"):
        return None
    if not weight.requires_grad or groups != 1 or padding == "valid":
        return None
    kernel = weight.shape[2]
    same = weight.shape[3] == kernel and kernel % 2 == 1 and kernel > 1
    if not same or any(set(_pair(value)) != {1} for value in (stride, dilation)):
        return None
    if padding != "same" and set(_pair(padding)) != {kernel // 2}:
        return None
    return Layer(weight.shape[1], weight.shape[0], kernel, *x.shape[2:])


def _pair(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) else (int(value),)


class _Convolution(torch.autograd.Function):
    """A convolution of images (b, C, H, W) that keeps their size, its weights' gradient from images side by side."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias = None if bias is None else list(bias.shape)
        return torch.conv2d(x, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        of_x, of_weight, of_bias = None, None, None
        if wanted[0] or wanted[2]:
            of_x, _, of_bias = _gradients(gradient, x, weight, ctx.bias, (wanted[0], False, wanted[2]))
        if wanted[1]:
            of_weight = weight_gradient(gradient, x, weight)
        return of_x, of_weight, of_bias


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Gradient (O, C, k, k) of the weights of a convolution that keeps the size of images, from rows of several images.

    gradient: (b, O, H, W) of its outputs; x: (b, C, H, W), its inputs; weight: (O, C, k, k), of which only the shape counts
    """
    gap, count = weight.shape[2] // 2, beside(x.shape[3], weight.shape[2])
    return _gradients(in_rows(gradient, count, gap), in_rows(x, count, gap), weight, None, (False, True, False))[1]


def beside(width: int, kernel: int) -> int:
    """How many images, so many pixels wide, with the zeros that a filter needs between them, lie in one row."""
    return max(1, WIDTH // (width + kernel // 2))


def in_rows(images: Tensor, count: int, gap: int) -> Tensor:
    """Images (b, C, H, W) -> (rows, C, H, count * (W + gap)), channels last; right of each image `gap` columns of zeros.

    count: of images in a row; where b isn't a multiple of it the last row ends with zeros
    """
    samples, channels, height, width = images.shape
    full, left = divmod(samples, count)
    rows = images.new_zeros(full + (left > 0), height, count, width + gap, channels)
    images = images.permute(0, 2, 3, 1)
    rows[:full, :, :, :width] = images[: full * count].unflatten(0, (full, count)).transpose(1, 2)
    if left:
        rows[full, :, :left, :width] = images[full * count :].transpose(0, 1)
    return rows.flatten(2, 3).permute(0, 3, 1, 2)


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, bias: list[int] | None, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, ...]:
    """torch's own, of inputs, weights and bias."""
    side = weight.shape[2] // 2
    rest = [1, 1], [side, side], [1, 1], False, [0, 0], 1
    return torch.ops.aten.convolution_backward(gradient, x, weight, bias, *rest, wanted)


class _Seen(TorchFunctionMode):
    """Notes the layers of all convolutions that are called while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: dict[Layer, None] = {}

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func is torch.conv2d and not kwargs and (layer := layer_of(*args)) is not None:
            self.layers[layer] = None
        return func(*args, **(kwargs or {}))


def choose(model: nn.Module, batches: Iterable[Tensor]) -> tuple[list[Layer], list[str]]:
    """The layers of a model that gain, measured here in turns with torch's own way, and a note for the record where any does.

    model: a copy, whose statistics may change; batches: inputs (b, ...) of each size that it is trained on
    """
    chosen, gains, timed = [], [], set()
    for inputs in batches:
        with _Seen() as seen, torch.autocast("cpu", torch.bfloat16):
            model(inputs)
        for layer in seen.layers:
            flops = 2 * len(inputs) * layer.height * layer.width * layer.kernel**2 * layer.inputs * layer.outputs
            if layer not in timed and beside(layer.width, layer.kernel) > 1 and flops >= WORTH_TIMING:
                timed.add(layer)
                if (gain := _gain(layer, len(inputs))) >= PAYS:
                    chosen.append(layer)
                    gains.append(f"1/{gain:.1f} for {layer}")
    if not chosen:
        return [], []
    return chosen, [
        f"gradients of convolutions' weights: from images side by side, in a part of torch's own time, {', '.join(gains)}"
    ]


def _gain(layer: Layer, count: int) -> float:
    """How many times faster the gradient is this way, of a batch of so many images."""
    side = {"memory_format": torch.channels_last}
    x = torch.randn(count, layer.inputs, layer.height, layer.width, dtype=torch.bfloat16).contiguous(**side)
    gradient = torch.randn(count, layer.outputs, layer.height, layer.width, dtype=torch.bfloat16).contiguous(**side)
    weight = torch.zeros(layer.outputs, layer.inputs, layer.kernel, layer.kernel, dtype=torch.bfloat16).contiguous(
        **side
    )
    ways = (
        lambda: _gradients(gradient, x, weight, None, (False, True, False)),
        lambda: weight_gradient(gradient, x, weight),
    )
    best = [float("inf"), float("inf")]
    for turn in range(ROUNDS + 1):
        for place, way in enumerate(ways):
            start = time.perf_counter()
            way()
            if turn:  # the first one allocates and plans
                best[place] = min(best[place], time.perf_counter() - start)
        if turn and best[0] < best[1]:
            break  # hopeless
    return best[0] / best[1]
