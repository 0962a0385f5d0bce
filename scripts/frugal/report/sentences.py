"""Sentences that depend on the outcome, computed from the tables so that they can never contradict them. Markdown."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from IPython.display import Markdown
from scipy import stats

from frugal.report.costs import COSTS
from frugal.report.load import Comparison, comparisons
from frugal.report.statistics import BETTER, CONFIDENCE, EQUAL, NEAR, NO_DIFFERENCE, UNDECIDED, WORSE, equal_cost
from frugal.study import Study

ENOUGH = 0.01  # a saving below one per cent is not worth a headline
TOLD_APART = {  # of a strategy and its control, by the verdict in summary.csv
    BETTER: "is better than",
    WORSE: "is worse than",
    NO_DIFFERENCE: "cannot be told from",
    UNDECIDED: "cannot be told from",
}
FEW = 5  # seeds, below which an interval says more about the draw of the seeds than about the strategies


def percent(share: float, digits: int = 0) -> str:
    """A fraction in per cent, never rounded up to all or down to nothing."""
    while digits < 4 and (round(100 * share, digits) >= 100 > 100 * share or round(100 * share, digits) == 0 < share):
        digits += 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def points(difference: float) -> str:
    """A difference of two accuracies in percentage points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


def code(names: list[str]) -> str:
    """Names of strategies as a list in a sentence."""
    return listed([f"`{name}`" for name in names]) or "none"


def listed(parts: list[str]) -> str:
    """Parts of a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def tell(tables: str | Path, *sentences: Callable[[Comparison], str], mark: str = "") -> Markdown:
    """Sentences about each data set and model of a study, in turn. mark: put before each, e.g. "> " for a quotation."""
    every, parts = comparisons(tables), []
    for one in every:
        if len(every) > 1:
            parts.append(f"### {one.dataset}, {one.model}{' (generated data)' * one.generated}")
        parts += [mark + text for sentence in sentences if (text := sentence(one))]
    return Markdown("\n\n".join(parts))


def _against(row: pd.Series, compared: Comparison, metric: str = "test_accuracy") -> str:
    """How far a strategy lies from the baseline, with its interval."""
    low, mean, high = (row[f"{metric}_difference_{part}"] for part in ("low", "mean", "high"))
    if pd.isna(low):
        return f"no interval of its difference to `{compared.study.baseline}`: {row['verdict_reason']}"
    return f"{points(mean)} points against `{compared.study.baseline}`, 95 % interval {points(low)} to {points(high)}"


def savings_at_no_loss(compared: Comparison) -> dict[str, pd.Series]:
    """Per cost, the row of the strategy that saves most among those better than or equal to the baseline; may be empty.

    The costs are the study's own, FLOPs, seconds and joules. A saving counts where its whole 95 % interval lies above one
    per cent. A control counts too, but makes way for a proposal that saves as much within five per cent.
    """
    study, summary = compared.study, compared.summary
    lossless = summary[summary["verdict"].isin([BETTER, EQUAL])]
    best = {}
    for cost in dict.fromkeys([study.cost, "flops_executed", "train_seconds", "energy_joules"]):
        saving = lossless[lossless[f"{cost}_saved_low"] > ENOUGH].sort_values(f"{cost}_saved_mean", ascending=False)
        if len(saving):
            enough = (1 - NEAR) * saving[f"{cost}_saved_mean"].iloc[0]
            alike = saving[saving[f"{cost}_saved_mean"] >= enough]
            proposals = alike[~alike["strategy"].isin(study.controls)]
            best[cost] = (proposals if len(proposals) else alike).iloc[0]
    return best


def headline(compared: Comparison) -> str:
    """The best saving at no loss, in two or three sentences; or that there is none to be shown."""
    study, best = compared.study, savings_at_no_loss(compared)
    where = f"On {'generated data, ' * compared.generated}`{compared.dataset}` with `{compared.model}`"
    if len(study.seeds) < 2:
        return (
            f"{where}: one seed was run, so nothing can be said about gains and losses. Run at least two, better five."
        )
    if not best:
        return (
            f"{where}, no strategy saves anything that this study can show to be free of a loss. {_closest(compared)}"
        )
    parts: dict[str, list[str]] = {}
    for cost, row in best.items():
        parts.setdefault(row["strategy"], []).append(
            COSTS[cost].saving.format(f"**{percent(row[f'{cost}_saved_mean'])}**")
        )
    rows = {row["strategy"]: row for row in best.values()}
    sentences = [
        f"{_called(strategy, study)} {listed(saved)} and stays within the margin of {100 * study.margin:g} points"
        if rows[strategy]["verdict"] == EQUAL
        else f"{_called(strategy, study)} {listed(saved)} and is more accurate"
        for strategy, saved in parts.items()
    ]
    sentences = [f"{text} ({_against(rows[name], compared)})" for text, name in zip(sentences, parts, strict=True)]
    return f"{where}, " + "; ".join(sentences) + "." + _still(compared, rows) + _by_control(compared, rows)


def _called(strategy: str, study: Study) -> str:
    return f"{'the control ' if strategy in study.controls else ''}`{strategy}`"


def _still(compared: Comparison, praised: dict[str, pd.Series]) -> str:
    """Whether the praised strategies keep their verdict once it is corrected for how many were compared."""
    count = len(compared.summary) - 1
    if count < 2:
        return ""
    lost = [name for name, row in praised.items() if row["verdict_corrected"] != row["verdict"]]
    if not lost:
        return f" Corrected for {count} comparisons (Holm), {'this' if len(praised) == 1 else 'all of this'} stands."
    which = "this" if len(praised) == 1 else f"what is said of {code(lost)}"
    return f" Corrected for {count} comparisons (Holm), {which} does not stand."


def _by_control(compared: Comparison, praised: dict[str, pd.Series]) -> str:
    """What the controls of equal cost say of the praised proposals; a saving that they have too is not the idea's."""
    said, equally = [], COSTS[compared.study.cost].equally
    for strategy, row in praised.items():
        low, high = row["control_difference_low"], row["control_difference_high"]
        if strategy not in compared.study.controls and pd.notna(low):
            found = TOLD_APART[row["control_verdict"]]
            interval = f"{points(row['control_difference_mean'])} points, 95 % interval {points(low)} to {points(high)}"
            said.append(f" `{strategy}` {found} its control `{row['control']}`, which {equally} ({interval}).")
    return "".join(said)


