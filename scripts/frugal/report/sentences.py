"""Sentences that depend on the outcome, computed from the tables so that they can never contradict them. Markdown."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from frugal.report.budget_curve import currency
from frugal.report.caveats import (
    cautions,
    cautions_on_all,
    few_test_samples,
    in_sight,
    own_intervals,
    seconds_in_doubt,
    uneven_seconds,
)
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import LEVELLED, SAVES, WASTES
from frugal.report.load import Comparison, comparisons, read_study_of, without_baseline
from frugal.report.pool import pool_told
from frugal.report.statistics import BETTER, EQUAL, NEAR, NO_DIFFERENCE, UNDECIDED, WORSE, equal_cost
from frugal.report.words import code, exchange, listed, percent, points
from frugal.study import Study

ENOUGH = 0.01  # a saving below one per cent is not worth a headline
MANY = 12  # sentences of one kind; of more, those that say nothing new are folded


def tell(tables: str | Path, *sentences: Callable[[Comparison], str], mark: str = "") -> Markdown:
    """Sentences about each data set and model of a study, in turn. mark: put before each, e.g. "> " for a quotation.

    Where the headline is among them, data sets and models without a run of the baseline are named at the end.
    """
    every, parts = comparisons(tables), []
    for one in every:
        if len(every) > 1:
            parts.append(f"### {one.dataset}, {one.model}{' (generated data)' * one.generated}")
        parts += [mark + text for sentence in sentences if (text := sentence(one))]
    lacking = without_baseline(read_study_of(tables), every) if headline in sentences else []
    if lacking:
        named = listed([f"`{dataset}` with `{model}`" for dataset, model in lacking])
        parts.append(f"Not compared, since the baseline has no run there that could be used: {named}.")
    return Markdown("\n\n".join(parts))


def _against(row: pd.Series, compared: Comparison, metric: str = "test_accuracy") -> str:
    """How far a strategy lies from the baseline, with its interval."""
    low, mean, high = (row[f"{metric}_difference_{part}"] for part in ("low", "mean", "high"))
    if pd.isna(low):
        return f"no interval of its difference to `{compared.study.baseline}`: {row['verdict_reason']}"
    return f"{points(mean)} points against `{compared.study.baseline}`, 95 % interval {points(low)} to {points(high)}"


def headline(compared: Comparison) -> str:
    """The answer to the study's question: what its best proposal saves, and what its control and the curve leave of it."""
    study, proposals = compared.study, _proposals(compared)
    where = f"On {'generated data, ' * compared.generated}`{compared.dataset}` with `{compared.model}`"
    if len(study.seeds) < 2:
        return (
            f"{where}: one seed was run, so nothing can be said about gains and losses. Run at least two, better five."
        )
    if proposals.empty:
        return f"{where} no proposal was run, only the baseline and controls."
    best = best_proposal(compared)
    if best is None:
        lost = "each one that saves something loses more than the margin"
        saved = proposals[f"{study.cost}_saved_mean"]
        if saved.isna().all():
            noun = COSTS[study.cost].noun
            return f"{where}, **nothing can be told**: no proposal has {noun} that can be held against the baseline's."
        saves = (saved > ENOUGH).any()
        why = [lost if saves else "no proposal spends less than the baseline", *_in_bold(cautions_on_all(compared))]
        return f"{where}, **nothing is saved**: {'; '.join(why)}."
    said = [
        f"{where}, {_saved(best, compared)}",
        _by_control(best, compared),
        _by_curve(best, compared),
        *_in_bold(cautions(best, compared)),
    ]
    return "; ".join(filter(None, said)) + ". " + _conclusion(best, study)


def _in_bold(told: list[str]) -> list[str]:
    return [f"**{text}**" for text in told]


def _proposals(compared: Comparison) -> pd.DataFrame:
    others = (compared.study.baseline, *compared.study.controls)
    return compared.summary[~compared.summary["strategy"].isin(others)]


