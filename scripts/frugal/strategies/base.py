"""Strategy: the base class, with the hooks by which a strategy changes training; each does nothing unless overridden."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from frugal import registry
from frugal.errors import FrugalError
from frugal.measure.ledger import Ledger


@dataclass
class EpochPlan:
    """What an epoch reads: one entry per training sample in each field but `order`, or None for no change.

    keep: (n,) bool, whether the sample is visited; weight: (n,) float32, multiplies its loss; level: (n,) int64, DCT
    coefficients per axis it is read with, or pixels per side where images are made smaller; part: (n,) int64, of the epoch,
    in which it is visited: part 0 comes first; order: (m,) int64, the samples in the order they are visited, where it isn't
    the loop's own shuffle; observe: (n,) bool, whether a sample that isn't visited is read and forwarded all the same, in
    evaluation mode, so that its last loss is known: it has no backward pass and no part in any step. Fields are independent, so
    the plans of two strategies can be laid over each other.
    """

    keep: Tensor | None = None
    weight: Tensor | None = None
    level: Tensor | None = None
    part: Tensor | None = None
    order: Tensor | None = None
    observe: Tensor | None = None


@dataclass(frozen=True)
class Run:
    """What a strategy may know of the run it is in.

    samples: number of training samples; epochs: planned, may end within one; seed: of the run; device: where per-sample
    tensors live; followed: for a control, the history of the run it repeats, one dict of counts per epoch, else None;
    batch_size: of a training step; example: two empty samples, such as the model takes, for tracing it; label_smoothing: of the
    recipe's loss; scores: (n, columns) float32, those that the followed run gave the training samples, on `device`, NaN where it
    gave none; None for whoever uses none; accumulate: of the recipe, parts of a batch that take their turn in a step
    """

    samples: int
    epochs: float
    seed: int
    device: torch.device
    followed: list[dict[str, float]] | None = None
    batch_size: int = 1
    example: Any = None
    label_smoothing: float = 0.0
    scores: Tensor | None = None
    accumulate: int = 1

    def repeated(self, what: str) -> list[dict[str, float]]:
        """The history of the followed run, of every epoch of this one.

        what: is repeated of it, as "random_subset repeats the sample counts", for the message. Raises FrugalError where there is
        no run to follow, or it has fewer epochs.
        """
        if self.followed is None:
            raise FrugalError(f"{what} of another run; name that strategy with `follows:` in the study")
        if len(self.followed) < self.epochs:
            raise FrugalError(
                f"{what} of another run in each of {self.epochs:g} epochs, and that one ended after {len(self.followed)}; give "
                "both as many, and leave its recipe.early_stopping out"
            )
        return self.followed

    def generator(self, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
        """A random generator of this run's own for one purpose, so that strategies never disturb each other's draws.

        device: where it draws
        """
        mixed = sum(ord(letter) * 31**place for place, letter in enumerate(stream))
        return torch.Generator(device).manual_seed((self.seed * 1_000_003 + mixed) % 2**63)


class TrainingState(Protocol):
    """The training under way, as hooks are given it: what a strategy may read of it, and the one thing it may call.

    epoch: epochs done; step: steps done in the epoch under way, from 0; model: the net as it is now, on the run's device;
    optimizer: of torch, over the model's parameters; a group's `multiplier`, if any, is taken times the rate of a step, and
    that of the first group is left alone; losses: (n,) float32, last training loss of each sample in nats, inf
    where never seen, on the run's device; ledger: counts since the start of the run, steps among them. A strategy that
    executes FLOPs of its own adds them to `ledger.flops_scoring`. answered: of the last step, of all ranks: (b,) int64, its
    samples, and (b,), whether the net was right on each, not-a-number where that isn't known.
    """

    epoch: int
    step: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: Tensor
    ledger: Ledger
    answered: tuple[Tensor, Tensor]

    @property
    def ended(self) -> bool:
        """Whether less than half a step of the training is left."""

    @property
    def progress(self) -> float:
        """Share of the planned training that is done, in [0, 1]; within an epoch by its steps."""

    @property
    def position(self) -> float:
        """Epochs that are done, with the share of the steps of the one under way."""

    def scheduled_rate(self, progress: float) -> float:
        """The learning rate of the recipe at a share of the training, in [0, 1]."""

    def spent(self, cost: str) -> float | None:
        """What the training has spent so far of a cost in `frugal.costs.RUNNING`; None where it can't be counted."""

    def score_training_set(
        self, score: Callable[[Tensor, Tensor], Tensor], samples: Tensor | None = None, backward: bool = False
    ) -> Tensor:
        """Visit training samples once more, as stored and unaugmented, the model in evaluation mode; counted as scoring.

        score: inputs (b, ...) and labels (b,) -> (b,), each sample by itself; samples: (m,) int64, which ones, None for all;
        backward: whether it goes back through the net too; returns (n,) float32 on the host, NaN for the others. Called by
        every rank, which do it together, in the hooks `begin` and `after_epoch`. Raises FrugalError for a score that isn't a
        finite number.
        """

    def model_changed(self) -> None:
        """Say that a parameter or buffer was replaced by one of another shape, or a module by another.

        FLOPs are then counted anew, and what was compiled is compiled anew. Not needed where values alone change.
        """


