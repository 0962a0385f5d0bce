"""Any strategy in a training loop of one's own: a sampler, a loss weight and a step.

    training = Frugal(InfoBatch(), model, optimizer, samples=len(data), epochs=10, batch_size=128)
    loader = DataLoader(data, batch_sampler=training.sampler)
    for epoch in range(training.epoch, 10):
        for inputs, labels in loader:
            losses = cross_entropy(model(inputs), labels, reduction="none")
            training.weigh(losses).backward()
            training.step()

Strategies that choose within a batch want `for batch in training.select(loader)`. What a loop leaves out is an error, in the
first step where that can be known, else when the next epoch starts.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, distributed, nn

from frugal.errors import FrugalError
from frugal.loops import fitting
from frugal.loops.candidates import Due, Waiting
from frugal.loops.epochs import Batches, Epochs
from frugal.loops.selected import Selected
from frugal.loops.steps import Hook, Steps
from frugal.loops.view import View
from frugal.measure.ledger import Ledger
from frugal.strategies.base import Strategy
from frugal.training.batches import Epoch
from frugal.training.distributed import Team

SAVED = ("epoch", "passed", "steps", "step_of_epoch", "trained", "steps_before", "rate_at", "finished")


class Frugal(Epochs):
    """A strategy at work in somebody's loop. What its hooks may read of it is `frugal.strategies.base.TrainingState`.

    strategy: a new one, as `InfoBatch(prune_ratio=0.5)`; model: not yet wrapped by DistributedDataParallel; where the
    strategy puts other parameters into it (sparse layers), the optimizer is made after this and given to `attach`; samples:
    of the training set, `len(data)`, since samples beyond it would never be visited; epochs: of the training; batch_size: of
    a step, of all ranks together; seed: of the order of samples and of all that the strategy draws; example: a batch of
    inputs, for strategies that trace the model; schedule: learning rate by the share of the training that is done, set before
    each step, where no scheduler does it; followed: `history` of a run that the strategy repeats; scores: (n,) or (n,
    columns) of the samples, for strategies that use them; label_smoothing: of the loss; device: of the model during training,
    where it isn't there yet
    Raises FrugalError for what can't be done in a loop of one's own, or a parameter out of its range.
    """

    def __init__(
        self,
        strategy: Strategy,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        samples: int,
        epochs: int,
        batch_size: int,
        seed: int = 0,
        example: Any = None,
        schedule: Callable[[float], float] | None = None,
        followed: list[dict[str, float]] | None = None,
        scores: Tensor | None = None,
        label_smoothing: float = 0.0,
        device: torch.device | str | None = None,
    ):
        self.use = fitting.check(strategy, model, samples, epochs, batch_size)
        fitting.check_followed(strategy, samples, epochs, followed, scores)
        self.strategy, self.model, self.schedule = strategy, model, schedule
        self.epochs, self.batch_size = epochs, batch_size
        self.device = torch.device(device) if device else next(model.parameters()).device
        run = fitting.OwnRun(
            samples,
            epochs,
            seed,
            self.device,
            followed,
            batch_size,
            example.cpu() if isinstance(example, Tensor) else example,
            label_smoothing,
            None if scores is None else scores.view(samples, -1).float().to(self.device),
        )
        self.run = run
        strategy.start(run)
        fitting.check_visits(strategy, run)
        before = {id(parameter) for parameter in model.parameters()}
        if strategy.prepare_model(model) is not model:
            raise FrugalError(f"{self.use} builds another model; train it with frugal's own trainer")
        self.new = [p for p in model.parameters() if id(p) not in before]
        self.picks = fitting.overrides(strategy, "select", "select_from", "batches_at_once")
        self.judges = fitting.overrides(strategy, "after_forward")
        self.team = Team()
        self.draws = run.generator("batches")
        self.losses = torch.full((samples,), float("inf"), device=self.device)
        self.ledger, self.history, self.waiting = Ledger(), [], Waiting()
        self.steps_before = 0
        self.epoch, self.passed, self.steps, self.step_of_epoch, self.trained = 0, 0.0, 0, 0, 0
        self.batches: Epoch | None = None
        self.share: Epoch | None = None
        self.handed, self.resumed, self.finished = 0, False, False
        self.selecting: object | None = None  # the iterator of `select` at work
        self.due: Due | None = None
        self.rate_at = 0.0  # progress before the batch under way
        self.compared = -1  # epoch in which the ranks' gradients were compared last
        self.mixed_up = torch.zeros((), dtype=torch.bool, device=self.device)  # other samples came than those due
        self.answered = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        self.optimizer: torch.optim.Optimizer | None = None
        self.optimizer_steps: Steps | None = None
        self.sampler, self.view = Batches(self), View(self)
        if optimizer is not None:
            self.attach(optimizer)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimizer, made over the model as it is now, before any scheduler of its rates.

        Raises FrugalError where it lacks parameters that the strategy made, or something of it can't be done here.
        """
        fitting.check_optimizer(self, optimizer)
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            self.team = Team(distributed.get_rank(), distributed.get_world_size())
            fitting.check_ranks(self.use, self.strategy, self.team.size)
        self.optimizer = optimizer
        self.strategy.begin(self.view)
        self.optimizer_steps = Steps(
            optimizer, self._before_step, self._after_step, self.strategy.learning_rate, self.schedule
        )
        if fitting.overrides(self.strategy, "before_forward"):
            self.model.register_forward_pre_hook(Hook(self._before_forward))

    # What the loop calls.

    def select(self, loader: Iterable[Any], score: Callable[[Any], tuple[Tensor, Tensor]] | None = None) -> Selected:
        """Batches to train on, of the structure of those of a loader that uses `sampler`.

        Strategies that choose within a batch have its samples scored by the model in evaluation mode; the chosen ones wait until
        they fill a batch. For all others, these are the loader's. score: batch -> logits (b, classes) and labels (b,), by
        default for (inputs, labels, ...) and for dicts as transformers has them.
        """
        return Selected(self, loader, score)

    def weigh(
        self,
        losses: Tensor,
        indices: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """The loss to back-propagate: the mean of a batch's losses, each times the strategy's weight for it.

        losses: (b,), of `reduction="none"`; indices: (b,) of the samples, where the data set gives them, to be checked;
        logits, labels: (b, classes) and (b,), for strategies that judge by them. Raises FrugalError for anything else than the
        batch that is due.
        """
        due = self._due(losses, logits, labels)
        if indices is not None:
            self._compare(indices, due)
        count, values = len(due.whole), losses.detach().float()
        hits = torch.full_like(values, float("nan"))
        mask = None
        if logits is not None and labels is not None:
            if self.judges:
                mask = self.strategy.after_forward(due.whole, logits.detach(), labels)
            if logits.dim() == 2:
                hits = (logits.detach().argmax(1) == labels).to(values.dtype)
        seen, hits = self.team.combine([], values, hits, count)
        self.losses.index_copy_(0, due.whole, seen)
        self.answered = due.whole, hits
        self.ledger.samples_forwarded += count
        self.ledger.samples_backpropagated += count
        self.trained += count
        weighted = losses if due.weight is None else losses * due.weight
        # DistributedDataParallel takes the mean of the ranks' gradients, so each rank's share counts times their number.
        loss = weighted.sum() / count if mask is None else (weighted * mask).sum() / mask.sum()
        loss = loss if self.team.size == 1 else loss * self.team.size
        self.optimizer_steps.follow(loss, self.rate_at)
        return loss

    def step(self) -> None:
        """A step of the optimizer; `optimizer.step()` and `scaler.step(optimizer)` do the same."""
        if self.optimizer is None:
            raise FrugalError("step: there is no optimizer yet; give it to attach")
        self.optimizer.step()

    def _compare(self, indices: Tensor, due: Due) -> None:
        """On a GPU what doesn't match is told when the epoch is closed: asking in each step would hold it up."""
        if len(indices) == len(due.mine):
            self.mixed_up |= (indices.to(self.device) != due.mine).any()
        else:
            self.mixed_up.fill_(True)
        if self.device.type == "cpu":
            self.check_order()

    def _due(self, losses: Tensor, logits: Tensor | None, labels: Tensor | None) -> Due:
        if self.optimizer is None:
            raise FrugalError(
                "weigh: there is no optimizer yet; give it to Frugal or to attach, so that its steps are known"
            )
        if self.judges and (logits is None or labels is None):
            raise FrugalError(f"{self.use} judges logits: call weigh(losses, logits=logits, labels=labels)")
        due, self.due = self.due, None
        if due is None:
            if self.picks or self.selecting is not None:
                raise FrugalError(
                    f"{self.use} chooses within a batch: train on `for batch in training.select(loader)`, and weigh each once"
                )
            due, observed = self.take()
            if observed:
                raise FrugalError(
                    f"{self.use} only forwards some batches: train on `for batch in training.select(loader)`, not on the loader"
                )
        if losses.dim() != 1 or len(losses) != len(due.mine):
            shape = "a single number" if losses.dim() == 0 else f"of shape {tuple(losses.shape)}"
            raise FrugalError(
                f"weigh: the losses are {shape}, but one for each of {len(due.mine)} samples is needed; compute them with "
                "reduction='none'"
            )
        if not losses.requires_grad:
            raise FrugalError(
                "weigh: the losses have no gradient; it is for batches that are trained on, not for evaluation"
            )
        return due

    # What the model and the optimizer tell.

    def _before_forward(self, module: nn.Module, *_inputs: Any) -> None:
        if module is self.model and module.training and torch.is_grad_enabled():
            self.strategy.before_forward(self.view)

    def _before_step(self) -> None:
        if self.team.size > 1 and self.compared != self.epoch:
            fitting.check_gradients(self.team, self.model)
            self.compared = self.epoch
        self.strategy.before_step(self.view)

    def _after_step(self) -> None:
        self.ledger.steps += 1
        self.strategy.after_step(self.view)
        self.settle()

    @property
    def moves_shapes(self) -> bool:
        """Whether the strategy removes neurons, after which a saved model fits only one that was rebuilt."""
        parts = fitting.parts_of(self.strategy)
        return any(part.moves_weights and fitting.overrides(part, "rebuild") for part in parts)

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]; within an epoch by its batches. For a scheduler of the rates too."""
        return self.view.progress

    # Saving and resuming.

    def state_dict(self) -> dict[str, Any]:
        """All that the rest depends on but the states of model, optimizer and scheduler, which the loop saves beside it.

        At any step, after the optimizer's.
        """
        self.settle()
        return {
            "made_for": self._made_for(),
            **{name: getattr(self, name) for name in SAVED},
            "losses": self.losses.clone(),
            "batches": None if self.batches is None else self.batches.state_dict(),
            "draws": self.draws.get_state(),
            "waiting": self.waiting.state_dict(),
            "ledger": asdict(self.ledger),
            "history": list(self.history),
            "strategy": self.strategy.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Before the states of model and optimizer are loaded: a pruned model has to be given its shapes first.

        Raises FrugalError where it was saved by another strategy, or with other parameters.
        """
        if self.optimizer is None:
            raise FrugalError("load_state_dict: there is no optimizer yet; give it to attach first")
        for name, value in self._made_for().items():
            if (before := state["made_for"].get(name)) != value:
                raise FrugalError(f"load_state_dict: {name} was {before} when it was saved and is {value} now")
        self.strategy.rebuild(self.view, state["strategy"])
        self.strategy.load_state_dict(state["strategy"])
        for name in SAVED:
            setattr(self, name, state[name])
        self.losses.copy_(state["losses"])
        self.draws.set_state(state["draws"])
        self.waiting.load_state_dict(state["waiting"], self.device)
        self.ledger, self.history = Ledger(**state["ledger"]), list(state["history"])
        self.batches = self.share = None
        if state["batches"] is not None:
            self.batches = Epoch(**state["batches"]).to(self.device)
            self.share = self.team.share(self.batches)
        self.handed, self.resumed, self.optimizer_steps.left = self.step_of_epoch, True, None

    def _made_for(self) -> dict[str, Any]:
        run = self.run
        known = {"samples": run.samples, "epochs": run.epochs, "batch_size": run.batch_size, "seed": run.seed}
        return {"strategy": repr(self.strategy), **known}