def best_proposal(compared: Comparison) -> pd.Series | None:
    """The proposal that the study's answer is about, None where there is none: of those that save by their exchange rate the one
    with the highest, without a loss if there is one; else the one that spends least without a loss; else the most accurate of the
    undecided ones that spend less.
    """
    study, proposals = compared.study, _proposals(compared)
    cost, rate = f"{study.cost}_saved_mean", f"{currency(study)}_exchange_rate"
    saving = proposals[proposals[f"{currency(study)}_exchange_verdict"] == SAVES]
    lossless = proposals[proposals["verdict"].isin([BETTER, EQUAL]) & (proposals[cost] > ENOUGH)]
    undecided = proposals[(proposals["verdict"] == UNDECIDED) & (proposals[cost] > ENOUGH)]
    kept = saving[saving["verdict"].isin([BETTER, EQUAL])]
    for rows, by in ((kept, rate), (saving, rate), (lossless, cost), (undecided, "test_accuracy_difference_mean")):
        if len(rows):
            return rows.sort_values(by, ascending=False).iloc[0]
    return None


def _saved(row: pd.Series, compared: Comparison) -> str:
    """What a proposal leaves out, and how its accuracy stands to the baseline's."""
    cost, share = COSTS[compared.study.cost], row[f"{compared.study.cost}_saved_mean"]
    saved = (
        cost.saving.format(f"**{percent(share)}**") if share > ENOUGH else f"saves no {COSTS[compared.study.cost].noun}"
    )
    margin = f"the margin of {100 * compared.study.margin:g} points"
    held = {
        BETTER: "and is more accurate than the baseline",
        EQUAL: f"and stays within {margin}",
        WORSE: f"and loses more than {margin}",
        UNDECIDED: "and may be less accurate than the baseline, or not",
    }[row["verdict"]]
    if row["verdict"] == UNDECIDED and row["test_accuracy_difference_high"] < 0:
        held = f"and is less accurate than the baseline; these seeds can't tell whether by more than {margin}"
    return f"`{row['strategy']}` {saved} {held} ({_against(row, compared)})"


def _by_control(row: pd.Series, compared: Comparison) -> str:
    """What a proposal's control of equal cost says; a saving that it has too is not the idea's."""
    equally, control = COSTS[compared.study.cost].equally, row["control"]
    if pd.isna(control):
        return f"**no control** {equally}: only the curve of the plain net tells the idea from doing less"
    low, high, margin = row["control_difference_low"], row["control_difference_high"], compared.study.margin
    within = -margin <= low and high <= margin
    found = {
        BETTER: "it beats",
        WORSE: "it loses to",
        NO_DIFFERENCE: "it is as accurate, within the margin, as" if within else "no difference is shown to",
        UNDECIDED: "it can't be told from",
    }[row["control_verdict"]]
    between = f", {points(low)} to {points(high)}" if pd.notna(low) else ", no interval"
    difference = f"({points(row['control_difference_mean'])} points{between})"
    mine = compared.summary[compared.summary["strategy"] == control].iloc[0]
    paid = currency(compared.study)
    saves = mine[f"{paid}_exchange_verdict"] == SAVES
    too = f" and saves by its own exchange rate, {exchange(mine, paid)}" if saves else ""
    return f"{found} its control `{control}`, which {equally} {difference}{too}"


def _by_curve(row: pd.Series, compared: Comparison) -> str:
    """What the plain net, trained for less, would have had to spend for the same accuracy."""
    paid = currency(compared.study)
    rate = row[f"{paid}_exchange_rate"]
    if pd.isna(rate):
        return f"no exchange rate: {row['exchange_reason']}"
    return f"exchange rate {exchange(row, paid)} in {COSTS[paid].noun}"


def conclusion(row: pd.Series, study: Study) -> str:
    """What is left of a strategy's saving, in a word: by the curve, and it can't save where its control is more accurate."""
    verdict = row[f"{currency(study)}_exchange_verdict"]
    if verdict == WASTES or (verdict == SAVES and row["control_verdict"] != WORSE):
        return verdict
    return UNDECIDED


