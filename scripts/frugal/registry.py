"""Registry of strategies, models and sources by name: the name is the file, so adding one is adding a file.

`use: infobatch` in a config means `frugal/strategies/infobatch.py`. Nothing here imports torch: what a file offers and
which parameters it takes is read from its source, so that a config is checked before any job starts.
"""

import ast
import difflib
import importlib
import os
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, TypeAdapter, ValidationError

from frugal.errors import FrugalError

ROOM = Path(__file__).resolve().parent
KINDS = {"strategy": "strategies", "model": "models", "source": "data/sources"}
DEFINITION = {"strategy": r"^class \w+\([^)]", "model": r"^def build\(", "source": r"^def read\("}
LACKS = {"strategy": "no class derived from Strategy", "model": "no function build", "source": "no function read"}

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


def names(kind: str) -> list[str]:
    """Every name of a kind ("strategy", "model", "source"): files that define one, not those that several of them share."""
    return sorted(file.stem for file in (ROOM / KINDS[kind]).glob("*.py") if _defines(kind, file))


@cache
def _defines(kind: str, file: Path) -> bool:
    text = file.read_text(encoding="utf-8")
    return file.stem != "base" and re.search(DEFINITION[kind], text, re.MULTILINE) is not None


def did_you_mean(word: str, words: list[str]) -> str:
    """The end of an error message: the nearest word, and all there are."""
    near = difflib.get_close_matches(str(word), words, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(words)}"


def module_name(kind: str, use: str) -> str:
    """Dotted module of a name; raises FrugalError for one that isn't there."""
    if use not in names(kind):
        if (file := ROOM / KINDS[kind] / f"{use}.py").is_file():
            raise FrugalError(f"{file} is no {kind}: it has {LACKS[kind]}; see config/adding.md")
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
    module, tree = module_name(kind, use), _tree(kind, use)
    found = (
        _fields(tree, module) if kind == "strategy" else _keywords(tree, module, "build" if kind == "model" else "read")
    )
    return {parameter.name: parameter for parameter in found}


def split(part: Part) -> tuple[str, dict[str, Any]]:
    """The name of a part's strategy, and its parameters."""
    return part["use"], {key: value for key, value in part.items() if key != "use"}


def modules_of(use: str, given: dict[str, Any]) -> tuple[str, ...]:
    """The modules of a strategy and of those it is made of, by its parameters."""
    parts = [part for name, known in parameters("strategy", use).items() if known.is_parts for part in given[name]]
    return tuple(dict.fromkeys(module_name("strategy", name) for name in (use, *(part["use"] for part in parts))))


@cache
def decides(use: str) -> tuple[str, ...]:
    """What a strategy has the say in: the constant `decides` of its class, none where there is none."""
    return _of_class(use, "decides", ())


@cache
def needs(use: str) -> dict[str, Any]:
    """What a strategy can't do without: the constant `needs` of its class; see `unfit`."""
    return _of_class(use, "needs", {})


@cache
def tells(use: str) -> tuple[str, ...]:
    """What another run may repeat of a strategy's: the constant `tells` of its class, "widths" or "shares" (of levels)."""
    return _of_class(use, "tells", ())


@cache
def single_device(use: str) -> bool:
    """Whether a strategy can't be shared by several devices: the constant of that name of its class."""
    return _of_class(use, "single_device", False)


@cache
def moves_weights(use: str) -> bool:
    """Whether a strategy removes or moves weights while a net trains: the constant of that name of its class."""
    return _of_class(use, "moves_weights", False)


@cache
def reads(use: str) -> str:
    """What a strategy reads, "pixels" or "coefficients": the constant of that name of its class."""
    return _of_class(use, "reads", "pixels")


@cache
def judges_classes(use: str) -> bool:
    """Whether a strategy looks at logits: it has a method `select` or `after_forward`."""
    body = _class(_tree("strategy", use), module_name("strategy", use)).body
    return any(isinstance(n, ast.FunctionDef) and n.name in ("select", "after_forward") for n in body)


def widths(model: str) -> dict[str, int | str]:
    """Parameters of a model that a narrower net shrinks: the constant WIDTHS of its file."""
    return _of_model(model, None, "WIDTHS", {})


