"""Training loop: the steps of an epoch, one loop for all strategies, counting what it executes.

The data set lies on the device or is read ahead of it, a batch is an index slice of the epoch's order, and inside an epoch
nothing is asked back from the device: per-sample losses, sums and the loss curve stay there until the epoch ends.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from frugal.costs import TIMED
from frugal.data.augment import alternating_flips, augment
from frugal.data.mixing import Mix, draw_mix
from frugal.errors import FrugalError
from frugal.training.average import Average
from frugal.training.batches import Batch, arrange
from frugal.training.forward import score, scored_size
from frugal.training.history import EpochSums
from frugal.training.initial import initialise, tell_epoch
from frugal.training.optimizer import rate_at, set_rate
from frugal.training.progress import Progress
from frugal.training.scoring import score_training_set
from frugal.training.signals import Interrupt, Interrupted
from frugal.training.state import RunState


class Loop(RunState):
    """The steps of a `Trainer`, which makes what they need."""

    def train_epoch(self, interrupt: Interrupt | None = None, progress: Progress | None = None) -> None:
        """Plan an epoch unless one is under way, and take its steps; evaluation and the epoch's row are the caller's."""
        self.get_ready()
        self.energy.start()
        with self.clock.stage("train"):
            if self.batches is None:
                if self.steps is None:
                    self._begin()
                self._plan()
            if self.share is None:
                self.share = self.team.share(self.batches)
                self.train_data.follow(self.share.order, self.share.bounds, self.share.segments, self.step)
            while self.step < len(self.batches) and not self.ended:
                self._train_step()
                if progress:
                    progress.advance(1 / len(self.batches))
                number, due = self.team.agree(interrupt and interrupt.number, self.save_due())
                if number is not None:
                    self.save()
                    raise Interrupted(number, f"in epoch {self.epoch + 1} after step {self.ledger.steps}")
                if due:
                    self.save()
            if self.average is not None and self.ended:
                self.average.finish(self.model)
            self.strategy.after_epoch(self)
        self.energy.stop()

    def scheduled_rate(self, progress: float) -> float:
        """The learning rate of the recipe at a share of the training, in [0, 1]."""
        return rate_at(progress, self.recipe)

    def spent(self, cost: str) -> float | None:
        """What the training has spent so far of a cost in `frugal.costs.RUNNING`; None where it can't be counted."""
        if cost in TIMED:
            charged = getattr(self.charge, cost, None) or 0.0
            return self.clock.so_far("train")[TIMED.index(cost)] + charged
        return self.ledger.flops_executed if cost == "flops_executed" else self.ledger.whole(cost)

    def _begin(self) -> None:
        """Before the first step of a run, and never where one is resumed: what needs training images, or the first weights."""
        images = initialise(self.model, self.train_data, self.strategy.run)
        # Their bytes are counted with those of the first batch, since whoever counts takes all that was read so far.
        self.ledger.bytes_raw += images * self.team.size * self.train_data.raw_bytes_per_sample
        if self.recipe.average is not None:
            self.average = Average(self.model, self.recipe.average)
        self.strategy.begin(self)

    def _plan(self) -> None:
        """The batches of the next epoch."""
        plan = self.strategy.plan_epoch(self.epoch, self.losses)
        batch_size, spectral = self.recipe.batch_size, self.strategy.spectral
        size = batch_size * self.strategy.batches_at_once()
        try:
            self.batches = arrange(plan, len(self.train_data), size, spectral, self.sampler).to(self.device)
        except FrugalError as error:
            raise FrugalError(f"strategy {self.spec.strategy.name}, epoch {self.epoch + 1}: {error}") from error
        if tell_epoch(self.model, self.epoch):
            self.model_changed()
        self.step, self.steps, self.share = 0, len(self.batches), None
        # At most one batch waits from the last epoch, of each size of images.
        most = len(self.batches.order) // batch_size + 1 + len(self.strategy.levels())
        self.sums = EpochSums.of(max(len(self.batches), most), self.device, self.ledger)

    def _train_step(self) -> None:
        """Read one batch, or this rank's share of it, and train on it, or on full ones of those selected so far."""
        strategy, share = self.strategy, self.share
        first, last = self.batches.bounds[self.step]
        whole = self.batches.order[first:last]
        start, stop = share.bounds[self.step]
        indices, segments = share.order[start:stop], share.segments and share.segments[self.step]
        set_rate(self.optimizer, strategy.learning_rate(rate_at(self.progress, self.recipe)))
        inputs = self.augmented(self.train_data.read(indices, segments, strategy.spectral), indices, len(whole))
        labels = self.train_data.labels.index_select(0, indices)
        weight = None if share.weight is None else share.weight[start:stop]
        self._count_read(len(whole), inputs.shape[-1], self.batches.segments and self.batches.segments[self.step])
        batch = Batch(inputs, labels, whole, weight)
        observed = self.batches.observed[self.step]
        self.step += 1
        if observed:
            self._observe(batch)
            return
        scale = strategy.scoring_scale()
        if scale is None and strategy.batches_at_once() == 1:
            self._optimize(batch)
            return
        self.gathering.add(batch, *self._selected(batch, scale))
        while (full := self.gathering.take(self.recipe.batch_size)) is not None:
            self._optimize(full)

    def _selected(self, batch: Batch, scale: float | None) -> tuple[Tensor, Tensor | None]:
        """Positions (m,) of the samples to train on, and their weights (m,) or None; all of them where `scale` is None."""
        if scale is None:
            return torch.arange(len(batch.labels), device=self.device), None
        self._count_scoring(len(batch.inputs), scored_size(batch.inputs.shape[-1], scale))
        logits = score(self.forward, batch.inputs, scale)
        chosen = self.strategy.select_from(batch.indices, logits, batch.labels)
        return chosen if isinstance(chosen, tuple) else (chosen, None)

    def _observe(self, batch: Batch) -> None:
        """Forward a batch to know its losses, and nothing else."""
        losses = self.task.losses(score(self.forward, batch.inputs, 1.0), batch.labels, self.recipe.label_smoothing)
        seen, _ = self.team.combine([], losses, torch.zeros_like(losses), len(batch.indices))
        self.losses.index_copy_(0, batch.indices, seen)
        self._count_scoring(len(batch.indices), batch.inputs.shape[-1])

    def _optimize(self, batch: Batch) -> None:
        """Forward and back-propagate a batch, and step. Its indices are those of all ranks, inputs and labels this rank's."""
        strategy, count = self.strategy, len(batch.indices)
        if self.recipe.augment.mixes and self.train_data.holds_images:
            batch = batch.mixed(self._mix(batch.inputs))
        strategy.before_forward(self)
        self.optimizer.zero_grad(set_to_none=True)
        losses, correct = self._propagate(batch, count)
        seen, correct = self.team.combine(self.model.parameters(), losses, correct, count)
        overflowed = self.scaler is not None and self._unscale(self.scaler)
        strategy.before_step(self)
        if self.recipe.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        if not overflowed:
            self.stepping = True
            self.optimizer.step()
            self.stepping = False
            self.ledger.flops_optimizer += getattr(self.optimizer, "flops", 0)
        if self.scaler is not None:
            self.scaler.update()

        self.losses.index_copy_(0, batch.indices, seen)
        self.sums.add(seen, correct)
        self.answered = batch.indices, correct
        flops, ledger = self.flops_at(batch.inputs.shape[-1]), self.ledger
        ledger.steps += 1
        ledger.add_flops("forward", count, flops.forward)
        ledger.add_flops("backward", count, flops.backward)
        ledger.samples_forwarded += count
        ledger.samples_backpropagated += count
        if self.average is not None:
            self.average.after_step(self.model, ledger.steps, self.progress)
        strategy.after_step(self)

    def _unscale(self, scaler: torch.amp.GradScaler) -> bool:
        """Divide the gradients by the scale of the loss; whether one of them overflowed, which is asked of the device.

        Then they are set to zero, so that no strategy takes in what isn't a number, and the step is skipped and counted.
        """
        scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        overflowed = not torch.stack([gradient.isfinite().all() for gradient in gradients]).all().item()
        if overflowed:
            for gradient in gradients:
                gradient.zero_()
            self.ledger.skipped_steps += 1
        return overflowed

    def _propagate(self, batch: Batch, count: int) -> tuple[Tensor, Tensor]:
        """Add the gradients of a batch's mean loss to the weights', its parts one after the other where the recipe accumulates.

        count: of its samples on all ranks. Returns losses and hits of its samples, (b,) each; what the strategy is shown is the
        whole batch. Raises FrugalError for a mask of losses that are back-propagated already.
        """
        parts, told = batch.cut(self.recipe.accumulate), []
        for part in parts:
            logits = self.forward(part.inputs)
            losses, weighted = self._losses(logits, part)
            loss, seen = weighted.sum() / count, logits.detach()
            if len(parts) > 1 and self.forward.graphs:
                seen = seen.clone()  # the next part's graph overwrites it
            if len(parts) == 1:
                mask = self.strategy.after_forward(batch.indices, seen, batch.labels)
                loss = loss if mask is None else (weighted * mask).sum() / mask.sum()
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            told.append((losses.detach(), self.task.hits(seen, part.labels), seen))
        if len(parts) == 1:
            return told[0][:2]
        losses, hits, logits = (torch.cat(column) for column in zip(*told, strict=True))
        if self.strategy.after_forward(batch.indices, logits, batch.labels) is not None:
            raise FrugalError(
                f"strategy {self.spec.strategy.name} masks the losses of whole batches, and recipe.accumulate takes them in "
                "parts; leave it out"
            )
        return losses, hits

    def _losses(self, logits: Tensor, part: Batch) -> tuple[Tensor, Tensor]:
        """Of logits (b, classes), each sample's loss (b,), and it as the step weighs it (b,): by sample and by class.

        Of a mixed sample, those of its two labels by their shares.
        """

        def of(labels: Tensor) -> tuple[Tensor, Tensor]:
            losses = self.task.losses(logits, labels, self.recipe.label_smoothing)
            return losses, losses if self.class_weights is None else losses * self.class_weights[labels]

        losses, weighted = of(part.labels)
        if part.others is not None:
            theirs, share = of(part.others), part.share
            losses, weighted = (
                share * own + (1 - share) * other for own, other in zip((losses, weighted), theirs, strict=True)
            )
        return losses, weighted if part.weight is None else weighted * part.weight

    def _mix(self, images: Tensor) -> Mix:
        """What the batch of the next step, (b, C, H, W), is mixed by: of the seed and the step alone, so it needs no saving."""
        draw = np.random.default_rng([self.spec.seed, self.ledger.steps])
        wanted = self.recipe.augment
        return draw_mix(wanted.mixup, wanted.cutmix, images.shape[2:], draw)

    def augmented(self, images: Tensor, indices: Tensor, whole: int | None = None) -> Tensor:
        """Random crops, flip and policy, of images (b, C, H, W) only; indices: (b,) of the samples.

        The padding shrinks with the image, so that a spectral sample moves as far as a whole one.
        whole: size of the batch of all ranks, where they share it
        """
        if not self.train_data.holds_images:
            return images
        wanted = self.recipe.augment
        padding = round(wanted.crop_padding * images.shape[-1] / self.train_data.shape[-1])
        share = (self.team.rank, self.team.size, whole or len(images))
        mirrored = None if self.first_flips is None else alternating_flips(self.first_flips, indices, self.epoch)
        flip = wanted.flip is True
        images = augment(images, padding, flip, self.augmenter, share, wanted.padding, wanted.resized_crop, mirrored)
        return images if self.policy is None else self.policy(images, indices, (self.spec.seed, self.epoch, self.step))

    def _count_read(self, samples: int, pixels: int, segments: list | None) -> None:
        ledger = self.ledger
        ledger.flops_decoding += samples * self.train_data.reading_flops(pixels, segments)
        ledger.bytes_raw += samples * self.train_data.raw_bytes_per_sample
        ledger.bytes_read += self.team.total(self.train_data.take_bytes())[0]

    def score_training_set(
        self, score: Callable[[Tensor, Tensor], Tensor], samples: Tensor | None = None, backward: bool = False
    ) -> Tensor:
        """Scores (n,), see `frugal.strategies.base.TrainingState`. Raises FrugalError for a score that isn't a finite number."""
        return score_training_set(self, score, samples, backward)

    def _count_scoring(self, samples: int, pixels: int) -> None:
        self.ledger.add_flops("scoring", samples, self.flops_at(pixels).forward)
        self.ledger.samples_forwarded += samples
