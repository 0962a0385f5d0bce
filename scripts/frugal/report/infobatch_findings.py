"""What the infobatch study says beyond what every study says: best and last epoch, and its source's tables beside ours."""

import pandas as pd

from frugal.report.headline import named, with_interval
from frugal.report.load import Comparison
from frugal.report.sentences import percent, points
from frugal.report.statistics import intervals, paired

CELL = ["dataset", "model", "strategy"]


def best_and_last(compared: Comparison) -> pd.DataFrame:
    """Accuracy on test of the best and of the last epoch per strategy, and the differences to the baseline, paired by seed.

    returns: a row per strategy; columns best, last, best_difference, last_difference, minutes, each as _mean, _low, _high.
    `best` is null where the recipe asks for no curve on the test set, the differences of the baseline to itself are.
    """
    runs = compared.runs[[*CELL, "seed", "test_accuracy", "train_seconds"]].rename(columns={"test_accuracy": "last"})
    runs = runs.assign(minutes=runs.pop("train_seconds") / 60, best=float("nan"))
    if compared.curve == "test":
        highest = compared.history.groupby(["strategy", "seed"])["test_accuracy"].max()
        runs["best"] = [highest[strategy, seed] for strategy, seed in zip(runs["strategy"], runs["seed"], strict=True)]
    base = runs[runs["strategy"] == compared.study.baseline].drop(columns="strategy")
    differences, _ = paired(runs, base, by=["dataset", "model", "seed"])
    own = runs["strategy"] == compared.study.baseline
    both = runs.drop(columns="seed").join(differences[["best", "last"]].mask(own).add_suffix("_difference"))
    return intervals(both, CELL).reset_index().set_index("strategy").loc[compared.study.strategies].reset_index()


def accuracies(compared: Comparison) -> pd.DataFrame:
    """Best and last test accuracy, differences, time and what was saved, a row per strategy. Cells are HTML."""
    summary, rows = compared.summary.set_index("strategy"), []
    for _, row in best_and_last(compared).iterrows():
        ours = summary.loc[row["strategy"]]
        rows.append(
            {
                "strategy": named(compared.study, row["strategy"]),
                "last epoch, test %": with_interval(row, "last", 100, 2),
                "points": _difference(row, "last"),
                "best epoch, test %": with_interval(row, "best", 100, 2),
                "points ": _difference(row, "best"),
                "training, minutes": with_interval(row, "minutes", 1, 2),
                "seconds saved %": with_interval(ours, "train_seconds_saved", 100, 1),
                "samples saved %": with_interval(ours, "samples_backpropagated_saved", 100, 1),
            }
        )
    return pd.DataFrame(rows)


def _difference(row: pd.Series, which: str) -> str:
    mean = row[f"{which}_difference_mean"]
    if pd.isna(mean):
        return "–"
    low, high = row[f"{which}_difference_low"], row[f"{which}_difference_high"]
    half = f"<small> ± {100 * (high - low) / 2:.2f}</small>" if pd.notna(low) else ""
    return points(mean) + half


def reported_and_measured(compared: list[Comparison], reported: pd.DataFrame) -> pd.DataFrame:
    """The author's four tables, ours beside them where data set and model are the same; then what we ran on others.

    Accuracies in the author's columns are those of the best epoch, as he gives them. Cells are HTML.
    """
    wide = reported.pivot(index=["dataset", "model", "strategy"], columns="metric", values="value")
    ours = {(one.dataset, one.model): one for one in compared}
    theirs = dict.fromkeys(key[:2] for key in wide.index)
    rows = []
    for dataset, model in [*theirs, *(pair for pair in ours if pair not in theirs)]:
        one = ours.get((dataset, model))
        measured = best_and_last(one).set_index("strategy") if one else None
        summary = one.summary.set_index("strategy") if one else None
        for strategy in dict.fromkeys(reported["strategy"]):
            given = wide.loc[(dataset, model, strategy)] if (dataset, model) in theirs else None
            base = wide.loc[(dataset, model, "full")] if given is not None and strategy != "full" else None
            mine = measured.loc[strategy] if one and strategy in measured.index else None
            saved = summary.loc[strategy] if mine is not None else None
            known = given is not None
            reported_best = _told(given, "best_test_accuracy", 100, 2)
            if base is not None:
                reported_best += f"<small> ({points(given['best_test_accuracy'] - base['best_test_accuracy'])})</small>"
            rows.append(
                {
                    "data set, model": f"{dataset}, {model}" + ("" if known else "<br><small>not the source's</small>"),
                    "strategy": f"<code>{strategy}</code>",
                    "reported: best epoch %": reported_best,
                    "measured: best epoch %": _measured(mine, "best"),
                    "measured: last epoch %": _measured(mine, "last"),
                    "reported: minutes": _told(given, "train_minutes", 1, 2),
                    "measured: minutes": "–" if mine is None else with_interval(mine, "minutes", 1, 2),
                    "reported: time saved %": _told(given, "time_saved", 100, 2),
                    "measured: time saved %": "–"
                    if saved is None
                    else with_interval(saved, "train_seconds_saved", 100, 1),
                }
            )
    return pd.DataFrame(rows)


