"""A study's answer in a sentence for each ground, for a page that has room for few."""

import html
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from frugal.report.budget_curve import currency
from frugal.report.caveats import cautions, cautions_on_all
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import SAVES, UNDECIDED, WASTES
from frugal.report.load import Comparison
from frugal.report.sentences import ENOUGH, best_proposal, conclusion
from frugal.report.words import exchange, percent, points
from frugal.webpage import coloured_verdict

MOST = 3  # grounds that have a sentence of their own; of more, the others are counted


def answer(compared: Sequence[Comparison]) -> str:
    """What the best proposal saves on each ground, with its exchange rate; of many grounds the verdicts on the others. HTML."""
    told, others = compared[:MOST], compared[MOST:]
    sentences = "<br>".join(map(_sentence, told))
    if not others:
        return sentences
    count = Counter(_verdict(one) for one in others)
    rest = ", ".join(f"{count[verdict]} {verdict}" for verdict in (SAVES, UNDECIDED, WASTES, NOTHING) if count[verdict])
    return f"{sentences}<br>The best on {len(others)} more: {rest}."


NOTHING = "nothing to judge"


def _verdict(one: Comparison) -> str:
    best = best_proposal(one)
    return NOTHING if best is None or len(one.study.seeds) < 2 else conclusion(best, one.study)


def _sentence(one: Comparison) -> str:
    study, best = one.study, best_proposal(one)
    where = f"On {'generated data, ' * one.generated}{html.escape(one.dataset)} with {html.escape(one.model)}"
    if len(study.seeds) < 2:
        return f"{where}: one seed, so nothing can be said."
    if best is None:
        return f"{'; '.join([f'{where}, no strategy saves anything', *cautions_on_all(one)])}."
    name, cost, paid = f"<code>{html.escape(best['strategy'])}</code>", COSTS[study.cost], currency(study)
    share, difference = best[f"{study.cost}_saved_mean"], best["test_accuracy_difference_mean"]
    saved = cost.saving.format(percent(share)) if share > ENOUGH else f"saves no {cost.noun}"
    rate = best[f"{paid}_exchange_rate"]
    told = f"exchange rate {html.escape(exchange(best, paid))}" if pd.notna(rate) else "no exchange rate"
    pill = coloured_verdict(conclusion(best, study))
    caveats = cautions(best, one)
    caveats += [] if isinstance(best["control"], str) else ["no control of equal cost was run"]
    but = "".join(f"; {caveat}" for caveat in caveats)
    within = f" (margin {100 * study.margin:g})"
    return f"{where}, {name} {saved} at {points(difference)} points{within}: {told}, {pill}{but}."
