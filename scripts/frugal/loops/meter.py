"""Meter of anyone's training loop: what it executes, counted from outside, so that it can stand beside a baseline's curve.

    with frugal.meter(model, optimizer) as meter:
        for images, labels in loader:                # unchanged
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        with meter.evaluating():                     # costs no training
            accuracy = test(model)
    meter.write("metered.json", test_accuracy=accuracy)

`make compare-record` holds such files against the plain net trained for less.

How FLOPs are counted. The passes between two steps of the optimizer are a unit. Torch's own counter sees every operator of some
units: the first of each kind, and one in `every` from then on. Others are charged with the mean of those of their kind, pass by
pass in proportion to their samples: as many as the first tensor is long that the model is given, by itself or inside of a batch
(a tuple, list or dict). Where it is given none, each pass is charged alike. A unit's kind is the shapes of the weights and, of
each pass, the shape of a sample and whether gradients are kept; so a net that was pruned is counted anew. A kind that was never
counted leaves the sum null.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from frugal.atomic import write_bytes
from frugal.errors import FrugalError
from frugal.measure.clock import OTHER, Clock
from frugal.measure.energy import Energy
from frugal.measure.memory import peak_memory
from frugal.record import METERED
from frugal.training.device import describe_hardware
from frugal.versions import versions

BY_HOOKS = "torch's counter, in {counted} of {units} steps; the others as the mean of their kind"
Kind = tuple[Any, ...]


class Meter:
    """Counts what a loop executes between its start and its end, without changing a number of it.

    model: as the loop calls it; optimizer: whose steps end a unit; every: of so many units one is counted by the slow counter.
    Counts forward passes in training and in scoring alike; what costs no training belongs into `evaluating`.
    steps, samples_forwarded: so far, the latter None where they can't be seen. One process is measured: with several, each has
    a meter of its own.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = 100):
        if not isinstance(model, nn.Module) or not isinstance(optimizer, Optimizer):
            raise FrugalError("frugal.meter takes the model and its optimizer, in this order")
        if every < 2:
            raise FrugalError(f"every is {every}; the slow counter sees at most every second step, so 2 is the least")
        self.model, self.optimizer, self.every = model, optimizer, every
        self.device = next((one.device for one in model.parameters()), torch.device("cpu"))
        self.steps = 0
        self.samples_forwarded: int | None = 0
        self.bytes_read: int | None = None
        self._backpropagated: torch.Tensor | None = torch.zeros((), dtype=torch.int64, device=self.device)
        self._compiled = any("OptimizedModule" in type(one).__name__ for one in model.modules())
        self._passes: list[tuple[Any, int, int]] = []  # of this unit: kind, samples, FLOPs counted before it
        self._weights: tuple | None = None
        self._counter: FlopCounterMode | None = None
        self._counted: dict[Kind, list[list[float]]] = defaultdict(list)  # FLOPs of a sample in each pass
        self._charged: dict[Kind, list[int]] = defaultdict(
            list
        )  # samples of each pass of the units that weren't counted
        self._charged_units: dict[Kind, int] = defaultdict(int)
        self._exact, self._counted_units, self._open, self._paused = 0, 0, False, False
        self._hooks: list[Any] = []

    def __enter__(self) -> "Meter":
        if self._open or self._hooks:
            raise FrugalError("this meter has measured already; make another for another training")
        self._open, self.started = True, datetime.now(UTC)
        self._hooks = [
            self.model.register_forward_pre_hook(self._before_pass, with_kwargs=True),
            self.model.register_forward_hook(self._after_pass),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        self.clock, self.energy = Clock(self.device), Energy(self.device)
        self.energy.start()
        self.clock.switch("train")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_counting()
        self.clock.switch(OTHER)
        self.energy.stop()
        for hook in self._hooks:
            hook.remove()
        self._open, self.ended = False, datetime.now(UTC)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """A block that costs no training: its passes, seconds and joules don't count."""
        was, metered = self._paused, self.energy.pause()
        self._paused = True
        self.clock.switch("evaluate")
        try:
            yield
        finally:
            self._paused = was
            self.clock.switch("train")
            if metered:
                self.energy.start()

    def count_bytes(self, read: int) -> None:
        """Add bytes of training samples that were read; without a call they are null, since nothing here can see them."""
        self.bytes_read = (self.bytes_read or 0) + int(read)

    # ---- hooks

    def _before_pass(self, model: nn.Module, given: tuple, named: dict[str, Any]) -> None:
        if self._paused:
            return
        inputs = next((one for one in tree_leaves((given, named)) if isinstance(one, torch.Tensor) and one.dim()), None)
        samples = None if inputs is None else len(inputs)
        shape = None if inputs is None else tuple(inputs.shape[1:])
        if not self._passes:
            self._begin_unit((shape, torch.is_grad_enabled()))
        before = self._counter.get_total_flops() if self._counter else 0
        self._passes.append(
            ((shape, torch.is_grad_enabled(), model.training), 1 if samples is None else samples, before)
        )
        unknown = samples is None or self.samples_forwarded is None
        self.samples_forwarded = None if unknown else self.samples_forwarded + samples

    def _after_pass(self, model: nn.Module, given: tuple, out: Any) -> None:
        if self._paused or self._backpropagated is None or not torch.is_grad_enabled():
            return
        logits = out if isinstance(out, torch.Tensor) else getattr(out, "logits", None)
        if not isinstance(logits, torch.Tensor) or not logits.dim() or len(logits) != self._passes[-1][1]:
            self._backpropagated = None
        elif logits.requires_grad:
            logits.register_hook(self._after_backward)

    def _after_backward(self, gradient: torch.Tensor) -> None:
        if self._backpropagated is not None:
            # One output per sample, (b,), as of a regression, is a row of one.
            self._backpropagated += (gradient.detach().reshape(len(gradient), -1) != 0).any(1).sum()

    def _begin_unit(self, first: Any) -> None:
        """Count this one if its kind may be new, or its turn has come."""
        self._weights = tuple((tuple(one.shape), one.requires_grad) for one in self.model.parameters())
        known = any(kind[0] == self._weights and kind[1][0][:2] == first for kind in self._counted)
        waiting = any(kind not in self._counted for kind in self._charged)
        if self._compiled or (known and not waiting and self.steps % self.every):
            return
        self.clock.switch("count")
        self._counter = FlopCounterMode(display=False)
        self._counter.__enter__()

    def _stop_counting(self) -> int:
        """FLOPs of the unit, where it was counted."""
        counter, self._counter = self._counter, None
        if counter is None:
            return 0
        counter.__exit__(None, None, None)
        self.clock.switch("train")
        return counter.get_total_flops()

    def _after_step(self, optimizer: Optimizer, given: tuple, named: dict) -> None:
        self.steps += 1
        was_counted, passes = self._counter is not None, self._passes
        total = self._stop_counting()
        self._passes = []
        if not passes:
            return
        kind = (self._weights, tuple(shape for shape, _, _ in passes))
        samples = [count for _, count, _ in passes]
        if was_counted:
            ends = [before for _, _, before in passes[1:]] + [total]
            spent = [end - before for end, (_, _, before) in zip(ends, passes, strict=True)]
            self._counted[kind].append([flops / max(count, 1) for flops, count in zip(spent, samples, strict=True)])
            self._exact += total
            self._counted_units += 1
            return
        so_far = self._charged.get(kind) or [0] * len(samples)
        self._charged[kind] = [one + more for one, more in zip(so_far, samples, strict=True)]
        self._charged_units[kind] += 1

    # ---- the record

    @property
    def flops_executed(self) -> int | None:
        """FLOPs of all passes so far (a multiplication and an addition are two); None where a part can't be known."""
        return self._flops()[0]

    def _flops(self) -> tuple[int | None, str]:
        units = self._counted_units + sum(self._charged_units.values())
        if self._compiled:
            return None, "torch.compile hides its operators from torch's counter"
        if unknown := sum(count for kind, count in self._charged_units.items() if kind not in self._counted):
            return (
                None,
                f"{unknown} of {units} steps are of a kind that was never counted; give frugal.meter a smaller `every`",
            )
        flops = float(self._exact)
        for kind, samples in self._charged.items():
            seen = self._counted[kind]
            each = [sum(one[place] for one in seen) / len(seen) for place in range(len(samples))]
            flops += sum(count * one for count, one in zip(samples, each, strict=True))
        return round(flops), BY_HOOKS.format(counted=self._counted_units, units=units)

    def figures(self) -> dict[str, Any]:
        """What was measured, by the names of metrics.json; null what can't be, with the reason in `notes`.

        Raises FrugalError inside of the with-block.
        """
        if self._open:
            raise FrugalError("the meter is still running; ask for its figures after the with-block")
        flops, source = self._flops()
        notes = (
            [] if self._backpropagated is not None else ["samples_backpropagated: the model gives no tensor of logits"]
        )
        if self.samples_forwarded is None:
            notes.append("samples_forwarded: the model is given no tensor of samples")
        notes += [] if self.bytes_read is not None else ["bytes_read: nobody called count_bytes"]
        # Steps under the slow counter take longer; they are given the seconds of the others.
        others = self.steps - self._counted_units
        slower = self.steps / others if others else None
        if slower is None:
            notes.append(
                "train_seconds, cpu_seconds: of steps that were slowed down by counting, since there were no others"
            )
        count = ("train", "count") if slower is None else ("train",)
        wall, cpu = (
            sum(part.get(name, 0.0) for name in count) * (slower or 1) for part in (self.clock.seconds, self.clock.cpu)
        )
        memory, memory_source = peak_memory(self.device)
        return {
            "kind": METERED,
            "steps": self.steps,
            "flops_executed": flops,
            "flops_source": source,
            "samples_forwarded": self.samples_forwarded,
            "samples_backpropagated": None if self._backpropagated is None else int(self._backpropagated),
            "bytes_read": self.bytes_read,
            "train_seconds": wall,
            "cpu_seconds": cpu,
            "counting_seconds": self.clock.seconds.get("count", 0.0),
            "evaluation_seconds": self.clock.seconds.get("evaluate", 0.0),
            "energy_joules": self.energy.joules,
            "energy_source": self.energy.source,
            "peak_memory_bytes": memory,
            "peak_memory_source": memory_source,
            "parameters": sum(one.numel() for one in self.model.parameters()),
            "device": self.device.type,
            "hardware": describe_hardware(self.device),
            "versions": versions(),
            "started": self.started.isoformat(timespec="seconds"),
            "ended": self.ended.isoformat(timespec="seconds"),
            "notes": notes,
        }

    def write(self, path: str | Path, *, test_accuracy: float, name: str = "metered", seed: int = 0) -> Path:
        """Write the figures as JSON, whole or not at all. test_accuracy: as a fraction; name, seed: of the run, for tables.

        Raises FrugalError for an accuracy that is none.
        """
        accuracy = float(test_accuracy)
        if not 0 <= accuracy <= 1:
            raise FrugalError(f"test_accuracy is {test_accuracy}; give it as a fraction between 0 and 1")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"name": name, "seed": seed, "test_accuracy": accuracy, **self.figures()}
        write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
        return path
