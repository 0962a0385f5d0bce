"""Parameters that strategies, models and sources take from the config: their types, and whether a value is one of them.

A file of ours annotates its parameters with the types named here; `registry` reads them from its source. Never imports torch.
"""

import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, TypeAdapter, ValidationError

from frugal.errors import FrugalError, did_you_mean

# What annotations of parameters may be made of. Level is a number of DCT coefficients per axis; a study may scale it. File is
# the path of a file of the user's, whose content becomes part of a run's identity. Hub is a name on the hub that `transformers`
# reads, or the path of a folder of the user's, whose files' content does. Part is another strategy: `use` and its parameters.
# SparsityPattern is which weights are kept, MovingPattern one whose units can move. Stages are sizes of images, each with the
# share of the training up to which it holds; a study may scale the sizes. Options are keyword arguments of somebody else's.
Level = Annotated[int, Ge(1)]
File = Annotated[str, MinLen(1)]
Hub = Annotated[str, MinLen(1)]
Part = dict[str, Any]
Options = dict[str, Any]


def _pattern(name: str) -> str:
    if name == "semi-structured-2-4":
        return name
    return _moving(name, ", semi-structured-2-4")


def _moving(name: str, others: str = "") -> str:
    sides = re.fullmatch(r"block-(\d+)x\1", name)
    if name != "random" and (sides is None or int(sides[1]) < 2):
        raise ValueError(f"choose random, block-BxB (such as block-16x16, with square blocks of 2 and more){others}")
    return name


def check_stages(stages: Any) -> list[list[Any]]:
    """Pairs of pixels per side and share, as lists. Raises ValueError unless both ascend and the last share is 1."""
    if not isinstance(stages, list | tuple) or not stages or not all(map(_is_stage, stages)):
        raise ValueError(
            "give pairs of pixels per side and the share of the training up to which they hold, such as "
            "[[16, 0.4], [24, 0.7], [32, 1]]"
        )
    for before, after in pairwise(stages):
        if before[0] >= after[0] or before[1] >= after[1]:
            raise ValueError(
                f"each stage has more pixels than the one before and ends later; {list(after)} follows {list(before)}"
            )
    if stages[-1][1] != 1:
        raise ValueError(f"the last stage ends with the training, at 1, not at {stages[-1][1]}")
    return [list(stage) for stage in stages]


def _is_stage(pair: Any) -> bool:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    size, share = pair
    return type(size) is int and size >= 1 and type(share) in (int, float) and 0 < share <= 1


SparsityPattern = Annotated[str, AfterValidator(_pattern)]
MovingPattern = Annotated[str, AfterValidator(_moving)]
Stages = Annotated[Any, AfterValidator(check_stages)]
VOCABULARY = {
    "Annotated": Annotated,
    "Literal": Literal,
    "Ge": Ge,
    "Gt": Gt,
    "Le": Le,
    "Lt": Lt,
    "MaxLen": MaxLen,
    "MinLen": MinLen,
    "Level": Level,
    "File": File,
    "Hub": Hub,
    "Part": Part,
    "Options": Options,
    "SparsityPattern": SparsityPattern,
    "MovingPattern": MovingPattern,
    "Stages": Stages,
}


@dataclass(frozen=True)
class Parameter:
    """One keyword a strategy, model or source takes from the config."""

    name: str
    annotation: str
    required: bool
    default: Any = None

    @property
    def is_level(self) -> bool:
        """Whether it is one number of DCT coefficients per axis."""
        return "Level" in self.annotation

    @property
    def is_stages(self) -> bool:
        """Whether it is a list of sizes of images, each with a share of the training."""
        return "Stages" in self.annotation

    def levels(self, value: Any) -> list[int]:
        """The levels that a value of it names: pixels or DCT coefficients per axis."""
        if self.is_stages:
            return [size for size, _ in value]
        return [value] if self.is_level and value is not None else []

    def scaled(self, value: Any, size: int, meant: int) -> Any:
        """A value whose levels are meant for images of `meant` pixels per side, for images of `size`; rounded up."""
        if self.is_stages:  # of stages that become equal, one is left, which ends with the last of them
            return [
                [level, share] for level, share in {-(-level * size // meant): share for level, share in value}.items()
            ]
        return -(-value * size // meant)

    @property
    def is_parts(self) -> bool:
        """Whether it is a list of strategies."""
        return "Part" in self.annotation

    @property
    def words(self) -> str:
        """What a path may be replaced by: true and false, and the words that are quoted in its annotation."""
        words = ["true", "false"] if "bool" in self.annotation else []
        return ", ".join([*words, *re.findall(r"'[^']*'", self.annotation)])

    def names_file(self, value: Any) -> bool:
        """Whether a value of it is the path of a file, rather than one of the words it also takes."""
        return "File" in self.annotation and isinstance(value, str) and f"'{value}'" not in self.annotation

    def names_folder(self, value: Any) -> bool:
        """Whether a value of it is a folder of the user's, rather than a name on the hub or one of the words it also takes."""
        return "Hub" in self.annotation and isinstance(value, str) and Path(value).is_dir()

    def unwatched(self, value: Any) -> str | None:
        """A file that is there and that a value of it names, or a part of the value, though it isn't declared as one."""
        if "File" in self.annotation or "Hub" in self.annotation:
            return None
        if isinstance(value, dict | list):
            parts = value.values() if isinstance(value, dict) else value
            return next(filter(None, map(self.unwatched, parts)), None)
        free = isinstance(value, str) and f"'{value}'" not in self.annotation  # no word of a Literal
        return value if free and os.path.isfile(os.path.expanduser(value)) else None


def checked(known: dict[str, Parameter], given: dict[str, Any], use: str, where: str) -> dict[str, Any]:
    """Values of all of these parameters, defaults filled in; raises FrugalError naming the key and what is allowed.

    use: "strategy infobatch", and where: the place in the config, both for the message.
    """
    for key in given:
        if key not in known:
            raise FrugalError(
                f"{where}: {use} has no parameter {key!r}; {did_you_mean(key, list(known)) if known else 'it has none'}"
            )
    values = {}
    for name, parameter in known.items():
        if name not in given and parameter.required:
            raise FrugalError(f"{where}: {use} needs the parameter {name!r} ({parameter.annotation})")
        values[name] = value_of(parameter, given[name], where) if name in given else parameter.default
    return values


def value_of(parameter: Parameter, given: Any, where: str) -> Any:
    """A parameter's value as it is declared; raises FrugalError naming the key and what is allowed."""
    try:
        expected = eval(
            parameter.annotation,
            {"__builtins__": {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}},
            VOCABULARY,
        )  # our own source, not the user's
        value = TypeAdapter(expected).validate_python(given, strict=False)
    except NameError as error:
        raise FrugalError(
            f"{where}: {parameter.name} is annotated {parameter.annotation}, and {error.name} is not known here; use int, float, "
            f"str, bool, list, dict, {', '.join(VOCABULARY)}"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        problem = problem.removeprefix("Value error, ")
        raise FrugalError(
            f"{where}: {parameter.name} is {given!r}; {problem[0].lower()}{problem[1:]} (declared {parameter.annotation})"
        ) from error
    is_path = (parameter.names_file(value) or "Hub" in parameter.annotation) and isinstance(value, str)
    return os.path.expanduser(value) if is_path else value


def split(part: Part) -> tuple[str, dict[str, Any]]:
    """The name of a part's strategy, and its parameters."""
    return part["use"], {key: value for key, value in part.items() if key != "use"}