def _conclusion(row: pd.Series, study: Study) -> str:
    """The same in a sentence."""
    told = conclusion(row, study)
    if told == SAVES:
        return "**It saves**: the plain net, trained for less, would have had to spend more for this accuracy."
    if told == WASTES:
        return "**It wastes**: the plain net, trained for less, is as accurate for less."
    if row["control_verdict"] == BETTER:
        return "It beats the plain net of equal cost, but **the curve does not decide** whether it saves."
    return "Whether anything is saved beside training for less is **undecided**."


def exchanged(compared: Comparison) -> str:
    """Who saves, who wastes and of whom it can't be told, by exchange rate in what the study is about."""
    summary, paid = compared.summary, currency(compared.study)
    others = summary[summary["strategy"] != compared.study.baseline]
    if others.empty:
        return "No exchange rates: there are runs of the plain net alone."
    if others[f"{paid}_exchange_rate"].isna().all():
        reasons = sorted(set(others["exchange_reason"].dropna()))
        return f"No exchange rates: {'; '.join(reasons)}."
    lines = []
    for verdict in (SAVES, WASTES, UNDECIDED):
        rows = others[(others[f"{paid}_exchange_verdict"] == verdict) & others[f"{paid}_exchange_rate"].notna()]
        rows = rows.sort_values(f"{paid}_exchange_rate", ascending=False)
        told = [f"`{row['strategy']}` {exchange(row, paid)}" for _, row in rows.iterrows()]
        if verdict == UNDECIDED and len(told) > MANY:
            told = [f"{len(told)} strategies, each in the table below"]
        lines += [f"- **{verdict}**: {', '.join(told)}"] if told else []
    opening = (
        "What the plain net, trained for less, would have had to spend for the same accuracy, as a multiple of the "
        f"{COSTS[paid].noun} that the strategy spent, with simultaneous 95 % intervals (no bound: beyond the curve at both ends):"
    )
    remarks = [remark for remark in dict.fromkeys(others["exchange_reason"].dropna()) if LEVELLED in remark]
    return "\n\n".join([opening, "\n".join(lines), *remarks])


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
    if not said:
        return f"There is nothing to hold against `{compared.study.baseline}`: no other strategy has runs."
    fidelity = "At their own fidelity, against" if compared.fidelity_differs else "Against"
    opening = f"{fidelity} `{compared.study.baseline}` and with a margin of {margin}:"
    parts = [opening, "\n".join(f"- {line}" for line in said), own_intervals(compared), in_sight(compared)]
    if small := few_test_samples(compared):
        parts.append(f"**The test set is too small for this margin**: {small}.")
    parts += [seconds_in_doubt(compared), uneven_seconds(compared)]
    return "\n\n".join(filter(None, parts))


def against_controls(compared: Comparison) -> str:
    """Whether each proposal beats the controls that spent as much of the study's cost."""
    study = compared.study
    equally, pair = COSTS[study.cost].equally, (compared.dataset, compared.model)
    pairs = equal_cost(study, compared.runs, ["dataset", "model", "strategy"], {pair: pool_told(compared.summary)})
    pairs = pairs[~pairs["strategy"].isin(study.controls)]
    proposals = [name for name in study.strategies if name not in (study.baseline, *study.controls)]
    if pairs.empty:
        return f"No strategy has a control that {equally}, so none can be told from simply doing less."
    sentences: dict[bool, list[str]] = {True: [], False: []}  # by whether the seeds decide
    for _, row in pairs.iterrows():
        low, high = row["control_difference_low"], row["control_difference_high"]
        between = "one seed" if pd.isna(low) else f"{points(low)} to {points(high)}"
        difference = f"{points(row['control_difference_mean'])} | {between}"
        told = f"| `{row['strategy']}` | `{row['control']}` | {difference} | {row['control_verdict']} |"
        sentences[row["control_verdict"] in (BETTER, WORSE) or len(pairs) <= MANY].append(told)
    without = [name for name in proposals if name not in set(pairs["strategy"])]
    missing = f"\n\nWithout such a control: {code(without)}." if without else ""
    opening = f"Against each control that {equally} (within {100 * NEAR:g} %), in points:\n\n"
    head = "| strategy | control | difference | 95 % interval | verdict |\n|:--|:--|--:|--:|:--|\n"
    decided = head + "\n".join(sentences[True]) if sentences[True] else "These seeds decide none of them."
    return opening + decided + folded(head, sentences[False], "undecided") + missing


