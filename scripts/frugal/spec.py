"""Specification of a run: data set, model, recipe, strategy, seed, scale; whether it makes sense, and its fingerprint.

Those of data set and model are sections of config/datasets.yaml and models.yaml with a name; those of a study are in
`study_config`.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator

from frugal.errors import FrugalError, did_you_mean
from frugal.recipe import Recipe, Strict
from frugal.registry import data_kind, names

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"  # also a folder name, so nothing a shell or a path could misread
Name = Field(pattern=NAME)
AT = (
    "@"  # in the name of a run, before a budget, full@0.25, and before the values of a sweep, infobatch@prune_ratio=0.3
)
VALUES = rf"{AT}\w+=[A-Za-z0-9_.+-]+(,\w+=[A-Za-z0-9_.+-]+)*"


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
        same = [problem for problem in problems if _keys_of(problem["loc"]) == location]
        alone = len(same) == 1
        told = [_worded(one, model, location, alone).removeprefix("Value error, ") for one in same]
        message = " or ".join(dict.fromkeys(text[0].lower() + text[1:] for text in told))
        raise FrugalError(f"{where}: {key}{shown}; {message}") from error


def _worded(problem: Any, model: type[BaseModel], location: tuple[str | int, ...], alone: bool) -> str:
    """What pydantic says of a mistake, with what to write instead of a value that isn't the list or section that it should be.

    alone: whether nothing but this may stand there
    """
    given, message = problem["input"], problem["msg"]
    if problem["type"] == "list_type" and alone and isinstance(given, str | int | float):
        return f"{message}: [{given}]"
    if problem["type"] == "model_type":
        return f"input should be a section with keys of {', '.join(_fields_at(model, location))}"
    return message


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
