"""Unfit runs: what a strategy can't do, known before any job starts from its parameters, its file and the model's.

A strategy's class constant `needs` maps what it needs to why: a sentence, or {parameter: {value: sentence}} where it depends
on its parameters. The planner asks here for every run, and a training job once more, with what it sees. Never imports torch.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from frugal import registry
from frugal.costs import EQUAL_COST
from frugal.errors import FrugalError
from frugal.parameters import split

# What `needs` may name. epochs: more than its `window` and two before; followed: the history of a run it repeats;
# followed <what>: one of a strategy that `tells` it.
NEEDS = (
    "images",
    "classes",
    "sizes",
    "widths",
    "residual blocks",
    "blocks",
    "token layers",
    "patches",
    "cuda",
    "one device",
    "epochs",
    "no average",
    "whole batches",
    "unmixed",
    "unscaled",
    "followed",
    "followed widths",
    "followed shares",
    "followed scores",
)


class Unfit(FrugalError):
    """A strategy that can't be trained on a data set and model, so that a study may go on without it there."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on.

    kind, task: of the data; model: `use` and parameters, defaults filled in; devices: that share a run; device: as in the
    config; residency: likewise; average: whether the recipe averages the weights over the training; accumulate: parts of a
    batch that it takes one after the other; mixes: whether it makes a training image of two; scales: whether it scales losses,
    for float16; size: pixels per side of the images, None where that is not asked; followed: `use` and parameters of the strategy
    it follows, None where it follows none, and UNKNOWN where that is not asked; epochs: of the run, None where that is not asked
    """

    kind: str
    task: str
    model: tuple[str, dict[str, Any]]
    devices: int = 1
    device: str = "auto"
    residency: str = "auto"
    average: bool = False
    accumulate: int = 1
    mixes: bool = False
    scales: bool = False
    size: int | None = None
    followed: tuple[str, dict[str, Any]] | None = None
    epochs: float | None = None


UNKNOWN = ("", {})


def why_unfit(use: str, parameters: dict[str, Any], ground: Ground) -> str | None:
    """Why a strategy with these parameters can't do anything there, and what to do, in one clause; None where it can."""
    parts = ((use, parameters), *_parts(use, parameters))
    shown = [level for one, own in parts for level in _levels(one, own) if "sizes" in dict(needs(one, own))]
    for one, own in parts:
        if ground.devices > 1 and registry.single_device(one):
            return f"{one} can't be shared by {ground.devices} devices; set devices: 1"
        if ground.residency == "files" and registry.reads(one) == "coefficients":
            return f"{one} reads DCT coefficients, and residency: files decodes pixels; set residency: auto"
        if ground.average and registry.moves_weights(one):
            return (
                f"{one} changes which weights there are while it trains, so recipe.average has no meaning; leave it out"
            )
        for need, why in needs(one, own):
            if unmet := _unmet(need, one, own, ground, min(shown, default=ground.size)):
                return unmet.format(why=why, use=one)
    return None


