"""The training loop: one for all strategies, exact to resume, and counting what it executes.

The data set lies on the device, a batch is an index slice of the epoch's order, and inside an epoch nothing is asked back
from the device: per-sample losses, sums and the loss curve stay there until the epoch ends.
"""

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from frugal import registry
from frugal.data.augment import augment
from frugal.data.cache import Cache
from frugal.data.device import SOURCES
from frugal.errors import FrugalError
from frugal.measure.clock import Clock
from frugal.measure.energy import Energy
from frugal.measure.flops import PassFlops, decoding_flops, pass_flops
from frugal.measure.ledger import Ledger
from frugal.spec import RunSpec
from frugal.strategies.base import Run, Strategy
from frugal.training.batches import Epoch, arrange
from frugal.training.checkpoint import Checkpoints
from frugal.training.evaluation import Evaluation, evaluate
from frugal.training.interrupt import Interrupt, Interrupted
from frugal.training.optimizer import make_optimizer
from frugal.training.progress import Progress
from frugal.training.schedule import rate_at


@dataclass
class EpochSums:
    """What is summed over the steps of one epoch, on the device. curve: (steps,) mean loss of each batch."""

    curve: Tensor
    loss: Tensor
    correct: Tensor
    started: dict[str, int] = field(default_factory=dict)  # ledger at the epoch's start

    @classmethod
    def of(cls, steps: int, device: torch.device, ledger: Ledger) -> "EpochSums":
        """Empty sums for an epoch of that many steps."""
        zero = torch.zeros((), dtype=torch.float64, device=device)
        return cls(torch.zeros(steps, device=device), zero, zero.clone(), asdict(ledger))


