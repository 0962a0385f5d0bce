"""Strategies, models and sources by name: the name is the file, so adding one is adding a file.

`use: infobatch` in a config means `frugal/strategies/infobatch.py`. Nothing here imports torch: what a file offers and
which parameters it takes is read from its source, so that a config is checked before any job starts.
"""

import ast
import difflib
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import TypeAdapter, ValidationError

from frugal.errors import FrugalError

ROOM = Path(__file__).resolve().parent
KINDS = {"strategy": "strategies", "model": "models", "source": "data/sources"}

# What annotations of parameters may be made of. Level is a number of DCT coefficients per axis; a study may scale it. File is
# the path of a file of the user's, whose content becomes part of a run's identity.
Level = Annotated[int, Ge(1)]
File = Annotated[str, MinLen(1)]
VOCABULARY = {
    "Annotated": Annotated,
    "Literal": Literal,
    "Ge": Ge,
    "Gt": Gt,
    "Le": Le,
    "Lt": Lt,
    "Level": Level,
    "File": File,
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
        """Whether it counts DCT coefficients per axis."""
        return "Level" in self.annotation

    def names_file(self, value: Any) -> bool:
        """Whether a value of it is the path of a file, rather than one of the words it also takes."""
        return "File" in self.annotation and isinstance(value, str) and f"'{value}'" not in self.annotation


def names(kind: str) -> list[str]:
    """Every name of a kind ("strategy", "model", "source")."""
    return sorted(file.stem for file in (ROOM / KINDS[kind]).glob("*.py") if file.stem not in ("__init__", "base"))


def did_you_mean(word: str, words: list[str]) -> str:
    """The end of an error message: the nearest word, and all there are."""
    near = difflib.get_close_matches(str(word), words, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(words)}"


def module_name(kind: str, use: str) -> str:
    """Dotted module of a name; raises FrugalError for one that isn't there."""
    if use not in names(kind):
        raise FrugalError(f"unknown {kind} {use!r}; {did_you_mean(use, names(kind))}")
    return f"frugal.{KINDS[kind].replace('/', '.')}.{use}"


def load(kind: str, use: str) -> ModuleType:
    """Import the module of a name."""
    return importlib.import_module(module_name(kind, use))


@cache
def parameters(kind: str, use: str) -> dict[str, Parameter]:
    """The parameters of a name, read from its source.

    Of a strategy the fields of its one class, of a model the keyword-only arguments of `build`, of a source those of `read`.
    """
    module = module_name(kind, use)
    tree = ast.parse((ROOM / KINDS[kind] / f"{use}.py").read_text())
    found = (
        _fields(tree, module) if kind == "strategy" else _keywords(tree, module, "build" if kind == "model" else "read")
    )
    return {parameter.name: parameter for parameter in found}


def _fields(tree: ast.Module, module: str) -> list[Parameter]:
    classes = [
        n for n in tree.body if isinstance(n, ast.ClassDef) and any(getattr(b, "id", "") == "Strategy" for b in n.bases)
    ]
    if len(classes) != 1:
        raise FrugalError(f"{module} must define exactly one class derived from Strategy, it has {len(classes)}")
    fields = [
        n for n in classes[0].body if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)
    ]
    return [
        Parameter(f.target.id, ast.unparse(f.annotation), f.value is None, f.value and ast.literal_eval(f.value))
        for f in fields
    ]


def _keywords(tree: ast.Module, module: str, function: str) -> list[Parameter]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return [Parameter(a.arg, ast.unparse(a.annotation), d is None, d and ast.literal_eval(d)) for a, d in pairs]
    raise FrugalError(f"{module} must define a function {function}")


@cache
def data_kind(kind: str, use: str) -> str:
    """Which kind of data a source gives or a model takes: the constant KIND of its file, "image" where there is none."""
    module_name(kind, use)
    tree = ast.parse((ROOM / KINDS[kind] / f"{use}.py").read_text())
    found = [n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "KIND"]
    return ast.literal_eval(found[0]) if found else "image"


@cache
def uses_threads(source: str) -> bool:
    """Whether a source's `read` takes, after the two folders, the number of cores it may use."""
    module_name("source", source)
    tree = ast.parse((ROOM / KINDS["source"] / f"{source}.py").read_text())
    reads = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "read")
    return any(argument.arg == "threads" for node in reads for argument in node.args.args)


def check(kind: str, use: str, given: dict[str, Any], where: str) -> dict[str, Any]:
    """All parameters of a name with defaults filled in; raises FrugalError naming the key and what is allowed.

    where: the place in the config, for the message.
    """
    known = parameters(kind, use)
    for key in given:
        if key not in known:
            raise FrugalError(
                f"{where}: {kind} {use} has no parameter {key!r}; {did_you_mean(key, list(known)) if known else 'it has none'}"
            )
    checked = {}
    for name, parameter in known.items():
        if name not in given:
            if parameter.required:
                raise FrugalError(f"{where}: {kind} {use} needs the parameter {name!r} ({parameter.annotation})")
            checked[name] = parameter.default
            continue
        try:
            expected = eval(
                parameter.annotation,
                {"__builtins__": {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}},
                VOCABULARY,
            )  # our own source, not the user's
            checked[name] = TypeAdapter(expected).validate_python(given[name], strict=False)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise FrugalError(
                f"{where}: {name} is {given[name]!r}; {problem[0].lower()}{problem[1:]} (declared {parameter.annotation})"
            ) from error
    return checked
