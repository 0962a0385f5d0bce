"""The training loop: one for all strategies, exact to resume, and counting what it executes.

The data set lies on the device or is read ahead of it, a batch is an index slice of the epoch's order, and inside an epoch
nothing is asked back from the device: per-sample losses, sums and the loss curve stay there until the epoch ends. What a
run is put together from is in `setup`, what it saves in `state`, how several ranks share it in `parallel`.
"""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frugal.data.augment import augment
from frugal.data.cache import Cache
from frugal.data.device import Split, source_of
from frugal.data.files import Files
from frugal.errors import FrugalError
from frugal.measure.clock import Clock
from frugal.measure.energy import Energy
from frugal.measure.flops import PassFlops, decoding_flops, pass_flops
from frugal.measure.ledger import Ledger
from frugal.spec import RunSpec
from frugal.strategies.base import Run
from frugal.training.batches import Batch, Epoch, Gathering, arrange
from frugal.training.checkpoint import Checkpoints
from frugal.training.device import set_determinism
from frugal.training.distributed import Team
from frugal.training.forward import Forward, score, scored_size
from frugal.training.history import check_finite, evaluated, row_of, stalled
from frugal.training.optimizer import make_optimizer, rate_at
from frugal.training.progress import Progress
from frugal.training.setup import (
    check_batch,
    check_fit,
    choose_residency,
    make_forward,
    make_model,
    make_strategy,
    notes_on_data,
)
from frugal.training.signals import Interrupt, Interrupted
from frugal.training.state import restore, state_of
from frugal.training.sums import EpochSums
from frugal.training.tasks import Evaluation, evaluate, make_task