@dataclass(frozen=True)
class ModelBuilder:
    """How the run's model is built, for a strategy that needs it in another size.

    use: its name; build: parameters -> model; parameters: those of the run; widths: names of the parameters that are widths,
    each with what it must stay a multiple of, a number or the name of another parameter
    """

    use: str
    build: Callable[..., nn.Module]
    parameters: dict[str, Any]
    widths: dict[str, int | str]

    def scaled(self, scale: float) -> dict[str, Any]:
        """The model's parameters with its widths scaled, each at least one step wide."""
        changed = dict(self.parameters)
        for name, multiple in self.widths.items():
            step, width = changed[multiple] if isinstance(multiple, str) else multiple, changed[name]
            many = width if isinstance(width, list) else [width]
            fitted = [max(step, step * round(scale * w / step)) for w in many]
            changed[name] = fitted if isinstance(width, list) else fitted[0]
        return changed


@dataclass
class Strategy:
    """The baseline of every study is this class as it is: full data, full fidelity, the whole net.

    reads: "pixels" (whole samples, whatever they are) or "coefficients" (the DCT store); spectral: at level k an image becomes
    k x k pixels, of its lowest k x k coefficients or, where whole images are read, by interpolation; decides: what it has
    the say in, of "samples" (which are trained on), "fidelity" (at which level they are read), "tokens" (which of a sample the
    net works on) and "weights" (which it has): strategies that share none can be combined;
    single_device: whether it can't be shared by several ranks; needs: what it can't do without, and why (`frugal.unfit`);
    eager: whether each step may execute another part of the net, so that it is never compiled;
    moves_weights: whether it removes weights, or moves them to other places, while the net trains, so that no average over
    steps means anything; tells: "widths" or "shares", what a run that follows it may repeat besides counts, or "scores", what
    it may use: then it is a scoring run, compared with nothing, and whoever uses its scores is charged with all that it spent;
    ascending: pairs of parameters, of which the first can't exceed the second
    These are read from the file before any job starts, so they are written as plain values.
    """

    reads: ClassVar[str] = "pixels"
    spectral: ClassVar[bool] = False
    decides: ClassVar[tuple[str, ...]] = ()
    single_device: ClassVar[bool] = False
    needs: ClassVar[dict[str, Any]] = {}
    eager: ClassVar[bool] = False
    moves_weights: ClassVar[bool] = False
    tells: ClassVar[tuple[str, ...]] = ()
    ascending: ClassVar[tuple[tuple[str, str], ...]] = ()
    model_builder: ClassVar[ModelBuilder | None] = None  # of the run's model, set on the object when it is made

    def start(self, run: Run) -> None:
        """Called once before training; `self.run` is there from then on."""
        self.run = run

    def begin(self, training: TrainingState) -> None:
        """Called before the first step, with the initial weights, and not where a run is resumed: that is `rebuild`."""

    def most_visited(self) -> int:
        """Called after `start`: samples that the smallest epoch can visit at most, as far as that is certain before training."""
        return self.run.samples

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Change the model before the optimizer is made."""
        return model

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Decide what epoch `epoch` (from 0) reads. losses: (n,) last training loss of each sample, inf where never seen."""
        return EpochPlan()

    def batches_at_once(self) -> int:
        """Batches' worth of samples that are read at once in this epoch, to select from them together.

        Where they aren't scored after all, all of them are trained on, in as many steps.
        """
        return 1

    def scoring_scale(self) -> float | None:
        """Size per side, 1 or 0.5, at which the next candidates are forwarded to be scored; None for no scoring."""
        return None

    def select(self, logits: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """After a scoring pass over candidates, (b, classes) and (b,): positions (m,) of those to train on.

        Or two tensors: the positions, which may repeat, and the weights (m,) that multiply their losses.
        """
        raise NotImplementedError(f"{type(self).__name__} scores candidates and doesn't say how to select them")

    def select_from(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The same for whoever asks which samples the candidates are, (b,) int64; what the loop calls."""
        return self.select(logits, labels)

    def after_forward(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
        """After each training pass, (b,), (b, classes), (b,): mask (b,) of the losses to back-propagate, None for all.

        Where the recipe accumulates, once for the whole batch, whose losses are back-propagated already: a mask is an error.
        """
        return None

    def length(self, planned: float, training: TrainingState) -> float:
        """Epochs to train for, asked before every step. planned: those of the recipe."""
        return planned

    def learning_rate(self, scheduled: float) -> float:
        """The rate of the next step. scheduled: what the recipe says."""
        return scheduled

    def before_forward(self, training: TrainingState) -> None:
        """Called before each training pass, which an optimizer step follows."""

    def variant(self) -> Hashable:
        """What of the net a training pass executes now, where that differs from step to step: FLOPs are counted for each.

        Between `after_step` and `before_forward` it is the whole net, for which the answer is None.
        """
        return None

    def before_step(self, training: TrainingState) -> None:
        """Called before each optimizer step, when the gradients of all ranks are there and not yet clipped.

        They are zero where they overflowed in float16, and the step is skipped.
        """

    def after_step(self, training: TrainingState) -> None:
        """Called after each optimizer step."""

    def after_epoch(self, training: TrainingState) -> None:
        """Called after each epoch, before it is evaluated."""

    def settled_since(self) -> int | None:
        """The number of epochs after which this strategy left the net's shape alone, None while it may change again.

        Early stopping looks at the epochs after that.
        """
        return 0

    def finish(self, training: TrainingState) -> bool:
        """Called when training has ended, also where it is continued from there: whether the net was changed once more."""
        return False

    def left_out(self) -> tuple[int, int]:
        """Weights that were removed from the model, and weights still in it that are held at zero."""
        return 0, 0

    @property
    def notes(self) -> list[str]:
        """Sentences for the record on what was decided in this run."""
        return []

    def test_level(self) -> int | None:
        """DCT coefficients per axis the finished net is used with; None for uncompressed images."""
        return None

    def levels(self) -> list[int]:
        """Every level this strategy can read."""
        return []

    def evidence(self) -> dict[str, float | None]:
        """What the last planned epoch left out: a column of history.csv each."""
        return {}

    def trace(self) -> dict[str, Tensor]:
        """What the last planned epoch logged batch by batch: columns of trace.csv, (batches,) each."""
        return {}

    def sample_scores(self) -> Tensor | None:
        """Of a scoring run, when it has ended: (n,) or (n, columns), a score of each training sample, NaN where it has none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly: tensors, numbers and containers of them."""
        return {}

    def rebuild(self, training: TrainingState, state: dict[str, Any]) -> None:
        """Bring a fresh model and its optimizer to the shapes of a saved one, before their weights are loaded."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""


def make(use: str, parameters: dict[str, Any]) -> Strategy:
    """The strategy of a file, by its name. Raises FrugalError for a name that isn't there."""
    module = registry.load("strategy", use)
    classes = (c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Strategy))
    return next(c for c in classes if c.__module__ == module.__name__)(**parameters)
