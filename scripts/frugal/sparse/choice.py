"""Choice of a sparse layer's kernel: the fastest one for its shape on this machine, measured once and recorded."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.measure.clock import synchronise
from frugal.measure.memory import give_back

ROUNDS = 3
# Times faster than `scatter` that `csr` has to be: its index by columns takes 12 bytes per weight, which saved 16.
WORTH_ITS_INDEX = 1.25
HOPELESS = 2.0  # times slower than the best one at the first try: not measured any further

_measured: dict[tuple, "Choice"] = {}  # of this process, by what a time depends on


@dataclass(frozen=True)
class Choice:
    """kernel: the chosen one; why: a sentence for the record, with milliseconds where they were measured."""

    kernel: str
    why: str


def candidates(layer: Any) -> list[str]:
    """Kernels a layer may use. layer: a SparseLayer; raises FrugalError where `wanted` names none."""
    if layer.wanted not in ("auto", "sparse", "scatter"):
        raise FrugalError(f"kernel is {layer.wanted!r}; choose auto, sparse or scatter")
    if layer.wanted == "scatter":
        return ["scatter"]
    sparse = ["csr"] if layer.pattern.block == 1 else ["bsr", "gather"]
    if layer.pattern.of_four:
        sparse = ["semi-structured"]
    return sparse if layer.wanted == "sparse" else [*sparse, "scatter"]


def choose(layer: Any, x: Tensor) -> Choice:
    """The fastest kernel for a layer and an input like x, forward and backward; measured once per process and shape.

    Ranks of one run take the leader's choice. Raises FrugalError where none of the kernels asked for runs here.
    """
    found = candidates(layer)
    if len(found) == 1 and found == ["scatter"]:
        return Choice("scatter", "as asked")
    key = (
        *(type(layer).__name__, layer.shape, layer.weight_shape, layer.pattern, len(layer.index), layer.wanted),
        *(tuple(x.shape), x.dtype, x.device, x.requires_grad, torch.is_autocast_enabled(x.device.type)),
        *(torch.get_num_threads(), str(getattr(layer, "where", ""))),
    )
    if key not in _measured:
        _measured[key] = _from_main(_fastest(layer, x, found))
        give_back()
    return _measured[key]


def _fastest(layer: Any, x: Tensor, names: list[str]) -> Choice:
    best, failed = {}, []
    for name in names:
        try:
            best[name] = _milliseconds(layer, name, x)
        except (RuntimeError, NotImplementedError) as error:
            failed.append(f"{name} does not run here ({str(error).splitlines()[0][:100]})")
    if not best:
        raise FrugalError(f"layer {layer.name}: {'; '.join(failed)}; choose kernel: scatter")
    for _ in range(ROUNDS):  # in turns, so that all see the same machine
        for name in [name for name in best if best[name] <= HOPELESS * min(best.values())]:
            best[name] = min(best[name], _milliseconds(layer, name, x))
    layer._compressed = {}
    chosen = min(best, key=best.get)
    if layer.pattern.block == 1 and best.get("scatter", float("inf")) <= WORTH_ITS_INDEX * best[chosen]:
        chosen = "scatter"
    times = ", ".join(f"{name} {ms:.3g} ms" for name, ms in sorted(best.items(), key=lambda pair: pair[1]))
    return Choice(chosen, "; ".join([f"forward and backward of {tuple(x.shape)}: {times}", *failed]))


def _milliseconds(layer: Any, kernel: str, x: Tensor) -> float:
    """Of one forward and backward pass; the layer's parameters, gradients and the random state stay as they are."""
    if kernel != "scatter" and kernel != "semi-structured":
        layer.compressed(kernel)  # made once in a run, so not part of a step
    values = layer.values.detach().requires_grad_()
    wanted = x.detach().requires_grad_(x.requires_grad)
    synchronise(x.device)
    start = time.perf_counter()
    y = layer.run(kernel, wanted, values)
    torch.autograd.grad(y, [values, wanted] if wanted.requires_grad else [values], torch.ones_like(y))
    synchronise(x.device)
    return 1000 * (time.perf_counter() - start)


def _from_main(choice: Choice) -> Choice:
    """Where several ranks share a run all compute with the same kernel."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return choice
    box = [choice]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]
