"""Sections of config/studies/*.yaml: a study, its strategies, its scales, and the pairs of data set and model of a scale."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from frugal.recipe import Recipe, Strict

Budget = Annotated[float, Field(gt=0, le=16)]
Cost = Literal[
    *("bytes_read", "samples_forwarded", "samples_backpropagated", "flops_executed", "flops_forward_per_sample"),
    *(
        "train_seconds",
        "cpu_seconds",
        "energy_joules",
        "peak_memory_bytes",
        "model_bytes",
        "optimizer_bytes",
        "live_parameters",
    ),
]


class StrategyConfig(BaseModel):
    """A strategy as a study names it; further keys are the parameters of the file it uses."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(description="a file name in scripts/frugal/strategies")
    label: str = Field("", description="one line for the reports")
    follows: str | None = Field(
        None, description="a control repeats the counts of this other strategy's run, same seed; others use its scores"
    )
    control: bool = Field(False, description="whether it is a control rather than a proposal")
    recipe: dict[str, Any] = Field({}, description="keys of the scale's recipe that this strategy replaces")
    budgets: list[Budget] = Field(
        [], description="shares of its epochs in which it is trained anew, beside 1, its schedule that much shorter"
    )
    skip: bool | list[str] | None = Field(
        False,
        description="true: leave the strategy out on data sets and models it doesn't fit, instead of refusing the study; a "
        "list: names of layers that stay dense, a parameter of sparse strategies",
    )

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys that go to the strategy."""
        own = {} if isinstance(self.skip, bool) else {"skip": self.skip}
        return own | dict(self.model_extra or {})


class Pair(Strict):
    """A data set with the model that is trained on it, what its recipe has of its own, and which strategies it is for."""

    dataset: str
    model: str
    recipe: dict[str, Any] = Field({}, description="keys of the scale's recipe that it replaces")
    target_accuracy: float | None = Field(None, gt=0, le=1, description="replaces the scale's")
    seeds: int | list[int] | None = Field(None, description="replaces the scale's")
    strategies: list[str] | None = Field(
        None, description="those of the scale's that are trained on it, the baseline among them; null for all"
    )


class Scale(Strict):
    """A study at one size: every data set with every model, or the pairs it lists under `tasks`."""

    datasets: list[str] = []
    models: list[str] = []
    tasks: list[Pair] = Field([], description="in place of datasets and models, where not each fits each")
    seeds: int | list[int] = Field(description="how many (0, 1, ...), or which")
    baseline_seeds: int | list[int] | None = Field(
        None,
        description="the same for the baseline and its budgets, where they have more: all savings are held against them; an "
        "override of seeds replaces both",
    )
    recipe: Recipe
    strategies: list[str] | None = Field(None, description="a subset of the study's strategies; null for all")
    budgets: list[Budget] = Field(
        [],
        description="shares of the recipe's epochs in which the baseline is trained anew, its schedule that much shorter; what "
        "exchange rates are read from, e.g. [0.125, 0.25, 0.5, 1]",
    )
    margin: float | None = Field(None, gt=0, lt=1, description="replaces the study's margin, for data too small for it")
    target_accuracy: float = Field(gt=0, le=1, description="for epochs and seconds to reach it on validation data")
    grouped: bool = Field(
        False,
        description="one job trains all runs on a data set and model, each in a fork of its own, so that Python and torch "
        "start once: for runs of seconds",
    )
    levels_for: int | None = Field(
        None, ge=1, description="levels are meant for images of this size: scaled by N/this, rounded up"
    )

    @model_validator(mode="after")
    def _either(self) -> "Scale":
        if bool(self.tasks) == bool(self.datasets or self.models) or bool(self.datasets) != bool(self.models):
            raise ValueError("a scale names datasets and models, or tasks in place of both")
        return self

    @property
    def pairs(self) -> list[Pair]:
        """Every data set with its model."""
        product = [Pair(dataset=dataset, model=model) for dataset in self.datasets for model in self.models]
        return self.tasks or product


class StudyConfig(Strict):
    """A published experiment, or yours."""

    title: str
    question: str = Field(description="one sentence")
    source: str = Field("", description="the document or paper it repeats")
    baseline: str = Field(description="the strategy all others are compared to, paired by seed")
    margin: float = Field(0.005, gt=0, lt=1, description="non-inferiority margin, accuracy as a fraction")
    cost: Cost = Field(
        "flops_executed",
        description="what the study is about saving; a control of equal cost is one that spends as much of it",
    )
    measurements: list[Literal["crossover"]] = Field(
        [], description="tables about this machine that the report shows; crossover: time and memory of sparse layers"
    )
    groups: dict[str, list[str]] = Field(
        {}, description="strategies that share a panel of a figure, by its title; by default proposals and controls"
    )
    strategies: dict[str, StrategyConfig] = Field(min_length=1)
    scales: dict[Literal["demo", "own", "mnist", "cpu", "strong", "standard", "published"], Scale]
