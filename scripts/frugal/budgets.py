"""Budgets of a study: strategies that are trained anew for a share of their epochs, such as full@0.25.

The schedule is that much shorter. Exchange rates are read from such runs of the baseline.
"""

import re

from frugal.errors import FrugalError
from frugal.spec import AT
from frugal.study_config import Scale, StrategyConfig, StudyConfig
from frugal.sweeps import POINT
from frugal.unfit import uses_scores

SHARE = re.compile(rf"(?P<strategy>.+){AT}(?P<share>[0-9.]+)")


def share_in(run: str) -> tuple[str, float | None]:
    """The strategy of a run with a budget of its own, and that share of its epochs; else the name itself and None."""
    found = SHARE.fullmatch(run)
    return (found["strategy"], float(found["share"])) if found else (run, None)


def with_budgets(
    study: StudyConfig, scale: Scale, strategies: list[str], where: str
) -> tuple[StudyConfig, dict[str, dict[str, float]]]:
    """The study with a strategy for each budget that is asked for, and which these are (see `Study.budgets`).

    Raises FrugalError for names that would be mistaken for them, and for a budget that is named twice.
    """
    if marked := [name for name in study.strategies if AT in POINT.sub("", name)]:
        raise FrugalError(f"{where}: strategies.{marked[0]}: {AT} is kept for budgets and sweeps; choose another name")
    wanted = {name: study.strategies[name].budgets for name in strategies}
    wanted[study.baseline] = [*wanted[study.baseline], *scale.budgets]
    budgets: dict[str, dict[str, float]] = {}
    more: dict[str, StrategyConfig] = {}
    for name, shares in wanted.items():
        if len(set(shares)) < len(shares):
            twice = next(share for share in shares if shares.count(share) > 1)
            raise FrugalError(f"{where}: the budget {twice:g} of {name} is given twice; name it once")
        if shares:
            budgets[name] = {name if share == 1 else f"{name}{AT}{share:g}": share for share in sorted({*shares, 1.0})}
        for run, share in budgets.get(name, {}).items():
            own, followed = study.strategies[name], study.strategies[name].follows
            if share != 1:
                charged = followed and uses_scores(own.use, own.parameters)  # the scores are those of the whole run
                shorter = followed if charged else f"{followed}{AT}{share:g}"
                if followed and not charged and shorter not in more:
                    raise FrugalError(
                        f"{where}: {name} has the budget {share:g} and {followed}, which it follows, has not; give both the same"
                    )
                more[run] = own.model_copy(update={"follows": shorter if followed else None, "budgets": []})
    return study.model_copy(update={"strategies": {**study.strategies, **more}}), budgets