class Trainer:
    """One run from its spec and the cache of its data.

    followed: for a control, the history of the run it repeats; checkpoints: where to save and resume, or None;
    checkpoint_seconds: the most work a kill may cost
    """

    def __init__(
        self,
        spec: RunSpec,
        cache: Cache,
        device: torch.device,
        checkpoints: Checkpoints | None = None,
        checkpoint_seconds: float = 60,
        followed: list[dict[str, float]] | None = None,
    ):
        self.spec, self.recipe, self.device = spec, spec.recipe, device
        self.checkpoints, self.checkpoint_seconds = checkpoints, checkpoint_seconds
        torch.manual_seed(spec.seed)
        self.strategy = make_strategy(spec)
        self.train_data = SOURCES[self.strategy.reads](cache, "train", device)
        self.validation_data = SOURCES[self.strategy.reads](cache, "validation", device)
        self.cache = cache
        run = Run(len(self.train_data), self.recipe.epochs, spec.seed, device, followed)
        self.strategy.start(run)
        self.sampler = run.generator("batches")
        self.augmenter = torch.Generator(device).manual_seed(spec.seed)
        model = registry.load("model", spec.model.use).build(
            spec.dataset.shape, spec.dataset.classes, **spec.model.parameters
        )
        model = model.to(device, memory_format=torch.channels_last)
        self.model = self.strategy.prepare_model(model).train()
        self.optimizer = make_optimizer(self.model, self.recipe)
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")
        self.losses = torch.full((len(self.train_data),), float("inf"), device=device)
        self.ledger, self.clock, self.energy = Ledger(), Clock(device), Energy(device)
        self.epoch, self.step = 0, 0  # epochs done, steps done in the current one
        self.batches: Epoch | None = None
        self.sums: EpochSums | None = None
        self.history: list[dict[str, float | None]] = []
        self.curve: list[Tensor] = []
        self._flops: dict[int, PassFlops] = {}
        self._saved_at = time.monotonic()
        self._saved_steps: int | None = None

    def run(self) -> None:
        """Train to the last epoch, from the newest checkpoint where there is one.

        Raises Interrupted after a signal, once the state is saved, and FrugalError where the loss is no longer a number.
        """
        self._resume()
        with Interrupt() as interrupt, Progress(self.recipe.epochs, self.epoch) as progress:
            while self.epoch < self.recipe.epochs:
                self.train_epoch(interrupt, progress)
                with self.clock.stage("evaluate"):
                    self._close_epoch(self.evaluate(self.validation_data))
                progress.epoch_done(self.history[-1])
                if self.epoch == self.recipe.epochs or self._save_due():
                    self._save()

    def evaluate(self, data: Any, full_fidelity: bool = False) -> Evaluation:
        """Evaluate at the strategy's own fidelity, or on uncompressed images."""
        level = None if full_fidelity else self.strategy.test_level()
        return evaluate(self.model, data, level, self.strategy.spectral and level is not None, self.autocast)

    def train_epoch(self, interrupt: Interrupt | None = None, progress: Progress | None = None) -> None:
        """Plan an epoch unless one is under way, and take its steps; evaluation and the epoch's row are the caller's."""
        self.energy.start()
        with self.clock.stage("train"):
            if self.batches is None:
                plan = self.strategy.plan_epoch(self.epoch, self.losses)
                spectral = self.strategy.spectral
                batches = arrange(plan, len(self.train_data), self.recipe.batch_size, spectral, self.sampler)
                self.batches, self.step = batches.to(self.device), 0
                self.sums = EpochSums.of(len(batches), self.device, self.ledger)
            while self.step < len(self.batches):
                self._train_step()
                if progress:
                    progress.advance(1 / len(self.batches))
                if interrupt and interrupt.number is not None:
                    self._save()
                    raise Interrupted(interrupt.number, f"in epoch {self.epoch + 1} after step {self.ledger.steps}")
                if self._save_due():
                    self._save()
            self.strategy.after_epoch(self)
        self.energy.stop()

    def _train_step(self) -> None:
        """Forward and back-propagate one batch, and count it."""
        batches, strategy = self.batches, self.strategy
        start, stop = batches.bounds[self.step]
        segments = batches.segments[self.step] if batches.segments else None
        indices = batches.order[start:stop]
        self._set_rate((self.epoch + self.step / len(batches)) / self.recipe.epochs)
        images = self._augmented(self.train_data.read(indices, segments, strategy.spectral))
        labels = self.train_data.labels.index_select(0, indices)
        with self.autocast:
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
        losses = functional.cross_entropy(
            logits.float(), labels, reduction="none", label_smoothing=self.recipe.label_smoothing
        )
        weighted = losses if batches.weight is None else losses * batches.weight[start:stop]
        self.optimizer.zero_grad(set_to_none=True)
        weighted.mean().backward()
        self.optimizer.step()

        seen = losses.detach()
        self.losses.index_copy_(0, indices, seen)
        total = seen.sum()
        self.sums.curve[self.step] = total / len(seen)
        self.sums.loss += total
        self.sums.correct += (logits.detach().argmax(1) == labels).sum()
        self._count(len(indices), images.shape[-1], segments)
        self.step += 1
        strategy.after_step(self)

    def _augmented(self, images: Tensor) -> Tensor:
        """Random crop and flip; the padding shrinks with the image, so that a spectral sample moves as far as a whole one."""
        wanted = self.recipe.augment
        padding = round(wanted.crop_padding * images.shape[-1] / self.train_data.shape[-1])
        return augment(images, padding, wanted.flip, self.augmenter)

    def _set_rate(self, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(progress, self.recipe)

    @property
    def rate(self) -> float:
        """The learning rate in force; it lives in the optimizer, so that it comes back with it."""
        return self.optimizer.param_groups[0]["lr"]

    def _count(self, samples: int, pixels: int, segments: list | None) -> None:
        flops = self.flops_at(pixels)
        ledger = self.ledger
        ledger.steps += 1
        ledger.flops_forward += samples * flops.forward
        ledger.flops_backward += samples * flops.backward
        if segments:
            top = max(level for level, _, _ in segments)
            ledger.flops_decoding += samples * decoding_flops(self.train_data.shape[0], top, pixels)
        ledger.samples_forwarded += samples
        ledger.samples_backpropagated += samples
        ledger.bytes_raw += samples * self.train_data.raw_bytes_per_sample
        ledger.bytes_read += self.train_data.take_bytes()

    def flops_at(self, pixels: int) -> PassFlops:
        """FLOPs of one sample of that many pixels per side; counted at first use."""
        if pixels not in self._flops:
            channels = self.train_data.shape[0]
            self._flops[pixels] = pass_flops(self.model, (channels, pixels, pixels), self.spec.dataset.classes)
        return self._flops[pixels]

    def _close_epoch(self, validation: Evaluation) -> None:
        """Write the epoch's row, check its losses, and forget its batches."""
        ledger, before = self.ledger, self.sums.started
        samples = ledger.samples_forwarded - before["samples_forwarded"]
        self._check_finite()
        self.curve.append(self.sums.curve.cpu())
        self.epoch += 1
        self.batches, self.step = None, 0
        self.history.append(
            {
                "epoch": self.epoch,
                "steps": ledger.steps,
                "samples": samples,
                "train_loss": self.sums.loss.item() / samples,
                "train_accuracy": self.sums.correct.item() / samples,
                "val_loss": validation.loss,
                "val_accuracy": validation.accuracy,
                "learning_rate": self.rate,
                "train_seconds": self.clock.seconds["train"],
                "flops_executed": ledger.flops_executed,
                "bytes_read": ledger.bytes_read - before["bytes_read"],
                **self.strategy.evidence(),
            }
        )

    def _check_finite(self) -> None:
        bad = (~self.sums.curve[: self.step].isfinite()).nonzero()
        if len(bad):
            step = self.sums.started["steps"] + bad[0].item() + 1
            saved = (
                f"the last good checkpoint is of step {self._saved_steps}"
                if self._saved_steps
                else "no checkpoint was saved yet"
            )
            raise FrugalError(
                f"the training loss is not a number at step {step} (epoch {self.epoch + 1}, learning rate {self.rate:.3g}); "
                f"{saved}; lower recipe.learning_rate"
            )

    # Saving and resuming

    def _save_due(self) -> bool:
        return self.checkpoints is not None and time.monotonic() - self._saved_at >= self.checkpoint_seconds

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        if self.sums is not None:
            self._check_finite()
        with self.clock.stage("checkpoint"):
            self.checkpoints.save(self.ledger.steps, self.state_dict())
        self._saved_at, self._saved_steps = time.monotonic(), self.ledger.steps

    def _resume(self) -> None:
        state = self.checkpoints.load() if self.checkpoints else None
        if state is not None:
            self.load_state_dict(state)
            self.ledger.resumes += self.epoch < self.recipe.epochs
            self._saved_steps = self.ledger.steps

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, and all that its record will say."""
        cuda = self.device.type == "cuda"
        return {
            "epoch": self.epoch,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "strategy": self.strategy.state_dict(),
            "losses": self.losses,
            "batches": None if self.batches is None else self.batches.state_dict(),
            "sums": None if self.batches is None else asdict(self.sums),
            "history": self.history,
            "curve": self.curve,
            "ledger": asdict(self.ledger),
            "seconds": self.clock.seconds,
            "joules": self.energy.joules,
            "random": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
                "sampler": self.sampler.get_state(),
                "augmenter": self.augmenter.get_state(),
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`: the next step is the one that would have come."""
        device = self.device
        self.epoch, self.step = state["epoch"], state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.strategy.load_state_dict(state["strategy"])
        self.losses.copy_(state["losses"])
        if state["batches"] is not None:
            self.batches = Epoch(**state["batches"]).to(device)
            sums = state["sums"]
            self.sums = EpochSums(*(sums[f.name].to(device) for f in fields(EpochSums)[:3]), sums["started"])
        self.history, self.curve = state["history"], state["curve"]
        self.ledger = Ledger(**state["ledger"])
        self.clock.seconds = dict(state["seconds"])
        self.energy.joules = state["joules"]
        random = state["random"]
        torch.set_rng_state(random["torch"])
        if random["cuda"] is not None:
            torch.cuda.set_rng_state(random["cuda"], device)
        self.sampler.set_state(random["sampler"])
        self.augmenter.set_state(random["augmenter"])


def make_strategy(spec: RunSpec) -> Strategy:
    """The strategy object a spec names."""
    module = registry.load("strategy", spec.strategy.use)
    found = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Strategy) and c.__module__ == module.__name__
    ]
    return found[0](**spec.strategy.parameters)
