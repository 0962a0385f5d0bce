"""Trainer of one run: put together from its spec and the cache of its data, trained to the last epoch, exact to resume.

The steps of an epoch are in `loop`; the state that a checkpoint holds is in `state`; what the parts are made with is in `setup`;
how several ranks share a run is in `distributed`.
"""

import os
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import torch

from frugal.data.cache import Cache
from frugal.data.device import Split, Store, split_class
from frugal.errors import FrugalError
from frugal.measure.clock import Clock
from frugal.measure.energy import Energy
from frugal.measure.ledger import Ledger
from frugal.measure.memory import peak_memory
from frugal.measure.weights import weights_of
from frugal.spec import RunSpec
from frugal.strategies.base import Run
from frugal.training.average import Average
from frugal.training.batches import Gathering
from frugal.training.checkpoint import Checkpoints
from frugal.training.device import set_determinism
from frugal.training.distributed import Team
from frugal.training.history import CHARGED, History, Row
from frugal.training.loop import Loop
from frugal.training.optimizer import every_step, make_optimizer
from frugal.training.progress import Progress
from frugal.training.scoring import Scoring
from frugal.training.setup import (
    check_batch,
    check_fit,
    check_recipe,
    choose_residency,
    make_forward,
    make_model,
    make_policy,
    make_strategy,
    note_on_statistics,
    notes_on_data,
    weights_of_classes,
)
from frugal.training.signals import Interrupt
from frugal.training.state import Chosen
from frugal.training.tasks import Evaluation, evaluate, make_task


