"""Sweeps of a study: strategies whose parameters an override changes, and a run for each value where it lists several.

`override='{strategies: {infobatch: {prune_ratio: [0.3, 0.5, 0.7]}}}'` gives the study the strategies `infobatch@prune_ratio=0.3`
and so on beside `infobatch`, each with whatever follows infobatch, and with a control of equal cost where none of those is one.
"""

import itertools
import re
from typing import Any, NamedTuple

from frugal import registry
from frugal.errors import FrugalError, did_you_mean
from frugal.parameters import value_of
from frugal.spec import AT
from frugal.study import Sweep, merged
from frugal.study_config import StrategyConfig

POINT = re.compile(rf"{AT}[A-Za-z]\w*=")  # where the values begin in the name of a point, as infobatch@prune_ratio=0.3
VALUE = re.compile(r"[A-Za-z0-9_.+-]+")  # it is part of a folder's name


class Swept(NamedTuple):
    """What an override makes of a study.

    content: its file's, with the new strategies; strategies: those of the scale, the new ones behind those they come from
    """

    content: dict[str, Any]
    strategies: list[str]
    sweeps: list[Sweep]


def swept(content: dict[str, Any], strategies: list[str], changes: dict[str, Any], where: str) -> Swept:
    """Change parameters of a study's strategies; those with a list of values become sweeps.

    content: of the study's file, checked; strategies: of the scale; changes: by strategy and parameter; where: for messages.
    Strategies that the scale doesn't train are passed over. Raises FrugalError for values that can't be part of a name, or
    that the parameter can't have.
    """
    study = {**content, "strategies": dict(content["strategies"]), "groups": _panels(content, strategies)}
    order, sweeps = list(strategies), []
    for strategy, change in changes.items():
        if strategy not in strategies:
            continue
        place = f"{where}: strategies.{strategy}"
        if not isinstance(change, dict) or not change:
            raise FrugalError(f"{place} must be a mapping of parameters, such as {{prune_ratio: [0.3, 0.5]}}")
        own = study["strategies"][strategy]
        lists = {key: values for key, values in change.items() if _is_sweep(own, key, values, place)}
        own = merged(own, {key: value for key, value in change.items() if key not in lists})
        study["strategies"][strategy] = own
        if lists:
            sweeps += _sweep(study, order, strategy, lists, place)
    return Swept(study, order, sweeps)


def check_changed(changes: dict[str, Any], trained: dict[str, list[str]], where: str) -> None:
    """Raise FrugalError for a strategy that no study trains. trained: names by study; where: for the message."""
    for strategy in changes:
        if not any(strategy in names for names in trained.values()):
            known = list(dict.fromkeys(name for names in trained.values() for name in names if not POINT.search(name)))
            of = f"study {next(iter(trained))}" if len(trained) == 1 else f"{len(trained)} studies"
            raise FrugalError(
                f"{where}: override.strategies: {of} of this scale trains no {strategy!r}; {did_you_mean(strategy, known)}"
            )


def _panels(content: dict[str, Any], strategies: list[str]) -> dict[str, list[str]]:
    """The study's groups; where it has none, those that figures have by default, so that sweeps can stand beside them."""
    if content.get("groups"):
        return dict(content["groups"])
    controls = [name for name in strategies if content["strategies"][name].get("control")]
    others = [name for name in strategies if name not in controls and name != content["baseline"]]
    return {title: names for title, names in (("Proposals", others), ("Controls", controls)) if names}


def _is_sweep(own: dict[str, Any], key: str, values: Any, place: str) -> bool:
    """Whether values are several of a parameter, rather than one that is a list; raises FrugalError for an empty list."""
    known = registry.parameters("strategy", own["use"])
    if not isinstance(values, list) or key not in known or not _refused(own, key, values, place):
        return False
    if not values:
        raise FrugalError(f"{place}.{key} lists no value; name at least one, or leave it out")
    return True


def _refused(own: dict[str, Any], key: str, value: Any, place: str) -> bool:
    """Whether a parameter can't have this value."""
    parameter = registry.parameters("strategy", own["use"])[key]
    try:
        value_of(parameter, value, place)
    except FrugalError:
        return True
    return False