def folded(head: str, rows: list[str], what: str) -> str:
    """Rows of a table, in Markdown, as one that opens on a click; empty without any.

    In HTML and without an empty line, since nbconvert closes what is open at the end of each block of HTML.
    """
    if not rows:
        return ""
    lines = [[html.escape(cell.strip()) for cell in row.strip("|").split("|")] for row in (head.split("\n")[0], *rows)]
    cells = [[re.sub("`(.*?)`", r"<code>\1</code>", cell) for cell in line] for line in lines]
    names = "".join(f"<th>{name}</th>" for name in cells[0])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in cells[1:])
    table = f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
    return f"\n\n<details><summary>{len(rows)} more, {what}</summary>{table}</details>"


def realised_in_time(compared: Comparison) -> str:
    """How much of what was saved of the study's cost is realised in seconds, per strategy."""
    cost, rows = compared.study.cost, []
    for _, row in compared.summary.iterrows():
        saved, seconds = row[f"{cost}_saved_mean"], row["train_seconds_saved_mean"]
        if pd.notna(saved) and pd.notna(seconds) and saved > ENOUGH:
            low, high = row["train_seconds_saved_low"], row["train_seconds_saved_high"]
            interval = f"{percent(low, 1)} to {percent(high, 1)}" if pd.notna(low) else "one seed"
            share = percent(seconds / saved) if seconds > 0 else "none"
            told = f"{percent(saved, 1)} | {percent(seconds, 1)} | {interval} | {share}"
            rows.append(f"| `{row['strategy']}` | {told} |".replace("| -", "| \N{MINUS SIGN}"))
    others = compared.summary[compared.summary["strategy"] != compared.study.baseline]
    if len(others) and others["train_seconds_saved_mean"].isna().all():
        return "No strategy has seconds that can be held against the baseline's: they are of another machine."
    if not rows:
        return "No strategy saves more than one per cent, so there is nothing that could be realised in time."
    head = f"| strategy | {COSTS[cost].saved} | seconds saved | 95 % interval | of it realised in time |\n|:--|--:|--:|--:|--:|\n"
    return head + "\n".join(rows)


def reaching_the_target(compared: Comparison) -> str:
    """Who reaches the target accuracy, who first in epochs and who first in seconds."""
    study, summary = compared.study, compared.summary
    target = f"{100 * study.target(compared.dataset, compared.model):g} % validation accuracy"
    always = summary[summary["seeds_at_target"] == summary["seeds"]]
    if always.empty:
        return f"No strategy reaches {target} with every seed."
    first = always.loc[always["epochs_to_target_mean"].idxmin()]
    said = [f"in epochs is `{first['strategy']}` ({first['epochs_to_target_mean']:.3g})"]
    if study.cost != "train_seconds" and always["cost_to_target_mean"].notna().any():
        least = always.loc[always["cost_to_target_mean"].idxmin()]
        cost = COSTS[study.cost]
        spent = cost.told(least["cost_to_target_mean"])
        said.append(f"by {cost.axis.removesuffix(' in training')} `{least['strategy']}` ({spent})")
    if always["seconds_to_target_mean"].notna().any():
        fastest = always.loc[always["seconds_to_target_mean"].idxmin()]
        said.append(f"in time `{fastest['strategy']}` ({fastest['seconds_to_target_mean']:.3g} s)")
    never = summary["strategy"][summary["seeds_at_target"] == 0].tolist()
    return f"{len(always)} of {len(summary)} strategies reach {target} with every seed; first {', '.join(said)}." + (
        f" Never: {code(never)}." if never else ""
    )