def blocks(model: str) -> bool:
    """Whether a model has residual blocks that can be left out: the constant BLOCKS of its file."""
    return _of_model(model, None, "BLOCKS", False)


# What follows may differ between the nets of a library: `parameters` of the model say which is meant.


def one_size(model: str, parameters: dict[str, Any] | None = None) -> bool | Literal["unknown"]:
    """Whether a model takes images of the size it was built for only: the constant ONE_SIZE of its file."""
    return _of_model(model, parameters, "ONE_SIZE", False)


def least_size(model: str, parameters: dict[str, Any] | None = None) -> int:
    """Pixels per side of the smallest image that a model takes: the constant LEAST_SIZE of its file."""
    return _of_model(model, parameters, "LEAST_SIZE", 1)


def token_layers(model: str, parameters: dict[str, Any] | None = None) -> str | None:
    """Where a model has its list of layers that take and give tokens (b, L, hidden): the constant TOKEN_LAYERS of its file."""
    return _of_model(model, parameters, "TOKEN_LAYERS", None)


def depth(model: str, parameters: dict[str, Any]) -> tuple[str, int | None]:
    """How many of these layers there are: the parameter, or the option that DEPTH of its file names, and its value if given."""
    if "layers" in parameters:
        return "layers", parameters["layers"]
    name = _of_model(model, parameters, "DEPTH", "layers")
    return name, (parameters.get("options") or {}).get(name)


def patches(model: str) -> str | None:
    """Of a model that cuts images into patches, the parameter with their side in pixels: the constant PATCHES of its file."""
    return _of_model(model, None, "PATCHES", None)


def calls(model: str, parameters: dict[str, Any]) -> str:
    """A model in a message: the name of its file, after that of the library's net where it builds such."""
    return f"{parameters['name']} of {model}" if parameters.get("name") else model


