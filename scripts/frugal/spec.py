"""Specification of a run: data set, model, recipe, strategy, seed, scale; whether it makes sense, and its fingerprint."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from frugal.errors import FrugalError, did_you_mean
from frugal.recipe import Recipe, Strict
from frugal.registry import data_kind, names

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"  # also a folder name, so nothing a shell or a path could misread
Name = Field(pattern=NAME)
AT = (
    "@"  # in the name of a run, before a budget, full@0.25, and before the values of a sweep, infobatch@prune_ratio=0.3
)
SHARE = re.compile(rf"(?P<strategy>.+){AT}(?P<share>[0-9.]+)")
VALUES = rf"{AT}\w+=[A-Za-z0-9_.+-]+(,\w+=[A-Za-z0-9_.+-]+)*"
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


class Dct(Strict):
    """How DCT coefficients are stored."""

    bits: Literal[8, 16] = Field(
        8, description="integer size of one coefficient; 8 leaves about 50 dB PSNR, 16 about 98 dB on MNIST"
    )
    keep: int | None = Field(
        None, ge=1, description="coefficients per axis that are stored, for large images; null for all"
    )


class Dataset(Strict):
    """Where a data set comes from and what it must look like."""

    source: str = Field(description="a file name in scripts/frugal/data/sources")
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=3)] | None = Field(
        None,
        description="of a sample: [channels, height, width] of images, [tokens], [features] or [samples of a wave]; checked "
        "where it is given, else it is what the files have",
    )
    classes: int | None = Field(
        None, ge=2, description="number of classes; checked where it is given, else those that the files have"
    )
    validation: int | float = Field(
        0.1, description="samples split off the training set for validation, stratified: how many, or a share below 1"
    )
    split_seed: int = Field(0, description="seed of that split; the same for every run")
    dct: Dct | None = Field(
        Dct(), description="the DCT store of images; null for data that has no use for it, as for all other data"
    )
    images: bool = Field(
        True, description="keep uncompressed images; false leaves the DCT store alone, from which they are decoded"
    )
    allow_overlap: bool = Field(
        False, description="prepare it though more than 5 % of the test samples are in training or validation too"
    )
    options: dict[str, Any] = Field({}, description="parameters of the source")

    @model_validator(mode="before")
    @classmethod
    def _only_images_have_a_dct(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        shape, source = content.get("shape"), content.get("source")
        if shape is None and source in names("source"):
            options = content.get("options")
            is_image = data_kind("source", source, options if isinstance(options, dict) else {}) == "image"
        else:
            is_image = not (isinstance(shape, list | tuple) and len(shape) < 3)
        return content if is_image else {"dct": None, **content}

    @field_validator("shape")
    @classmethod
    def _one_axis_or_three(cls, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if shape is not None and len(shape) == 2:
            raise ValueError("give three numbers for images, [channels, height, width], else one")
        return shape

    @field_validator("validation")
    @classmethod
    def _some_but_not_all(cls, validation: int | float) -> int | float:
        if not (0 < validation < 1 or (validation >= 1 and isinstance(validation, int))):
            raise ValueError("give a number of samples, or a share of them above 0 and below 1")
        return validation

    @field_validator("dct")
    @classmethod
    def _only_of_images(cls, dct: Dct | None, info: ValidationInfo) -> Dct | None:
        if dct is not None and len(info.data.get("shape") or (1, 1, 1)) < 3:
            raise ValueError("only images have a DCT; set `dct: null` or leave it out")
        return dct

    @field_validator("images")
    @classmethod
    def _something_is_kept(cls, images: bool, info: ValidationInfo) -> bool:
        if not images and info.data.get("dct") is None:
            raise ValueError("with `dct: null` nothing would be kept; set one of them")
        return images


class Model(Strict):
    """A model and its parameters."""

    use: str = Field(description="a file name in scripts/frugal/models")
    parameters: dict[str, Any] = Field({}, description="its keyword arguments")


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
    scales: dict[Literal["demo", "mnist", "cpu", "strong", "standard", "published"], Scale]


class DatasetSpec(Dataset):
    """A data set with its name."""

    name: str = Name


class ModelSpec(Model):
    """A model with its name, and the sha256 of the files that its parameters name: other content makes another run."""

    name: str = Name
    files: dict[str, str] = {}


class StrategySpec(Strict):
    """A strategy with its name and all its parameters, scaled and checked."""

    name: str = Field(pattern=rf"{NAME.removesuffix('$')}({VALUES})?({AT}[0-9.]+)?$")
    use: str
    follows: str | None = None
    parameters: dict[str, Any]


class RunSpec(Strict):
    """One training job, complete: two runs of equal spec, code and data give the same figures."""

    study: str = Name
    scale: str = Name
    dataset: DatasetSpec
    model: ModelSpec
    recipe: Recipe
    strategy: StrategySpec
    seed: int
    # Part of the identity: sums are taken in another order and, on the CPU, batch statistics are those of a rank's share.
    devices: int = Field(1, ge=1)

    @property
    def path(self) -> str:
        """Its folder under results/<scale>/runs."""
        return f"{self.study}/{self.dataset.name}/{self.model.name}/{self.strategy.name}/seed-{self.seed}"

    def plan(self, code: str) -> str:
        """16 digits of a sha256 over all of it but the seed, and the source files: what is known before anything has run.

        code: the digest of the source files that it imports, see `frugal.imports.digest`
        """
        return hashlib.sha256((self.model_copy(update={"seed": 0}).model_dump_json() + code).encode()).hexdigest()[:16]

    def fingerprint(self, data_checksum: str, code: dict[str, str], followed: Any = None) -> str:
        """sha256 of everything the result depends on: the spec, the data, the source files, the counts it repeats."""
        identity = {"spec": self.model_dump(mode="json"), "data": data_checksum, "code": code, "followed": followed}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def share_in(run: str) -> tuple[str, float | None]:
    """The strategy of a run with a budget of its own, and that share of its epochs; else the name itself and None."""
    found = SHARE.fullmatch(run)
    return (found["strategy"], float(found["share"])) if found else (run, None)


def parse(model: type[BaseModel], content: Any, where: str) -> Any:
    """Validate a section of the config; raises FrugalError in one line that names the place, the key and what is allowed."""
    if not isinstance(content, dict):
        raise FrugalError(f"{where} must be a mapping of keys, it is {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        # A misspelled key is missing too: that it is unknown says more.
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        location = _keys_of(first["loc"])
        key = ".".join(map(str, location))
        if first["type"] == "extra_forbidden":
            allowed = _fields_at(model, location[:-1])
            raise FrugalError(f"{where}: unknown key {key!r}; {did_you_mean(location[-1], allowed)}") from error
        if first["type"] == "missing":
            raise FrugalError(f"{where}: the key {key!r} is missing") from error
        shown = f" is {first['input']!r}" if not isinstance(first["input"], dict) else ""
        same = [problem["msg"] for problem in problems if _keys_of(problem["loc"]) == location]
        told = [text.removeprefix("Value error, ") for text in same]
        message = " or ".join(dict.fromkeys(text[0].lower() + text[1:] for text in told))
        raise FrugalError(f"{where}: {key}{shown}; {message}") from error


def _keys_of(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where pydantic found a mistake, without the kinds of value that it tried in turn ("list[int]")."""
    kinds = {"int", "float", "bool", "str", "none", "list", "dict"}
    return tuple(part for part in location if isinstance(part, int) or not (part in kinds or "[" in part))


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys allowed in the section that `location` leads to."""
    for part in location:
        field = model.model_fields.get(str(part))
        inner = (
            [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
            if field
            else [model]
        )
        model = inner[0] if inner else model
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[Any]:
    """An annotation and whatever it is made of."""
    return [annotation, *(t for a in getattr(annotation, "__args__", ()) for t in _types_in(a))]