def _sweep(study: dict[str, Any], order: list[str], strategy: str, lists: dict[str, list], place: str) -> list[Sweep]:
    """Give the study a strategy for each combination of values, and what follows it; `order` grows by them.

    Returns a sweep; of a scoring run, which is compared with nothing, one for each strategy that uses its scores.
    """
    own, new, lines, controls = study["strategies"][strategy], [], {}, {}
    if own["use"] == "equal_cost" or strategy == study["baseline"]:
        raise FrugalError(f"{place} is what others are held against, and can't be swept; sweep over one of the others")
    has = registry.check("strategy", own["use"], StrategyConfig.model_validate(own).parameters, place)
    seen = []
    for values in itertools.product(*lists.values()):
        named = {key: _as_name(own, key, value, place) for key, value in zip(lists, values, strict=True)}
        listed = ",".join(f"{key}={value}" for key, value in named.items())
        if named in seen:
            raise FrugalError(f"{place}: the value {listed} is given twice; name it once")
        seen.append(named)
        # With the values that it has anyway, the strategy itself is the point.
        ending = "" if named == {key: _as_name(own, key, has[key], place) for key in lists} else f"{AT}{listed}"
        made = _with_followers(study, order, strategy, ending)
        if ending:
            study["strategies"][f"{strategy}{ending}"] |= dict(zip(lists, values, strict=True))
        for point in [name for name in made if _is_compared(study, name)]:
            lines.setdefault(point.removesuffix(ending), {})[point] = named
            controls[point] = _equal_cost_of(study, point, made)
        new += [name for name in made if name not in order]
    order[order.index(strategy) + 1 : order.index(strategy) + 1] = new
    study["groups"][f"{strategy} by {' and '.join(lists)}"] = [name for name in new if not _is_scoring(study, name)]
    return [
        Sweep(strategy=name, parameters=list(lists), points=points, controls={one: controls[one] for one in points})
        for name, points in lines.items()
    ]


def _equal_cost_of(study: dict[str, Any], point: str, made: list[str]) -> str:
    """The control of equal cost among those that were made for a point; where there is none, `made` gets one."""
    known = study["strategies"]
    for name in made:
        if known[name]["use"] == "equal_cost" and known[name].get("follows") == point:
            return name
    label = f"the plain net trained for as much as {point}"
    known[f"short-as-{point}"] = {"use": "equal_cost", "follows": point, "control": True, "label": label}
    made.append(f"short-as-{point}")
    return made[-1]


def _is_compared(study: dict[str, Any], name: str) -> bool:
    return not _is_scoring(study, name) and not study["strategies"][name].get("control")


def _is_scoring(study: dict[str, Any], name: str) -> bool:
    return "scores" in registry.tells(study["strategies"][name]["use"])


def _with_followers(study: dict[str, Any], order: list[str], strategy: str, ending: str) -> list[str]:
    """Copies of a strategy and of all that the scale trains after it, named as they are with an ending; without one, themselves.

    Returns the names.
    """
    copies, names = [strategy], {strategy: f"{strategy}{ending}"}
    while copies:
        leader = copies.pop(0)
        own = study["strategies"][leader]
        if ending:
            label = f"{own.get('label') or leader}; {ending.removeprefix(AT).replace('=', ' ').replace(',', ', ')}"
            follows = {"follows": names[own["follows"]]} if own.get("follows") in names else {}
            study["strategies"][names[leader]] = {**own, "label": label, **follows}
        for name in order:
            if study["strategies"][name].get("follows") == leader and not POINT.search(name):
                names[name] = f"{name}{ending}"
                copies.append(name)
    return list(names.values())


def _as_name(own: dict[str, Any], key: str, value: Any, place: str) -> str:
    """A value as it stands in the name of a point; raises FrugalError where it can't be there or is none of the parameter's."""
    checked = value_of(registry.parameters("strategy", own["use"])[key], value, place)
    text = (
        str(checked).lower()
        if isinstance(checked, bool)
        else f"{checked:g}"
        if isinstance(checked, float)
        else str(checked)
    )
    if not VALUE.fullmatch(text):
        raise FrugalError(
            f"{place}.{key}: {value!r} can't be part of a run's name; a sweep goes over numbers, words, true and false"
        )
    return text