def _closest(compared: Comparison) -> str:
    """The most accurate of the undecided strategies that save something, for whoever wants to run more seeds."""
    summary, cost = compared.summary, compared.study.cost
    saves = summary[f"{cost}_saved_mean"] > ENOUGH
    undecided = summary[(summary["verdict"] == UNDECIDED) & saves]
    if undecided.empty:
        lost = "Every one that saves something loses more than the margin."
        return lost if saves.any() else "None of them saves anything."
    row = undecided.sort_values("test_accuracy_difference_mean", ascending=False).iloc[0]
    saved = COSTS[cost].saving.format(percent(row[f"{cost}_saved_mean"]))
    closest = f"Closest is {_called(row['strategy'], compared.study)}, which {saved} and stays undecided"
    return f"{closest} ({_against(row, compared)})." + _by_control(compared, {row["strategy"]: row})


def verdicts(compared: Comparison) -> str:
    """Which strategies keep the accuracy at their own fidelity, which lose, and of which one can't tell."""
    kinds = {
        BETTER: "better than the baseline",
        EQUAL: "equal within the margin",
        WORSE: "worse by more than the margin",
        UNDECIDED: "undecided",
    }
    said = []
    for kind, name in kinds.items():
        strategies = compared.summary["strategy"][compared.summary["verdict"] == kind].tolist()
        if strategies:
            said.append(f"{name}: {code(strategies)}")
    margin = f"{100 * compared.study.margin:g} points"
    fidelity = "At their own fidelity, against" if compared.fidelity_differs else "Against"
    opening = f"{fidelity} `{compared.study.baseline}` and with a margin of {margin}:"
    parts = [opening, "\n".join(f"- {line}" for line in said), corrected(compared), few_seeds(compared.study)]
    return "\n\n".join(filter(None, parts))


def corrected(compared: Comparison) -> str:
    """Which verdicts stand when they are corrected for the number of strategies; empty where one is compared, or none is sure."""
    summary = compared.summary[compared.summary["strategy"] != compared.study.baseline]
    sure = summary[summary["verdict"].isin([BETTER, EQUAL, WORSE])]
    if len(summary) < 2 or sure.empty:
        return ""
    stand = sure[sure["verdict_corrected"] == sure["verdict"]]
    opening = f"These verdicts are not corrected for there being {len(summary)} of them. After Holm's correction"
    if len(stand) == len(sure):
        return f"{opening} all of them stand."
    said = [f"those on {code(stand['strategy'].tolist())} stand" if len(stand) else "none of them stands"]
    for weaker in (EQUAL, UNDECIDED):
        names = sure["strategy"][(sure["verdict_corrected"] == weaker) & (sure["verdict"] != weaker)].tolist()
        if names:
            said.append(f"{weaker} {'is' if len(names) == 1 else 'are'} then {code(names)}")
    return f"{opening} {'; '.join(said)}."