def family(model: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What is known of a library's net by its name: the entry of FAMILIES in the model's file, the longest that begins it.

    Of a name on the hub, `owner/name`, what follows the owner is looked at.
    """
    families, name = _model_constant(model, "FAMILIES", {}), str(parameters.get("name", "")).rpartition("/")[2]
    return families[max(fitting, key=len)] if (fitting := [one for one in families if name.startswith(one)]) else {}


def _of_model(model: str, parameters: dict[str, Any] | None, name: str, default: Any) -> Any:
    """A constant of a model's file, or of the family that the net's name belongs to."""
    return family(model, parameters or {}).get(name, _model_constant(model, name, default))


def _model_constant(model: str, name: str, default: Any) -> Any:
    return _constant(_model_body(model), name, default)


@cache
def _model_body(model: str) -> list[ast.stmt]:
    return _tree("model", model).body


def _of_class(use: str, name: str, default: Any) -> Any:
    return _constant(_class(_tree("strategy", use), module_name("strategy", use)).body, name, default)


def _class(tree: ast.Module, module: str) -> ast.ClassDef:
    classes = [
        n for n in tree.body if isinstance(n, ast.ClassDef) and any(getattr(b, "id", "") == "Strategy" for b in n.bases)
    ]
    if len(classes) != 1:
        raise FrugalError(f"{module} must define exactly one class derived from Strategy, it has {len(classes)}")
    return classes[0]


def _fields(tree: ast.Module, module: str) -> list[Parameter]:
    body = _class(tree, module).body
    fields = [n for n in body if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)]
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


def takes_kinds(model: str) -> tuple[str, ...]:
    """Which kinds of data a model takes: one, but for those that build nets of a library for several."""
    kinds = data_kind("model", model)
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)


def data_kind(kind: str, use: str, options: dict[str, Any] | None = None) -> str:
    """Which kind of data a source gives or a model takes: the constant KIND of its file, "image" where there is none.

    options: of a source, which may have one of that name, `kind`, and then gives what it says.
    """
    if kind == "source" and (parameter := parameters(kind, use).get("kind")):
        return (options or {}).get("kind", parameter.default)
    return _fixed_kind(kind, use)


@cache
def _fixed_kind(kind: str, use: str) -> str:
    return _constant(_tree(kind, use).body, "KIND", "image")


def sample_shape(source: str, options: dict[str, Any]) -> tuple[int, ...] | None:
    """The shape of a sample as far as options say it: squares of `size` pixels in colour, rows of `length`; else None.

    options: all of the source's, defaults filled in.
    """
    kind = data_kind("source", source, options)
    size, length = options.get("size"), options.get("length")
    if kind == "image" and size:
        return options.get("channels") or 3, size, size
    return (length,) if kind in ("text", "sound") and length else None


@cache
def data_task(source: str) -> str:
    """What a source's samples are asked for: the constant TASK of its file, "classification" where there is none."""
    return _constant(_tree("source", source).body, "TASK", "classification")


@cache
def takes_task(model: str) -> bool:
    """Whether a model's `build` is told the task, and so can do others than classification."""
    return _takes("model", model, "build", "task")


@cache
def uses_threads(source: str) -> bool:
    """Whether a source's `read` takes, after the two folders, the number of cores it may use."""
    return _takes("source", source, "read", "threads")


def _tree(kind: str, use: str) -> ast.Module:
    """The source of a name, parsed. Raises FrugalError for one that there isn't."""
    module_name(kind, use)
    return ast.parse((ROOM / KINDS[kind] / f"{use}.py").read_text())


def _constant(body: list[ast.stmt], name: str, default: Any) -> Any:
    named = [
        (n.targets[0] if isinstance(n, ast.Assign) else n.target, n.value)
        for n in body
        if isinstance(n, ast.Assign | ast.AnnAssign)
    ]
    found = [value for target, value in named if getattr(target, "id", "") == name]
    return ast.literal_eval(found[0]) if found and found[0] is not None else default


def _takes(kind: str, use: str, function: str, argument: str) -> bool:
    found = (n for n in _tree(kind, use).body if isinstance(n, ast.FunctionDef) and n.name == function)
    return any(taken.arg == argument for node in found for taken in node.args.args)


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
        checked[name] = value_of(parameter, given[name], where)
        if parameter.is_parts:
            checked[name] = _checked_parts(checked[name], f"{where}.{name}")
    for low, high in _of_class(use, "ascending", ()) if kind == "strategy" else ():
        if None not in (checked[low], checked[high]) and checked[low] > checked[high]:
            raise FrugalError(f"{where}: {low} is {checked[low]} and {high} {checked[high]}; {low} can't exceed {high}")
    return checked


def value_of(parameter: Parameter, given: Any, where: str) -> Any:
    """A parameter's value as it is declared; raises FrugalError naming the key and what is allowed."""
    try:
        expected = eval(
            parameter.annotation,
            {"__builtins__": {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}},
            VOCABULARY,
        )  # our own source, not the user's
        value = TypeAdapter(expected).validate_python(given, strict=False)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        problem = problem.removeprefix("Value error, ")
        raise FrugalError(
            f"{where}: {parameter.name} is {given!r}; {problem[0].lower()}{problem[1:]} (declared {parameter.annotation})"
        ) from error
    is_path = (parameter.names_file(value) or "Hub" in parameter.annotation) and isinstance(value, str)
    return os.path.expanduser(value) if is_path else value


def _checked_parts(parts: list[Part], where: str) -> list[Part]:
    """Strategies to be combined, with their defaults; raises FrugalError where two of them decide the same."""
    checked, taken = [], {}
    for place, part in enumerate(parts):
        use = part.get("use")
        if use is None:
            raise FrugalError(
                f"{where}[{place}]: the key 'use' is missing; it names a file in scripts/frugal/strategies"
            )
        checked.append({"use": use, **check("strategy", *split(part), f"{where}[{place}]")})
        if any(parameter.is_parts for parameter in parameters("strategy", use).values()):
            raise FrugalError(f"{where}[{place}]: {use} is a combination itself; list its parts here instead")
        for what in decides(use):
            if what in taken:
                raise FrugalError(
                    f"{where}: {taken[what]} and {use} both decide which {what} are left out; keep one of them"
                )
            taken[what] = use
    if len(checked) < 2:
        raise FrugalError(f"{where}: a combination takes at least two parts, there are {len(checked)}")
    return checked