def _told(given: pd.Series | None, metric: str, scale: float, digits: int) -> str:
    return "–" if given is None or pd.isna(given[metric]) else f"{scale * given[metric]:.{digits}f}"


def _measured(mine: pd.Series | None, which: str) -> str:
    """An accuracy with its interval and, in brackets, its difference to the baseline."""
    if mine is None:
        return "–"
    difference = mine[f"{which}_difference_mean"]
    return with_interval(mine, which, 100, 2) + (
        "" if pd.isna(difference) else f"<small> ({points(difference)})</small>"
    )


def what_to_trust(compared: list[Comparison], reported: pd.DataFrame) -> str:
    """One paragraph of markdown: what the source's figures cannot show, and what was measured here instead."""
    wide = reported.pivot(index=["dataset", "model", "strategy"], columns="metric", values="value")
    best = wide["best_test_accuracy"].unstack("strategy")
    lost = best["full"] - best["infobatch"]
    said = [
        "**What the reported figures cannot show.** Each is a single run with a single seed, and of each the best epoch, "
        f"chosen on the test set. A loss of {100 * lost.min():.2f} to {100 * lost.max():.2f} points then has no interval; it may "
        "as well be none, or twice as large."
    ]
    last = wide["last_test_accuracy_difference"].dropna()
    for (dataset, model, _), difference in last.items():
        table = points(-lost[dataset, model])
        said.append(
            f"By the last epoch, {dataset} with {model} stands at {points(difference)} points rather than at {table}."
        )
    said.append("No control was run, so nothing there tells the choice of samples from simply training on fewer.")
    missing = [f"{dataset} with {model}" for dataset, model in best.index if (dataset, model) not in _pairs(compared)]
    if missing:
        others = " and ".join(f"{dataset} with {model}" for dataset, model in _pairs(compared))
        said.append(
            f"Here {others} was run; reported and measured figures of different data or nets are no comparison."
        )
    said += [flattery for one in compared if (flattery := _flattery(one))]
    return " ".join(said)


def _pairs(compared: list[Comparison]) -> list[tuple[str, str]]:
    return [(one.dataset, one.model) for one in compared]


def _flattery(compared: Comparison) -> str:
    """By how much choosing the best epoch on the test set would have raised the baseline; empty without its curve."""
    base = best_and_last(compared).set_index("strategy").loc[compared.study.baseline]
    gap = base["best_mean"] - base["last_mean"]
    if pd.isna(gap):
        return ""
    where = f"On {compared.dataset} with {compared.model}, choosing the epoch on the test set"
    if gap < 0.00005:
        return f"{where} would change nothing for `{compared.study.baseline}`: its last epoch is its best."
    return f"{where} would raise `{compared.study.baseline}` by {100 * gap:.2f} points; the headline is the last epoch."


def pruned(compared: Comparison) -> str:
    """How many samples each strategy left out, in the epoch with most of them and over the whole training."""
    lines = []
    if "pruned_share" in compared.history:
        most = compared.history.groupby("strategy")["pruned_share"].max()
        saved = compared.summary.set_index("strategy")["samples_backpropagated_saved_mean"]
        for strategy in compared.study.strategies:
            if most.get(strategy, 0) > 0:
                whole = percent(saved[strategy], 1)
                lines.append(
                    f"- `{strategy}` leaves out up to {percent(most[strategy], 1)} of an epoch, {whole} of the whole training"
                )
    return "\n".join(lines) or "No strategy left out samples."