def few_seeds(study: Study) -> str:
    """A warning where so few seeds were run that the intervals themselves are uncertain; else empty."""
    seeds = len(study.seeds)
    if not 2 <= seeds < FEW:  # of one seed the headline says that it allows no conclusion
        return ""
    wide = stats.t.ppf(0.5 + CONFIDENCE / 2, seeds - 1)
    return (
        f"**{seeds} seeds are few.** The interval of a mean is then {wide:.1f} standard errors wide to either side, and the "
        f"standard error itself is a guess from {seeds} numbers; a verdict may change with more. Run at least {FEW}."
    )


def against_controls(compared: Comparison) -> str:
    """Whether each proposal beats the controls that spent as much of the study's cost."""
    study = compared.study
    equally = COSTS[study.cost].equally
    pairs = equal_cost(study, compared.runs, ["dataset", "model", "strategy"])
    pairs = pairs[~pairs["strategy"].isin(study.controls)]
    proposals = [name for name in study.strategies if name not in (study.baseline, *study.controls)]
    if pairs.empty:
        return f"No strategy has a control that {equally}, so none can be told from simply doing less."
    sentences = []
    for _, row in pairs.iterrows():
        low, high = row["control_difference_low"], row["control_difference_high"]
        found = "no interval from one seed" if pd.isna(low) else f"95 % interval {points(low)} to {points(high)}"
        difference = f"{points(row['control_difference_mean'])} points ({found})"
        sentences.append(f"- `{row['strategy']}` against `{row['control']}`: {difference}: {row['control_verdict']}")
    without = [name for name in proposals if name not in set(pairs["strategy"])]
    missing = f"\n\nWithout such a control: {code(without)}." if without else ""
    return f"Against each control that {equally} (within {100 * NEAR:g} %):\n\n" + "\n".join(sentences) + missing


def reaching_the_clock(compared: Comparison) -> str:
    """How much of what was saved of the study's cost reaches the clock, per strategy."""
    cost, lines = compared.study.cost, []
    for _, row in compared.summary.iterrows():
        saved, seconds = row[f"{cost}_saved_mean"], row["train_seconds_saved_mean"]
        if pd.notna(saved) and pd.notna(seconds) and saved > ENOUGH:
            low, high = row["train_seconds_saved_low"], row["train_seconds_saved_high"]
            interval = f" (95 % interval {percent(low, 1)} to {percent(high, 1)})" if pd.notna(low) else ""
            share = f", {percent(seconds / saved)} of what was left out" if seconds > 0 else ""
            name = COSTS[cost].saved
            told = f"{percent(saved, 1)} {name}, {percent(seconds, 1)} seconds saved{interval}{share}"
            lines.append(f"- `{row['strategy']}`: {told}")
    if not lines:
        return "No strategy saves more than one per cent, so there is nothing that could reach the clock."
    return "\n".join(lines)


def reaching_the_target(compared: Comparison) -> str:
    """Who reaches the target accuracy, who first in epochs and who first in seconds."""
    study, summary = compared.study, compared.summary
    target = f"{100 * study.target(compared.dataset, compared.model):g} % validation accuracy"
    always = summary[summary["seeds_at_target"] == summary["seeds"]]
    if always.empty:
        return f"No strategy reaches {target} with every seed."
    fastest = always.loc[always["seconds_to_target_mean"].idxmin()]
    first = always.loc[always["epochs_to_target_mean"].idxmin()]
    said = [f"in epochs is `{first['strategy']}` ({first['epochs_to_target_mean']:.3g})"]
    if study.cost != "train_seconds" and always["cost_to_target_mean"].notna().any():
        least = always.loc[always["cost_to_target_mean"].idxmin()]
        cost = COSTS[study.cost]
        spent = cost.told(least["cost_to_target_mean"])
        said.append(f"by {cost.axis.removesuffix(' in training')} `{least['strategy']}` ({spent})")
    said.append(f"in time `{fastest['strategy']}` ({fastest['seconds_to_target_mean']:.3g} s)")
    never = summary["strategy"][summary["seeds_at_target"] == 0].tolist()
    return f"{len(always)} of {len(summary)} strategies reach {target} with every seed; first {', '.join(said)}." + (
        f" Never: {code(never)}." if never else ""
    )


def doubts(compared: Comparison) -> str:
    """The findings of the audit."""
    if compared.audit.empty:
        return (
            "The audit found nothing: no two runs share a training-loss curve, and all were made on the same machine, "
            "with the same data, code and packages."
        )
    lines = [f"- **{row.finding}** — {row.runs}: {row.detail}" for row in compared.audit.itertuples()]
    return "**The audit found reasons for doubt:**\n\n" + "\n".join(lines)
