"""The tables that a report shows: what was run, what was saved, and what the authors of the studies reported beside it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from frugal import failed
from frugal.errors import FrugalError
from frugal.report import load
from frugal.report.budget_curve import CURRENCIES, currency
from frugal.report.costs import COSTS, METRICS, worth_a_column
from frugal.report.load import Comparison, spread
from frugal.report.machines import MACHINE, machines_of
from frugal.report.run_columns import SPLITS
from frugal.report.words import exchange, percent, points

ACCURACY = {  # metric of config/reported -> what it is of
    "test_accuracy": "test",
    "best_test_accuracy": "best epoch on test",
    "best_val_accuracy": "best epoch on validation",
    "eval_accuracy": "evaluation",
}
REPORTED = ["run", "strategy", "dataset", "metric", "value", "source"]


def savings(tables: str | Path) -> pd.DataFrame:
    """A row per strategy: accuracy, difference to the baseline, a recipe of its own, verdicts, the share of each cost saved."""
    table = load.summary(tables)
    study = load.read_study_of(tables)
    fidelity = (table["test_accuracy_mean"] != table["test_accuracy_full_fidelity_mean"]).any()
    found = {"accuracy, %": spread(table, "test_accuracy"), "points": _points(table), "verdict": table["verdict"]}
    if "own_recipe" in table and table["own_recipe"].notna().any():  # tables of before it was written lack it
        found["own recipe"] = table["own_recipe"].fillna("")
    views = "test_accuracy_flips_mean"
    if views in table and table[views].notna().any():  # tables of before it was written lack it
        found[METRICS["test_accuracy_flips"].shown] = spread(table, "test_accuracy_flips")
    if fidelity:
        found["accuracy, uncompressed, %"] = spread(table, "test_accuracy_full_fidelity")
        found["verdict, uncompressed"] = table["verdict_full_fidelity"]
        found["compression"] = table["compression_ratio_mean"]
    costs = {
        cost: None for _, rows in table.groupby("where", observed=True) for cost in worth_a_column(rows, study.cost)
    }
    found |= {COSTS[cost].saved: table[f"{cost}_saved_mean"].map(whole_percent) for cost in costs}
    return table[["where", "strategy"]].assign(**found)


def exchange_rates(tables: str | Path) -> pd.DataFrame:
    """A row per strategy: its accuracy, the budget at which the baseline reaches that, the exchange rate in every currency that
    was measured, the verdict in the study's own, and what was charged to it.
    """
    table, study = load.summary(tables), load.read_study_of(tables)
    table = table[table["kind"] != "baseline"]
    main = currency(study)
    measured = [paid for paid in dict.fromkeys([main, *CURRENCIES]) if table[f"{paid}_exchange_rate"].notna().any()]
    found = {"accuracy, %": spread(table, "test_accuracy")}
    bound = table[f"{main}_exchange_bound"].astype(object).fillna("")
    budget = table["matched_budget"].map(lambda share: "–" if pd.isna(share) else f"{share:.2f}")
    found["matched budget"] = bound.where(budget != "–", "") + budget
    for paid in measured:
        found[COSTS[paid].noun] = [exchange(row, paid) for _, row in table.iterrows()]
    found["verdict"] = table[f"{main}_exchange_verdict"].where(table[f"{main}_exchange_rate"].notna(), "–")
    found["charged"] = table["charged"]
    return table[["where", "strategy"]].assign(**found)


def _points(table: pd.DataFrame) -> pd.Series:
    return spread(table, "test_accuracy_difference").where(table["kind"] != "baseline", "")


def whole_percent(share: float) -> str:
    """A share in whole per cent, for a column of many; a dash where it is not known."""
    return "–" if pd.isna(share) else f"{round(100 * share)} %".replace("-", "\N{MINUS SIGN}")


def setting(tables: str | Path) -> pd.DataFrame:
    """What was run, a fact a row; read from the records, so that it is what happened and not what was planned."""
    study, runs = load.read_study_of(tables), load.runs(tables)
    commits = [
        f"{str(commit)[:10]}{' (with uncommitted changes)' if str(dirty) == 'True' else ''}"
        for commit, dirty in runs[["git_commit", "git_dirty"]].drop_duplicates().itertuples(index=False)
        if pd.notna(commit)
    ]
    machines = [
        f"{one.cpu}, {one.cores} cores, {one.threads} thread{'s' * (one.threads > 1)} per run, on {one.device}"
        for one in runs[["cpu", "cores", "threads", "device"]].drop_duplicates().itertuples(index=False)
    ]
    hosts = machines_of(runs).nunique()
    alike = hosts > len(runs[MACHINE].drop_duplicates())  # hosts whose processors have one name
    told_apart = f" ({hosts} hosts, some told apart by their memory alone)" * alike
    strategies = runs["strategy"].nunique()
    largest = runs.groupby("model", sort=False)["parameters"].max()
    metered = runs["energy_joules"].notna().sum()
    energy = f"measured on {metered} of {len(runs)} runs" if metered else "not measured"
    facts = {
        "scale": study.scale,
        "data and model": "; ".join(runs["where"].cat.categories),
        "samples": _splits(runs) or "not in the records",
        "parameters": ", ".join(f"{model} {count:,}" for model, count in largest.items()),
        "recipe": _recipes(runs) or "not in the records",
        "runs": f"{len(runs)}: {strategies} {'strategy' if strategies == 1 else 'strategies'}, "
        f"seeds {_values(runs.sort_values('seed'), 'seed')}{', without those of smaller budgets' * bool(study.shortened)}",
        "machine": "; ".join(machines) + told_apart,
        "GPU": _values(runs, "gpu"),
        "made": f"{runs['started'].min()[:16].replace('T', ' ')} to {runs['ended'].max()[:16].replace('T', ' ')} UTC",
        "code": f"commit {', '.join(commits)}" if commits else "not under git",
        "energy": f"{energy} ({_values(runs, 'energy_source')})",
        "memory": _values(runs, "peak_memory_source"),
    }
    if lost := failed.told_by(Path(tables, "audit.csv"), study.name):
        facts["failed"] = "; ".join(failed.told(lost, {}))
    if study.skipped:
        facts["not run"] = "; ".join(f"{one.strategy} on {one.dataset}/{one.model}: {one.why}" for one in study.skipped)
    return pd.DataFrame({"fact": facts.keys(), "value": facts.values()})


def strategies(tables: str | Path) -> pd.DataFrame:
    """Every strategy explained, a row each: what it is here, its idea, its settings."""
    study, kinds = (
        load.read_study_of(tables),
        load.summary(tables).drop_duplicates("strategy").set_index("strategy")["kind"],
    )
    rows = []
    for name in study.strategies:
        if name in kinds:
            control = f"control of {study.follows[name]}" if name in study.follows else "control"
            settings = brief(study.parameters.get(name, {}))
            kind = {"control": control}.get(kinds[name], kinds[name])
            rows.append({"strategy": name, "is": kind, "idea": study.labels.get(name, ""), "settings": settings})
    return pd.DataFrame(rows)


def brief(settings: dict[str, Any]) -> str:
    """Settings as short as they can be told."""
    return ", ".join(f"{key} {one if isinstance(one, str) else json.dumps(one)}" for key, one in settings.items())


def _recipes(runs: pd.DataFrame) -> str:
    """The recipe of most runs, as their records say, and what others have of their own; empty where no record says."""
    if "recipe" not in runs:  # tables of before it was written into them
        return ""
    said = {text: json.loads(text) for text in runs["recipe"].value_counts().index}
    shown = {
        text: {k: v for k, v in recipe.items() if v is not None and not isinstance(v, (dict, list))}
        for text, recipe in said.items()
    }
    most = next(iter(shown.values()))
    parts = [_listed(most)]
    for text, recipe in list(shown.items())[1:]:
        of = runs[runs["recipe"] == text]
        own = {key: recipe.get(key, "not set") for key in {**most, **recipe} if recipe.get(key) != most.get(key)}
        names = (of["dataset"] + "/" + of["model"] + " " + of["strategy"].astype(str)).unique()
        parts += [f"{', '.join(names)}: {_listed(own)}"] if own else []
    return "; ".join(parts)


def _splits(runs: pd.DataFrame) -> str:
    """How many samples each split of each data set has; empty where no record says."""
    sizes = [f"{part}_samples" for part in SPLITS]
    if not set(sizes) <= set(runs):  # tables of before they were written into them
        return ""
    known = runs[["dataset", *sizes]].dropna().drop_duplicates()
    return "; ".join(
        f"{dataset} " + ", ".join(f"{size:,.0f} {part}" for size, part in zip(counts, SPLITS, strict=True))
        for dataset, *counts in known.itertuples(index=False)
    )


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())


def _values(runs: pd.DataFrame, column: str) -> str:
    return ", ".join(map(str, runs[column].dropna().unique())) or "none"


def read_reported(path: str | Path) -> pd.DataFrame:
    """The author's figures, a row per run and metric; an empty value was never reported. Raises FrugalError for another table."""
    try:
        reported = pd.read_csv(path, dtype={"run": str})
    except (OSError, ValueError) as error:
        raise FrugalError(f"the reported figures {path} cannot be read ({error}); restore the file from git") from error
    missing = [column for column in REPORTED if column not in reported]
    if missing:
        raise FrugalError(f"the reported figures {path} lack the column {missing[0]}; restore the file from git")
    return reported


