"""What the studies' authors reported, beside what was measured here: accuracy and the saving they stand for."""

import html

import pandas as pd

from frugal.report.headline import named, with_interval
from frugal.report.links import Links
from frugal.report.load import Comparison
from frugal.report.sentences import percent, points

ACCURACY = {  # metric of config/reported -> what it is of
    "test_accuracy": "test",
    "best_test_accuracy": "best epoch on test",
    "best_val_accuracy": "best epoch on validation",
    "eval_accuracy": "evaluation",
}


def claims(compared: list[Comparison], reported: dict[str, pd.DataFrame], links: Links) -> pd.DataFrame:
    """A row per strategy that an author gives figures of and that was run here. Cells are HTML.

    compared: the comparisons of all studies; reported: the author's figures by study, see config/reported. Of several data
    sets the author's own is taken where it was run, else his first. A study whose author's figures are of no strategy that was
    run here has one row, which says so.
    """
    rows, spoken = [], set()
    for one in compared:
        said = _told(one, reported.get(one.study.name))
        if not said and one.study.name in reported and one.study.name not in spoken:
            rows.append(_alone(one, reported[one.study.name], links))
        spoken.add(one.study.name)
        for strategy, told in said.items():
            row = one.summary.set_index("strategy").loc[strategy]
            difference = row["test_accuracy_difference_mean"]
            place = f"<br><small>{html.escape(f'{one.dataset}, {one.model}')}</small>"
            against = "" if pd.isna(difference) else f"<small> ({points(difference)})</small>"
            rows.append(
                {
                    "strategy": named(one.study, strategy),
                    "study": links.study(one.study),
                    "reported: accuracy %": f"{told['accuracy']}<br><small>{told['where']}</small>",
                    "reported: saving": told["saving"],
                    "measured: accuracy %": with_interval(row, "test_accuracy", 100, 2) + against + place,
                    "measured: time saved": _share(row, "train_seconds"),
                    "measured: FLOPs saved": _share(row, "flops_executed"),
                    "measured: joules saved": _share(row, "energy_joules", "no meter"),
                }
            )
    return pd.DataFrame(rows).fillna("–")


def _alone(compared: Comparison, reported: pd.DataFrame, links: Links) -> dict[str, str]:
    """The author's first accuracy where nothing that was run here can be set beside it."""
    accuracies = reported[reported["metric"].isin(ACCURACY)]
    first = accuracies.iloc[0] if len(accuracies) else None
    told = "–" if first is None else f"{100 * first['value']:.2f}<small> {ACCURACY[first['metric']]}</small>"
    strategy = "none run here" if first is None else html.escape(str(first["strategy"]))
    row = {"strategy": strategy, "study": links.study(compared.study), "reported: accuracy %": told}
    return row | {"reported: saving": "none", "measured: accuracy %": "nothing to set beside it"}


def _share(row: pd.Series, cost: str, unknown: str = "–") -> str:
    mean, low, high = (row[f"{cost}_saved_{part}"] for part in ("mean", "low", "high"))
    if pd.isna(mean):
        return unknown
    half = f"<small> ± {50 * (high - low):.1f}</small>" if pd.notna(low) else ""
    return f"{100 * mean:.1f} %{half}".replace("-", "\N{MINUS SIGN}")


def _told(compared: Comparison, reported: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """By strategy, what its author says of it: where, accuracy, saving; nothing of strategies that weren't run."""
    if reported is None or reported.empty:
        return {}
    by = [column for column in ("dataset", "model") if column in reported]
    places = list(reported[by].drop_duplicates().itertuples(index=False, name=None))
    ours = tuple(getattr(compared, column) for column in by)
    place = ours if ours in places else places[0]
    here = reported[(reported[by] == list(place)).all(axis=1)]
    wide = here.pivot_table(index="strategy", columns="metric", values="value", sort=False)
    there = [strategy for strategy in compared.study.strategies if strategy in wide.index]
    base = wide.iloc[0]
    return {
        strategy: {
            "where": html.escape(", ".join(place)),
            "accuracy": _accuracy(wide.loc[strategy]),
            "saving": _saving(wide.loc[strategy], base),
        }
        for strategy in there
    }


def _accuracy(said: pd.Series) -> str:
    for metric, what in ACCURACY.items():
        if pd.notna(said.get(metric)):
            return f"{100 * said[metric]:.2f}" + (f"<small> {what}</small>" if what else "")
    return "–"


def _saving(said: pd.Series, base: pd.Series) -> str:
    """In the author's own terms; of times alone the share against his first run."""
    parts = []
    if pd.notna(said.get("time_saved")):
        parts.append(f"{percent(said['time_saved'], 1)} time")
    elif pd.notna(said.get("speedup")):
        parts.append(f"{said['speedup']:g} times as fast")
    elif pd.notna(said.get("train_seconds")) and said.name != base.name:
        less = 1 - said["train_seconds"] / base["train_seconds"]
        parts.append(
            f"{percent(abs(less), 1)} {'less' if less >= 0 else 'more'} time<br><small>than {html.escape(base.name)}</small>"
        )
    if pd.notna(said.get("energy_saved")):
        parts.append(f"{percent(said['energy_saved'], 1)} “energy”")
    return ", ".join(parts) or "–"
