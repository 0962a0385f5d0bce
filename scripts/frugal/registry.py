"""Registry of strategies, models and sources by name: the name is the file, so adding one is adding a file.

`use: infobatch` in a config means `frugal/strategies/infobatch.py`. Nothing here imports torch: what a file offers and
which parameters it takes is read from its source, so that a config is checked before any job starts.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from frugal.declarations import class_in, constant_in, fields_in, keywords_in, takes
from frugal.errors import FrugalError, did_you_mean
from frugal.parameters import Parameter, Part, checked, split

ROOM = Path(__file__).resolve().parent
KINDS = {"strategy": "strategies", "model": "models", "source": "data/sources"}
DEFINITION = {"strategy": r"^class \w+\([^)]", "model": r"^def build\(", "source": r"^def read\("}
LACKS = {"strategy": "no class derived from Strategy", "model": "no function build", "source": "no function read"}


def names(kind: str) -> list[str]:
    """Every name of a kind ("strategy", "model", "source"): files that define one, not those that several of them share."""
    return sorted(file.stem for file in (ROOM / KINDS[kind]).glob("*.py") if _defines(kind, file))


@cache
def _defines(kind: str, file: Path) -> bool:
    if file.stem == "base" or not file.is_file():  # a symbolic link to nothing
        return False
    text = file.read_text(encoding="utf-8", errors="replace")
    return re.search(DEFINITION[kind], text, re.MULTILINE) is not None


def module_name(kind: str, use: str) -> str:
    """Dotted module of a name; raises FrugalError for one that isn't there."""
    if use not in names(kind):
        home = f"scripts/frugal/{KINDS[kind]}"
        if "/" in use or use.endswith(".py"):
            raise FrugalError(
                f"{kind} {use!r} is a path, and a {kind} is named by its file in {home}; link yours there, "
                f"`ln -s <its full path> {home}/local_{Path(use).stem}.py`, and use local_{Path(use).stem}"
            )
        if (ROOM / KINDS[kind] / f"{use}.py").is_file():
            raise FrugalError(f"{home}/{use}.py is no {kind}: it has {LACKS[kind]}; see config/adding.md")
        raise FrugalError(f"unknown {kind} {use!r}; {did_you_mean(use, names(kind))}; each is a file in {home}")
    return f"frugal.{KINDS[kind].replace('/', '.')}.{use}"


def load(kind: str, use: str) -> ModuleType:
    """Import the module of a name."""
    return importlib.import_module(module_name(kind, use))


@cache
def parameters(kind: str, use: str) -> dict[str, Parameter]:
    """The parameters of a name, read from its source.

    Of a strategy the fields of its one class, of a model the keyword-only arguments of `build`, of a source those of `read`.
    Raises FrugalError where they can't be read.
    """
    module, tree = module_name(kind, use), _tree(kind, use)
    function = "build" if kind == "model" else "read"
    found = fields_in(tree, module) if kind == "strategy" else keywords_in(tree, module, function)
    return {parameter.name: parameter for parameter in found}


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
    """What another run may repeat or use of a strategy's: the constant `tells` of its class, see `Strategy`."""
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
    body = class_in(_tree("strategy", use), module_name("strategy", use)).body
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
    return constant_in(_model_body(model), name, default)


@cache
def _model_body(model: str) -> list[ast.stmt]:
    return _tree("model", model).body


def _of_class(use: str, name: str, default: Any) -> Any:
    return constant_in(class_in(_tree("strategy", use), module_name("strategy", use)).body, name, default)


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
    return constant_in(_tree(kind, use).body, "KIND", "image")


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
    return constant_in(_tree("source", source).body, "TASK", "classification")


@cache
def takes_task(model: str) -> bool:
    """Whether a model's `build` is told the task, and so can do others than classification."""
    return takes(_tree("model", model), "build", "task")


@cache
def uses_threads(source: str) -> bool:
    """Whether a source's `read` takes, after the two folders, the number of cores it may use."""
    return takes(_tree("source", source), "read", "threads")


def _tree(kind: str, use: str) -> ast.Module:
    """The source of a name, parsed. Raises FrugalError for one that there isn't, or that isn't Python yet."""
    module_name(kind, use)
    try:
        return ast.parse((ROOM / KINDS[kind] / f"{use}.py").read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if getattr(error, "lineno", None) else ""
        told = getattr(error, "msg", error)
        raise FrugalError(
            f"scripts/frugal/{KINDS[kind]}/{use}.py is not valid Python{line}: {told}; mend it"
        ) from error


def check(kind: str, use: str, given: dict[str, Any], where: str) -> dict[str, Any]:
    """All parameters of a name with defaults filled in; raises FrugalError naming the key and what is allowed.

    where: the place in the config, for the message.
    """
    try:
        known = parameters(kind, use)
    except FrugalError as error:
        raise FrugalError(f"{where}: {error}") from error
    values = checked(known, given, f"{kind} {use}", where)
    for name in given:
        if known[name].is_parts:
            values[name] = _checked_parts(values[name], f"{where}.{name}")
    for low, high in _of_class(use, "ascending", ()) if kind == "strategy" else ():
        if None not in (values[low], values[high]) and values[low] > values[high]:
            raise FrugalError(f"{where}: {low} is {values[low]} and {high} {values[high]}; {low} can't exceed {high}")
    return values


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
        if "scores" in tells(use):
            raise FrugalError(
                f"{where}[{place}]: {use} is a scoring run, which does nothing else; take it out, and let the combination "
                "follow it"
            )
        for what in decides(use):
            if what in taken:
                raise FrugalError(
                    f"{where}: {taken[what]} and {use} both decide which {what} are left out; keep one of them"
                )
            taken[what] = use
    if len(checked) < 2:
        raise FrugalError(f"{where}: a combination takes at least two parts, there are {len(checked)}")
    return checked