def claims(compared: list[Comparison], reported: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per strategy that an author gives figures of and that was run here: what was reported beside what was measured.

    compared: the comparisons of all studies; reported: the author's figures by study, see config/reported. Of several data
    sets the author's own is taken where it was run, else his first. A study whose author's figures are of no strategy that was
    run here has one row, which says so.
    """
    rows, spoken = [], set()
    for one in compared:
        said = _reported_here(one, reported.get(one.study.name))
        if not said and one.study.name in reported and one.study.name not in spoken:
            rows.append(_only_reported(one, reported[one.study.name]))
        spoken.add(one.study.name)
        for strategy, told in said.items():
            row = one.summary.set_index("strategy", drop=False).loc[strategy]
            difference = row["test_accuracy_difference_mean"]
            against = "" if pd.isna(difference) else f" ({points(difference)} points)"
            rows.append(
                {"strategy": strategy, "study": one.study.name}
                | {f"reported: {name}": text for name, text in told.items()}
                | {
                    "measured: on": f"{one.dataset}, {one.model}",
                    "measured: accuracy, %": spread(row.to_frame().T, "test_accuracy").iloc[0] + against,
                    "measured: time saved": _share(row, "train_seconds"),
                    "measured: FLOPs saved": _share(row, "flops_executed"),
                    "measured: joules saved": _share(row, "energy_joules", "no meter"),
                }
            )
    return pd.DataFrame(rows, dtype=object).fillna("–")


def _only_reported(compared: Comparison, reported: pd.DataFrame) -> dict[str, str]:
    """The author's first accuracy where nothing that was run here can be set beside it."""
    accuracies = reported[reported["metric"].isin(ACCURACY)]
    first = accuracies.iloc[0] if len(accuracies) else None
    told = "–" if first is None else f"{100 * first['value']:.2f} ({ACCURACY[first['metric']]})"
    strategy = "none run here" if first is None else str(first["strategy"])
    row = {"strategy": strategy, "study": compared.study.name, "reported: accuracy, %": told}
    return row | {"reported: saving": "none", "measured: accuracy, %": "nothing to set beside it"}


def _share(row: pd.Series, cost: str, unknown: str = "–") -> str:
    mean, low, high = (row[f"{cost}_saved_{part}"] for part in ("mean", "low", "high"))
    if pd.isna(mean):
        return unknown
    half = f" ± {50 * (high - low):.1f}" if pd.notna(low) else ""
    return f"{100 * mean:.1f}{half} %".replace("-", "\N{MINUS SIGN}")


def _reported_here(compared: Comparison, reported: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """By strategy, what its author says of it: on what, accuracy, saving; nothing of strategies that weren't run."""
    if reported is None or reported.empty:
        return {}
    by = [column for column in ("dataset", "model") if column in reported]
    places = list(reported[by].drop_duplicates().itertuples(index=False, name=None))
    ours = tuple(getattr(compared, column) for column in by)
    place = ours if ours in places else places[0]
    here = reported[(reported[by] == list(place)).all(axis=1)]
    wide = here.pivot_table(index="strategy", columns="metric", values="value", sort=False)
    base = wide.iloc[0]
    return {
        strategy: {
            "on": ", ".join(place),
            "accuracy, %": _accuracy(wide.loc[strategy]),
            "saving": _saving(wide.loc[strategy], base),
        }
        for strategy in compared.study.strategies
        if strategy in wide.index
    }


def _accuracy(said: pd.Series) -> str:
    told = [f"{100 * said[name]:.2f} ({what})" for name, what in ACCURACY.items() if pd.notna(said.get(name))]
    return told[0] if told else "–"


def _saving(said: pd.Series, base: pd.Series) -> str:
    """In the author's own terms; of times alone the share against his first run."""
    parts = []
    if pd.notna(said.get("time_saved")):
        parts.append(f"{percent(said['time_saved'], 1)} time")
    elif pd.notna(said.get("speedup")):
        parts.append(f"{said['speedup']:g} times as fast")
    elif pd.notna(said.get("train_seconds")) and said.name != base.name:
        less = 1 - said["train_seconds"] / base["train_seconds"]
        parts.append(f"{percent(abs(less), 1)} {'less' if less >= 0 else 'more'} time than {base.name}")
    if pd.notna(said.get("energy_saved")):
        parts.append(f"{percent(said['energy_saved'], 1)} “energy”")
    return ", ".join(parts) or "–"
