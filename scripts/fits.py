"""Which strategies can be trained on which models, and why not on the others: what planning says of each with its defaults.

python scripts/fits.py cnn-tiny distilbert --size 32

A net of a file in scripts/frugal/models is built too, unless it starts from weights, and tried on two invented samples. What is
wrong with it is printed alone.
"""

import argparse
import inspect
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from frugal import libraries, registry
from frugal.entries import contents
from frugal.errors import FrugalError, exit_with_one_line
from frugal.spec import Model, parse
from frugal.unfit import UNKNOWN, Ground, why_unfit

MODELS = Path("config/models.yaml")
COMBINATIONS = "combined"  # fits where its parts do
CLASSES = 11  # of the invented data that a net is tried on: few nets have so many by chance
SHAPES = {"text": [(64,)], "table": [(16,)], "sound": [(16000,)]}  # of its samples; images are in colour, else grey


def main() -> None:
    """Print a row per strategy, a column per model, and the reasons by their numbers.

    Raises FrugalError in place of that for a net that can't be trained whatever the strategy.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="of config/models.yaml, or of yours in config/local/models.yaml")
    parser.add_argument(
        "--size", type=int, default=32, help="pixels per side of the images, %(default)s, or what the net needs"
    )
    parser.add_argument("--config", default=MODELS, type=Path, help="default: %(default)s")
    given = parser.parse_args()
    entries = contents(given.config.parent, given.config.name)
    grounds = {}
    for name in given.models:
        if name not in entries:
            raise FrugalError(f"{given.config} has no model {name!r}; {registry.did_you_mean(name, list(entries))}")
        file, entry = entries[name]
        own = parse(Model, entry, f"{file}: {name}")
        parameters = registry.check("model", own.use, own.parameters, f"{file}: {name}")
        grounds[name] = ground(own.use, parameters, given.size)
    for name, where in grounds.items():  # first, since a table full of "yes" would say that a wrong net can be trained
        check_net(name, where)
    console = Console(highlight=False)
    console.width = max(console.width, 140, 26 + 22 * len(grounds))  # so that a log has the same table as a terminal
    shown, reasons = table(grounds)
    console.print(shown)
    for number, why in enumerate(reasons, 1):
        console.print(f"({number}) {why}")


def ground(use: str, parameters: dict[str, Any], size: int) -> Ground:
    """What a run of a model would stand on: data of the kind that it takes, images of so many pixels per side or what it needs.

    Raises FrugalError for a net that its library hasn't got.
    """
    kind, size = kind_of(use, parameters), max(size, registry.least_size(use, parameters))
    if use in libraries.BUILT and not parameters.get("pretrained"):
        libraries.check_name(use, kind, parameters["name"], f"model {use}")
    return Ground(kind, "classification", (use, parameters), size=size if kind == "image" else None, followed=UNKNOWN)


def check_net(name: str, where: Ground) -> None:
    """Raise WrongNet for a net that fails on samples of its kind, or doesn't give a row of logits for each.

    A size that it refuses in words of its own is no fault. Nets of libraries are tried when they are built for a run.
    """
    use, parameters = where.model
    if use in libraries.BUILT or parameters.get("pretrained") not in (None, False, "", "none"):
        return
    import torch  # a table alone doesn't need it

    from frugal.training.trial import Asked, WrongNet, built, try_out

    build = registry.load("model", use).build
    known = {"vocabulary": 1000, "task": "classification"}
    given = {key: known[key] for key in inspect.signature(build).parameters if key in known} | parameters
    dtype, fault = torch.int64 if where.kind == "text" else torch.float32, None
    for shape in SHAPES.get(where.kind) or [(channels, where.size, where.size) for channels in (3, 1)]:
        asked = Asked(name, use, shape, dtype, CLASSES)
        try:
            try_out(built(partial(build, shape, CLASSES, **given), asked), asked)
            return
        except WrongNet as error:
            if error.__cause__ is None:  # it runs on these samples, and gives anything but logits
                fault = error
                break
            fault = fault or error
        except FrugalError:
            return
    told = f"{fault}; {CLASSES} classes were assumed, since no data says how many"
    larger = where.kind == "image" and fault.__cause__ is not None
    raise WrongNet(told + "; if its images are larger, say so with --size" * larger) from fault


def kind_of(use: str, parameters: dict[str, Any]) -> str:
    """Which data a model takes; of several kinds the one whose nets have the longest name that begins this net's."""
    kinds = registry.takes_kinds(use)
    if len(kinds) == 1:
        return kinds[0]
    bare = parameters["name"].rpartition("/")[2]

    def known(kind: str) -> int:
        return max((len(name) for name in libraries.names(use, kind) or () if bare.startswith(name)), default=0)

    return max(kinds, key=known)


def reason(strategy: str, where: Ground) -> str | None:
    """Why planning refuses a strategy with its defaults there, None where it doesn't; levels are half of the images."""
    size = where.size or 32
    given: dict[str, Any] = {}
    for name, parameter in registry.parameters("strategy", strategy).items():
        if parameter.required:
            given[name] = [[size // 2, 0.5], [size, 1]] if parameter.is_stages else size // 2
    return why_unfit(strategy, registry.check("strategy", strategy, given, strategy), where)


def table(grounds: dict[str, Ground]) -> tuple[Table, list[str]]:
    """Yes, or the number of a reason, for each strategy and model, and the reasons, which say "the model" for any of them."""
    shown, reasons = Table("strategy", *grounds), []
    for strategy in registry.names("strategy"):
        if strategy == COMBINATIONS:
            continue
        cells = []
        for where in grounds.values():
            why = reason(strategy, where)
            why = why and why.replace(f"model {registry.calls(*where.model)}", "the model")
            if why is not None and why not in reasons:
                reasons.append(why)
            cells.append("yes" if why is None else f"no ({reasons.index(why) + 1})")
        shown.add_row(strategy, *cells)
    shown.add_row(COMBINATIONS, *("where its parts do" for _ in grounds))
    return shown, reasons


if __name__ == "__main__":
    exit_with_one_line(main)