class Trainer(Loop):
    """One run. What a strategy may read and call of it is `frugal.strategies.base.TrainingState`.

    followed: for a control, the history of the run it repeats; checkpoints: where to save and resume, or None;
    checkpoint_seconds: the most work a kill may cost; team: the ranks that share the run; residency: see
    `choose_residency`; workers: processes per rank that decode images, where they are read from files; scoring: of the run
    whose scores the strategy uses, which is charged
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
        scoring: Scoring | None = None,
    ):
        self.spec, self.recipe, self.device, self.cache = spec, spec.recipe, device, cache
        self.checkpoints, self.checkpoint_seconds = checkpoints, checkpoint_seconds
        self.team = team or Team()
        self.clock = Clock(device)  # first of all: preparation is work too
        self._opened_before = Counter(cache.opened)
        set_determinism(self.recipe.deterministic)
        torch.manual_seed(spec.seed)
        self.strategy, self.task = make_strategy(spec, cache), make_task(cache)
        self.classes = cache.manifest["classes"]  # which the spec may leave to the data
        check_fit(spec, cache, self.team.size, device, residency)
        check_recipe(spec, cache)
        self.streamed, note = choose_residency(residency, cache, self.strategy.reads, device, workers)
        self.files: Store | None = None
        if residency == "files":
            from frugal.data.files import Files  # which decodes images, and no other run needs the libraries for that

            self.files = Files(cache, device, workers)
        self.read_from = {"files" if self.files else "cache"}  # grows where a run is resumed in the other way
        self.notes = [note, *notes_on_data(spec, cache), *self.task.notes]
        self.train_data, self.validation_data = self.open("train"), self.open("validation")
        self.test_data = self.open("test") if self.recipe.test_curve else None
        example = torch.ones(2, *self.train_data.shape, dtype=self.train_data.dtype)  # token 0 would be no text
        run = Run(
            len(self.train_data),
            self.recipe.epochs,
            spec.seed,
            device,
            followed,
            self.recipe.batch_size,
            example,
            self.recipe.label_smoothing,
            None if scoring is None else scoring.of(len(self.train_data), spec.strategy.follows).to(device),
            self.recipe.accumulate,
        )
        self.strategy.start(run)
        check_batch(spec, run.samples, self.strategy.most_visited())
        wanted, labels = self.recipe.class_weights, self.train_data.labels
        self.class_weights, notes = weights_of_classes(wanted, labels, self.classes)
        self.notes += notes
        self.sampler = run.generator("batches")
        self.augmenter = torch.Generator(device).manual_seed(spec.seed)
        self.policy = make_policy(spec, cache, device)
        self.first_flips = None
        if self.recipe.augment.flip == "alternating" and self.train_data.holds_images:
            drawn = torch.rand(len(self.train_data), generator=run.generator("flips"))
            self.first_flips = (drawn < 0.5).to(device)
        model, note = self.team.prepare(self.strategy.prepare_model(make_model(spec, cache, device)), device)
        self.notes += [note] if note else []
        for split, data in (("training", self.train_data), ("validation", self.validation_data)):
            self.task.check(model, data.shape, data.labels, f"data set {spec.dataset.name}: the {split} set")
        self.model = model.train()
        self.notes += note_on_statistics(model, self.recipe.accumulate)
        self.optimizer = make_optimizer(self.model, self.recipe)
        scaled = self.recipe.precision == "float16"
        self.scaler = torch.amp.GradScaler(device.type) if scaled else None
        self.average: Average | None = None  # there is one from the first step on, where the recipe asks for it
        self.chosen: Chosen | None = None  # before the first step
        self.forward = None
        self.losses = torch.full((len(self.train_data),), float("inf"), device=device)
        self.ledger, self.charge = Ledger(), None
        if scoring is not None:
            self.charge = scoring.charge
            self.ledger.charge(self.charge)
        self.energy = Energy(device, host=self.team.is_main)
        self.epoch, self.passed, self.steps, self.step, self.stepping = 0, 0.0, None, 0, False
        self.batches, self.share, self.sums = None, None, None
        self.history, self.gathering = History(), Gathering()
        self.loads = [os.getloadavg()[0]]  # of the machine, at the start and after each epoch
        self.joules: float | None = None  # of all ranks, once the run is done
        self.unmeasured: list[str] = []  # scores of the test set that there are none of, and why, once it is tested
        self.opened: dict[str, int] = {}  # how often each split was opened before the test set was due, likewise
        self.flops_of_size = {}
        self.flops_sources = {}  # how they were counted, each once
        self._saved_at = time.monotonic()
        self.saved_steps: int | None = None
        if self.team.size > 1:  # after all that must be equal on every rank
            torch.manual_seed(spec.seed * self.team.size + self.team.rank)

    def open(self, split: str, reads: str | None = None) -> Split:
        """A split as this run reads it; reads: another kind of data than the strategy's."""
        source = split_class(self.cache, reads or self.strategy.reads)
        if self.files and split == "train":
            return source(self.cache, split, self.device, files=self.files)
        return source(self.cache, split, self.device, self.streamed)

    def run(self, folder: Path | None = None) -> None:
        """Train to the last epoch, from the newest checkpoint where there is one. folder: where progress.json is written.

        Raises Interrupted after a signal, once the state is saved, and FrugalError where the loss is no longer a number.
        """
        self._resume()
        shown = self.team.is_main
        with (
            Interrupt() as interrupt,
            Progress(self.epochs, self.position, shown, folder) as progress,
            closing(self),
            every_step(self._count_uncounted),
        ):
            self.get_ready()
            while not self.done:
                self.train_epoch(interrupt, progress)
                with self.clock.stage("evaluate"):
                    self._close_epoch()
                progress.epoch_done(self.history.rows[-1], self.epochs)
                _, due = self.team.agree(None, self.save_due())
                if self.done or due:
                    self.save()
            self._finish()
        self.opened = dict(self.cache.opened - self._opened_before)
        self.joules = self.energy.together(self.team.gather(self.energy.state()))

    @property
    def done(self) -> bool:
        """Whether all epochs are trained and closed, or the validation loss has stalled for as many as the recipe allows."""
        if self.batches is not None:  # also where it was stopped after the last step: that epoch's row is still to come
            return False
        if self.ended or self.recipe.early_stopping is None:
            return self.ended
        since = self.strategy.settled_since()
        return self.team.from_main(self.history.stalled(since, self.recipe.early_stopping))

    def get_ready(self) -> None:
        """Choose the precision and compile, before the first step and in time of their own, unless that is done."""
        if self.forward is None:
            self.forward, self.chosen, notes = make_forward(self)
            self.notes += notes

    def evaluate(
        self,
        data: Split,
        full_fidelity: bool = False,
        views: str | None = None,
        keep_logits: bool = False,
        plain: torch.Tensor | None = None,
    ) -> Evaluation:
        """Evaluate at the strategy's own fidelity, or on uncompressed images; the rest as in `tasks.evaluate`."""
        self.get_ready()
        level = None if full_fidelity else self.strategy.test_level()
        spectral = self.strategy.spectral and level is not None
        return evaluate(self.model, data, self.task, level, spectral, self.forward.autocast, views, keep_logits, plain)

    def close(self) -> None:
        """End what reads ahead; the trainer can go on being used."""
        self.train_data.close()
        self.share = None

    def _close_epoch(self) -> None:
        """Evaluate where that is due, write the epoch's row and forget its batches.

        Raises FrugalError where its losses are no numbers.
        """
        self._check_finite()
        due = self.ended or (self.epoch + 1) % self.recipe.evaluate_every == 0
        evaluated = self._evaluated() if due else {"val_loss": None, "val_accuracy": None}
        self.history.append(self._row(evaluated), self.sums.losses, self.strategy.trace())
        self.epoch, self.passed = self.epoch + 1, self.position
        self.loads.append(os.getloadavg()[0])
        self.batches, self.share, self.step = None, None, 0

    def _evaluated(self) -> Row:
        """The columns of history.csv that come from the validation set and, where the recipe asks for it, the test set."""
        validation = self.evaluate(self.validation_data)
        row = validation.row("val") | {"val_seconds": validation.seconds}
        return row | (self.evaluate(self.test_data).row("test") if self.test_data else {})

    def _row(self, evaluated: Row) -> Row:
        """The row of the epoch that was just trained; raises FrugalError where a strategy left it without a single step."""
        ledger, sums = self.ledger, self.sums
        if sums.samples == 0:
            raise FrugalError(
                f"the strategy selected less than one batch of {self.recipe.batch_size} in epoch {self.epoch + 1}; "
                "raise its target or lower recipe.batch_size"
            )
        return {
            "epoch": self.epoch + 1,
            "steps": ledger.steps,
            **sums.row(),
            **evaluated,
            "learning_rate": self.rate,
            "train_seconds": self.clock.seconds["train"],
            "cpu_seconds": self.clock.cpu["train"],
            "flops_executed": ledger.flops_executed,
            "bytes_read": ledger.bytes_read - sums.started["bytes_read"],
            "peak_memory_bytes": peak_memory(self.device)[0],
            "live_parameters": weights_of(self.model).live - self.strategy.left_out()[1],
            "flops_per_sample": self.flops_at(self.train_data.shape[-1]).forward,
            **{name: spent for name in CHARGED if (spent := getattr(ledger, name))},
            **self.strategy.evidence(),
        }

    def _count_uncounted(self) -> None:
        self.ledger.uncounted_steps += not self.stepping

    def _finish(self) -> None:
        """Let the strategy change the trained net once more; the last row then tells of the net that came out."""
        if self.strategy.finish(self):
            with self.clock.stage("evaluate"):
                self.history.rows[-1] |= {**self._evaluated(), **self.strategy.evidence()}

    def _check_finite(self) -> None:
        self.sums.check_finite(self.epoch + 1, self.rate, self.saved_steps)

    # Saving and resuming: the next step is the one that would have come.

    def save_due(self) -> bool:
        """Whether the last checkpoint is older than a kill may cost."""
        return self.checkpoints is not None and time.monotonic() - self._saved_at >= self.checkpoint_seconds

    def save(self) -> None:
        """Write a checkpoint now, where there is a place for it; raises FrugalError rather than save a lost run."""
        if self.checkpoints is None:
            return
        if self.sums is not None:
            self._check_finite()
        with self.clock.stage("checkpoint"):
            metered = self.energy.pause()
            state = self.state_dict()
            if self.team.is_main:
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