def needs(use: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a strategy needs with these parameters, and why; parts of a combination speak for themselves."""
    for need, why in registry.needs(use).items():
        if isinstance(why, str):
            yield need, why
            continue
        for name, values in why.items():
            if str(parameters[name]) in values:
                yield need, values[str(parameters[name])]
    if registry.judges_classes(use) and not _parts(use, parameters):
        yield "classes", "it judges logits of classes"


def uses_scores(use: str, parameters: dict[str, Any]) -> bool:
    """Whether a strategy, or a part of it, uses the scores of the run it follows, and so is charged with it."""
    return any(need == "followed scores" for _, need in _asked(use, parameters))


def repeats_epochs(use: str, parameters: dict[str, Any]) -> bool:
    """Whether a strategy, or a part of it, repeats what the run it follows did in each of its epochs."""
    return any(need in ("followed", "followed shares") and one != EQUAL_COST for one, need in _asked(use, parameters))


def _asked(use: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each need of a strategy and of its parts, and before it the strategy or part that has it."""
    parameters = _defaults(use) | parameters
    for one, own in ((use, parameters), *_parts(use, parameters)):
        yield from ((one, need) for need, _ in needs(one, own))


def _parts(use: str, parameters: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    lists = [parameters[name] for name, known in registry.parameters("strategy", use).items() if known.is_parts]
    named = [split(part) for parts in lists for part in parts]
    return [(one, _defaults(one) | given) for one, given in named]


def _defaults(use: str) -> dict[str, Any]:
    return {name: known.default for name, known in registry.parameters("strategy", use).items()}


def _levels(use: str, parameters: dict[str, Any]) -> list[int]:
    known = registry.parameters("strategy", use).items()
    return [level for name, parameter in known for level in parameter.levels(parameters[name])]


def _unmet(need: str, use: str, parameters: dict[str, Any], ground: Ground, shown: int | None) -> str | None:
    """shown: pixels per side of the smallest images that the strategy's parts show the net, None where that is not asked."""
    net, sizes = ground.model
    model = registry.calls(net, sizes)
    match need:
        case "images" if ground.kind != "image":
            return f"{{use}} works on images only ({{why}}) and the data is {ground.kind}; choose another of the two"
        case "classes" if ground.task != "classification":
            return f"{{use}} needs classes ({{why}}) and the data set asks for {ground.task}; choose another of the two"
        case "sizes" if (fixed := registry.one_size(net, sizes)) == "unknown":
            return (
                f"{{why}}, and whether model {model} takes images of several sizes is not known; choose cnn or resnet"
            )
        case "sizes" if fixed:
            return f"{{why}}, and model {model} takes images of one size only; choose one with global pooling: cnn or resnet"
        case "sizes" if (patch := registry.patches(net)) and ground.size is not None:
            return _untiled_image(_levels(use, parameters) or [-(-shown // 2)], sizes[patch], model)
        case "sizes" if ground.size is not None:
            smallest = min(_levels(use, parameters), default=-(-shown // 2))
            if smallest < (least := registry.least_size(net, sizes)):
                return f"{{why}}, here {smallest} pixels per side, and model {model} takes {least} or more; choose another model"
        case "token layers" if registry.token_layers(net, sizes) is None:
            return f"{{why}}, and model {model} has no layers of tokens; choose transformer, bert or vit"
        case "token layers" if (depth := registry.depth(net, sizes))[1] is not None and depth[1] < 3:
            return f"{{why}}, and model {model} has {depth[1]} of them here; set {depth[0]} to 3 or more"
        case "patches" if registry.patches(net) is None:
            return f"{{why}}, and model {model} has none that can be left out; choose one with `use: vit`"
        case "widths" if not registry.widths(net):
            return f"model {model} can't be made narrower: its file names no WIDTHS; choose another model"
        case "residual blocks" if not registry.blocks(net):
            having = ", ".join(name for name in registry.names("model") if registry.blocks(name))
            return f"{{use}} {{why}}, and model {model} has none that can be left out; choose one that has: {having}"
        case "blocks":
            return _untiled(parameters, net, sizes)
        case "cuda" if ground.device == "cpu":
            return "{why}, and device is cpu; choose another pattern, or a machine with one and device: cuda"
        case "one device" if ground.devices > 1:
            return "{use} {why}; set devices: 1, or choose another cost"
        case "epochs" if ground.epochs is not None and ground.epochs <= (first := parameters["window"] + 2):
            return (
                f"{{use}} {{why}} and leaves nothing out in the first {first}, and the run has {ground.epochs:g}; train for "
                "more, or lower its window"
            )
        case "no average" if ground.average:
            return "{use} {why}; leave recipe.average out"
        case "whole batches" if ground.accumulate > 1:
            return "{use} {why}, and recipe.accumulate takes them in parts; leave it out"
        case "unmixed" if ground.mixes and ground.kind == "image":
            return "{use} {why}, and recipe.augment makes each sample of two; leave mixup and cutmix out"
        case "unscaled" if ground.scales:
            return "{use} {why}, and recipe.precision is float16, which scales them; choose bfloat16 or float32"
        case "followed" | "followed widths" | "followed shares" | "followed scores" if ground.followed is None:
            return "{use} {why}; name that strategy with `follows:`"
        case "followed widths" | "followed shares" | "followed scores" if ground.followed != UNKNOWN:
            what = need.removeprefix("followed ")
            parts = [] if what == "scores" else _parts(*ground.followed)  # a scoring run does nothing else
            told = {thing for one in (ground.followed, *parts) for thing in registry.tells(one[0])}
            if what not in told:
                return f"{{use}} {{why}}, and {ground.followed[0]}, which it follows, has no {what}; follow another strategy"
    return None


def _untiled_image(levels: list[int], patch: int, model: str) -> str | None:
    """Images that patches don't tile, by their pixels per side."""
    for level in sorted(level for level in levels if level % patch):
        return (
            f"{{why}}, here {level} pixels per side, and the {patch}x{patch} patches of model {model} don't tile them; "
            "choose multiples of that, or another patch"
        )
    return None


def _untiled(parameters: dict[str, Any], model: str, sizes: dict[str, Any]) -> str | None:
    """Blocks that certainly don't tile a layer: one of as many outputs as a width says.

    The first of a list of widths may be of the first convolution, which stays dense; and where a strategy's own `skip` says
    what stays dense, only the training job can tell.
    """
    found = re.fullmatch(r"block-(\d+)x\1", parameters["pattern"])
    if found is None or parameters.get("skip") is not None:
        return None
    side = int(found[1])
    for name in registry.widths(model):
        widths = sizes[name][1:] if isinstance(sizes[name], list) else [sizes[name]]
        uneven = [width for width in widths if width % side]
        if uneven:
            return (
                f"blocks of {side}x{side} don't tile a layer of model {model}, whose {name} is {sizes[name]}; choose a block "
                f"that divides {uneven[0]}, or name the layers that stay dense with skip: [...]"
            )
    return None