class Trainer:
    """One run from its spec and the cache of its data.

    followed: for a control, the history of the run it repeats; checkpoints: where to save and resume, or None;
    checkpoint_seconds: the most work a kill may cost; team: the ranks that share the run; residency: see there;
    workers: processes per rank that decode images, where they are read from files
    """

    def __init__(
        self,
        spec: RunSpec,
        cache: Cache,
        device: torch.device,
        checkpoints: Checkpoints | None = None,
        checkpoint_seconds: float = 60,
        followed: list[dict[str, float]] | None = None,
        team: Team | None = None,
        residency: str = "auto",
        workers: int = 8,
    ):
        self.spec, self.recipe, self.device, self.cache = spec, spec.recipe, device, cache
        self.checkpoints, self.checkpoint_seconds = checkpoints, checkpoint_seconds
        self.team = team or Team()
        set_determinism(self.recipe.deterministic)
        torch.manual_seed(spec.seed)
        self.strategy, self.task = make_strategy(spec, cache), make_task(cache)
        check_fit(spec, cache, self.team.size, device, residency)
        self.streamed, note = choose_residency(residency, cache, self.strategy.reads, device, workers)
        self.files = Files(cache, device, workers) if residency == "files" else None
        self.read_from = {"files" if self.files else "cache"}  # grows where a run is resumed in the other way
        self.notes = [note, *notes_on_data(spec, cache), *self.task.notes]
        self.train_data, self.validation_data = self.open("train"), self.open("validation")
        self.test_data = self.open("test") if self.recipe.test_curve else None
        example = torch.ones(2, *self.train_data.shape, dtype=self.train_data.dtype)  # token 0 would be no text
        run = Run(
            len(self.train_data), self.recipe.epochs, spec.seed, device, followed, self.recipe.batch_size, example
        )
        self.strategy.start(run)
        check_batch(spec, run.samples, self.strategy.most_visited())
        self.sampler = run.generator("batches")
        self.augmenter = torch.Generator(device).manual_seed(spec.seed)
        model, note = self.team.prepare(self.strategy.prepare_model(make_model(spec, cache, device)), device)
        self.notes += [note] if note else []
        for split, data in (("training", self.train_data), ("validation", self.validation_data)):
            self.task.check(model, data.shape, data.labels, f"data set {spec.dataset.name}: the {split} set")
        self.model = model.train()
        self.optimizer = make_optimizer(self.model, self.recipe)
        self.precision: dict[str, str] | None = None  # the one in force and why, chosen before the first step
        self.forward: Forward | None = None
        self.losses = torch.full((len(self.train_data),), float("inf"), device=device)
        self.ledger, self.clock = Ledger(), Clock(device)
        self.energy = Energy(device, host=self.team.leads)
        self.epoch, self.step = 0, 0  # epochs done, steps done in the current one
        self.batches: Epoch | None = None  # of the epoch under way
        self.share: Epoch | None = None  # this rank's part of them
        self.sums: EpochSums | None = None
        self.history: list[dict[str, float | None]] = []
        self.curve: list[Tensor] = []
        self.traces: list[dict[str, Tensor]] = []  # of the strategy, per epoch
        self.gathering = Gathering()
        self.joules: float | None = None  # of all ranks, once the run is done
        self._flops: dict[tuple[int, bool], PassFlops] = {}
        self.flops_sources: dict[str, None] = {}  # how they were counted, each once
        self._saved_at = time.monotonic()
        self.saved_steps: int | None = None
        if self.team.size > 1:  # after all that must be equal on every rank
            torch.manual_seed(spec.seed * self.team.size + self.team.rank)

    def open(self, split: str, reads: str | None = None) -> Split:
        """A split as this run reads it; reads: another kind of data than the strategy's."""
        source = source_of(self.cache, reads or self.strategy.reads)
        if self.files and split == "train":
            return source(self.cache, split, self.device, files=self.files)
        return source(self.cache, split, self.device, self.streamed)

    def run(self, folder: Path | None = None) -> None:
        """Train to the last epoch, from the newest checkpoint where there is one. folder: where signs of life are left.

        Raises Interrupted after a signal, once the state is saved, and FrugalError where the loss is no longer a number.
        """
        self._resume()
        shown = self.team.leads
        with (
            Interrupt() as interrupt,
            Progress(self.recipe.epochs, self.epoch, shown, folder) as progress,
            closing(self),
        ):
            self.get_ready()
            while not self.done:
                self.train_epoch(interrupt, progress)
                with self.clock.stage("evaluate"):
                    self._close_epoch(
                        self.evaluate(self.validation_data), self.test_data and self.evaluate(self.test_data)
                    )
                progress.epoch_done(self.history[-1])
                _, due = self.team.agree(None, self._save_due())
                if self.done or due:
                    self.save()
            self._finish()
        self.joules = self.energy.together(self.team.gather(self.energy.state()))

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or the validation loss has stalled for as many as the recipe allows."""
        if self.epoch >= self.recipe.epochs or self.recipe.early_stopping is None:
            return self.epoch >= self.recipe.epochs
        since = self.strategy.settled_since()
        return self.team.from_leader(stalled(self.history, since, self.recipe.early_stopping))

    def _finish(self) -> None:
        """Let the strategy change the trained net once more; the last row then tells of the net that came out."""
        if not self.strategy.finish(self):
            return
        with self.clock.stage("evaluate"):
            validation, test = self.evaluate(self.validation_data), self.test_data and self.evaluate(self.test_data)
        self.history[-1] |= {**evaluated(validation, test), **self.strategy.evidence()}

    def model_changed(self) -> None:
        """For strategies that replace weights by smaller ones: FLOPs are counted anew, and what was compiled is compiled anew."""
        self._flops.clear()
        if self.forward is not None and self.forward.compiled is not None:
            with self.clock.stage("compile"):
                self.forward.renew()

    def close(self) -> None:
        """End what reads ahead; the trainer can go on being used."""
        self.train_data.close()
        self.share = None

    def get_ready(self) -> None:
        """Choose the precision and compile, before the first step and in time of their own, unless that is done."""
        if self.forward is None:
            self.forward = make_forward(self)

    def evaluate(self, data: Any, full_fidelity: bool = False) -> Evaluation:
        """Evaluate at the strategy's own fidelity, or on uncompressed images."""
        self.get_ready()
        level = None if full_fidelity else self.strategy.test_level()
        spectral = self.strategy.spectral and level is not None
        return evaluate(self.model, data, self.task, level, spectral, self.forward.autocast)

    def train_epoch(self, interrupt: Interrupt | None = None, progress: Progress | None = None) -> None:
        """Plan an epoch unless one is under way, and take its steps; evaluation and the epoch's row are the caller's."""
        self.get_ready()
        self.energy.start()
        with self.clock.stage("train"):
            if self.batches is None:
                self._plan()
            if self.share is None:
                self.share = self.team.share(self.batches)
                self.train_data.follow(self.share.order, self.share.bounds, self.share.segments, self.step)
            while self.step < len(self.batches):
                self._train_step()
                if progress:
                    progress.advance(1 / len(self.batches))
                number, due = self.team.agree(interrupt and interrupt.number, self._save_due())
                if number is not None:
                    self.save()
                    raise Interrupted(number, f"in epoch {self.epoch + 1} after step {self.ledger.steps}")
                if due:
                    self.save()
            self.strategy.after_epoch(self)
        self.energy.stop()

    def _plan(self) -> None:
        """The batches of the next epoch."""
        plan = self.strategy.plan_epoch(self.epoch, self.losses)
        size, spectral = self.recipe.batch_size, self.strategy.spectral
        try:
            self.batches = arrange(plan, len(self.train_data), size, spectral, self.sampler).to(self.device)
        except FrugalError as error:
            raise FrugalError(f"strategy {self.spec.strategy.name}, epoch {self.epoch + 1}: {error}") from error
        self.step, self.share = 0, None
        self.sums = EpochSums.of(len(self.batches), self.device, self.ledger)

    def _train_step(self) -> None:
        """Read one batch, or this rank's share of it, and train on it, or on a full one of those selected so far."""
        strategy, share = self.strategy, self.share
        first, last = self.batches.bounds[self.step]
        whole = self.batches.order[first:last]
        start, stop = share.bounds[self.step]
        indices, segments = share.order[start:stop], share.segments and share.segments[self.step]
        self._set_rate((self.epoch + self.step / len(self.batches)) / self.recipe.epochs)
        inputs = self.augmented(self.train_data.read(indices, segments, strategy.spectral), len(whole))
        labels = self.train_data.labels.index_select(0, indices)
        weight = None if share.weight is None else share.weight[start:stop]
        self._count_read(len(whole), inputs.shape[-1], self.batches.segments and self.batches.segments[self.step])
        batch = Batch(inputs, labels, whole, weight)
        self.step += 1
        scale = strategy.scoring_scale()
        if scale is not None:
            self._count_scoring(len(inputs), scored_size(inputs.shape[-1], scale))
            self.gathering.add(batch, strategy.select(score(self.forward, inputs, scale), labels))
            batch = self.gathering.take(self.recipe.batch_size)
        if batch is not None:
            self._optimize(batch)

    def _optimize(self, batch: Batch) -> None:
        """Forward and back-propagate a batch, and step. Its indices are those of all ranks, inputs and labels this rank's."""
        strategy, count = self.strategy, len(batch.indices)
        logits = self.forward(batch.inputs)
        losses = self.task.losses(logits, batch.labels, self.recipe.label_smoothing)
        weighted = losses if batch.weight is None else losses * batch.weight
        mask = strategy.after_forward(batch.indices, logits.detach(), batch.labels)
        loss = weighted.sum() / count if mask is None else (weighted * mask).sum() / mask.sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        correct = self.task.hits(logits.detach(), batch.labels)
        seen, correct = self.team.combine(self.model.parameters(), losses.detach(), correct, count)
        strategy.before_step(self)
        if self.recipe.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.optimizer.step()

        self.losses.index_copy_(0, batch.indices, seen)
        self.sums.add(seen, correct)
        flops, ledger = self.flops_at(batch.inputs.shape[-1]), self.ledger
        ledger.steps += 1
        ledger.add_flops("forward", count, flops.forward)
        ledger.add_flops("backward", count, flops.backward)
        ledger.samples_forwarded += count
        ledger.samples_backpropagated += count
        strategy.after_step(self)

    def augmented(self, images: Tensor, whole: int | None = None) -> Tensor:
        """Random crops and flip, of images (b, C, H, W) only.

        The padding shrinks with the image, so that a spectral sample moves as far as a whole one.
        whole: size of the batch of all ranks, where they share it
        """
        if not self.train_data.holds_images:
            return images
        wanted = self.recipe.augment
        padding = round(wanted.crop_padding * images.shape[-1] / self.train_data.shape[-1])
        share = (self.team.rank, self.team.size, whole or len(images))
        return augment(images, padding, wanted.flip, self.augmenter, share, wanted.padding, wanted.resized_crop)

    def _set_rate(self, progress: float) -> None:
        rate = self.strategy.learning_rate(rate_at(progress, self.recipe))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @property
    def rate(self) -> float:
        """The learning rate in force; it lives in the optimizer, so that it comes back with it."""
        return self.optimizer.param_groups[0]["lr"]

    def _count_read(self, samples: int, pixels: int, segments: list | None) -> None:
        ledger = self.ledger
        top = max(level for level, _, _ in segments) if segments else self.train_data.level
        if top:
            ledger.flops_decoding += samples * decoding_flops(self.train_data.shape[0], top, pixels)
        ledger.bytes_raw += samples * self.train_data.raw_bytes_per_sample
        ledger.bytes_read += self.team.total(self.train_data.take_bytes())[0]

    def _count_scoring(self, samples: int, pixels: int) -> None:
        self.ledger.add_flops("scoring", samples, self.flops_at(pixels).forward)
        self.ledger.samples_forwarded += samples

    def flops_at(self, pixels: int, useful: bool = False) -> PassFlops:
        """FLOPs of one sample: an image of that many pixels per side, or anything else as long as it is; counted at first use.

        useful: without multiplications by weights that are known to be zero. Counting is no part of the training's time and
        energy.
        """
        key = (pixels, useful)
        if key not in self._flops:
            data, classes = self.train_data, self.spec.dataset.classes
            shape = data.shape_at(pixels)
            with self.clock.stage("count"):
                metered = self.energy.pause()
                flops = self._flops[key] = pass_flops(self.model, shape, classes, dtype=data.dtype, useful=useful)
                self.flops_sources |= {flops.source: None}
                if metered:
                    self.energy.start()
        return self._flops[key]

    def _close_epoch(self, validation: Evaluation, test: Evaluation | None = None) -> None:
        """Write the epoch's row, check its losses, and forget its batches."""
        check_finite(self)
        self.history.append(row_of(self, validation, test))
        self.curve.append(self.sums.losses.cpu())
        self.traces.append({name: values.cpu() for name, values in self.strategy.trace().items()})
        self.epoch += 1
        self.batches, self.share, self.step = None, None, 0

    # Saving and resuming

    def _save_due(self) -> bool:
        return self.checkpoints is not None and time.monotonic() - self._saved_at >= self.checkpoint_seconds

    def save(self) -> None:
        """Write a checkpoint now, where there is a place for it; raises FrugalError rather than save a lost run."""
        if self.checkpoints is None:
            return
        if self.sums is not None:
            check_finite(self)
        with self.clock.stage("checkpoint"):
            metered = self.energy.pause()
            state = self.state_dict()
            if self.team.leads:
                self.checkpoints.save(self.ledger.steps, state)
            if metered:
                self.energy.start()
        self._saved_at, self.saved_steps = time.monotonic(), self.ledger.steps

    def _resume(self) -> None:
        state = self.checkpoints.load() if self.checkpoints else None
        if state is not None:
            self.load_state_dict(state)
            self.ledger.resumes += not self.done
            self.saved_steps = self.ledger.steps

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on; with several ranks, each of them has to ask for it."""
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        restore(self, state)
