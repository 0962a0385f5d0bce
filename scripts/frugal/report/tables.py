"""From records to tables: a row per run, a row per cell with its verdict, and the curves."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from frugal.atomic import write_json, write_text
from frugal.report.audit import LACKING, audit
from frugal.report.budget_curve import Pools, budgets_table, charged, exchange_table
from frugal.report.columns import DICTIONARY
from frugal.report.costs import COSTS as OF_A_RUN
from frugal.report.costs import spent_by_epoch
from frugal.report.datapackage import datapackage
from frugal.report.findings import named, names_of
from frugal.report.latex import latex
from frugal.report.machines import ELSEWHERE, OF_A_MACHINE, marked
from frugal.report.pool import UNPAIRED, by_seed, pool_told, with_others
from frugal.report.records import Found, Record
from frugal.report.reference import spread_for
from frugal.report.repeat import own_code
from frugal.report.run_columns import SPLITS
from frugal.report.schema import ITERATIONS, Metrics
from frugal.report.simultaneous import compare
from frugal.report.statistics import BASELINE, UNDECIDED, against_controls, intervals, paired, verdict
from frugal.report.terms import own_recipe, recipe_of
from frugal.report.withheld import withhold
from frugal.study import Study

CELL = ["dataset", "model", "strategy"]
ACCURACIES = [
    *("test_accuracy", "test_accuracy_full_fidelity", "test_accuracy_flips"),
    *("test_f1", "test_balanced_accuracy", "test_roc_auc"),
    *("val_accuracy", "best_val_accuracy"),
]
ENOUGH = 10  # degrees of freedom of a spread, below which that of a reference is taken where there is one
COSTS = [*OF_A_RUN, "inference_seconds"]
LATEX, DATAPACKAGE = "summary.tex", "datapackage.json"  # beside the tables
OTHERS = ["compression_ratio", "epochs_to_target", "seconds_to_target", "cost_to_target"]


@dataclass(frozen=True)
class Tables:
    """What tabulate writes. iterations: text with its header, since no statistic needs it parsed."""

    runs: pd.DataFrame
    summary: pd.DataFrame
    history: pd.DataFrame
    audit: pd.DataFrame
    trace: pd.DataFrame
    notes: pd.DataFrame
    budgets: pd.DataFrame
    iterations: list[str] = field(repr=False)
    study: Study = field(repr=False)

    def write(self, folder: Path) -> None:
        """Write every table as CSV, each whole or not at all, the summary as LaTeX too, datapackage.json with what each column
        means, and study.json, which says what they are of.
        """
        tables = {name: getattr(self, name) for name in DICTIONARY if name != "iterations"}
        for name, table in tables.items():
            text = io.StringIO()
            table.to_csv(text, index=False, lineterminator="\n")
            write_text(folder / f"{name}.csv", text.getvalue())
        write_text(folder / "iterations.csv", "".join(self.iterations))
        write_text(folder / LATEX, latex(self.study, self.runs, self.summary))
        tables["iterations"] = pd.DataFrame(columns=[*CELL, "seed", *ITERATIONS])
        write_json(folder / DATAPACKAGE, datapackage(self.study, tables))
        write_text(folder / "study.json", self.study.model_dump_json(indent=1, exclude={"plans"}) + "\n")


def tabulate(study: Study, found: Found) -> Tables:
    """All tables of a study from the records that were found; what was left out stands in the audit."""
    records = found.records
    doubts = audit(study, records, found.left_out, found.foreign)
    runs = runs_table(study, records, doubts, found.classes)
    history = _joined(records, [record.history for record in records])
    trace = _joined(records, [record.trace for record in records])
    notes = _joined(records, [pd.DataFrame({"note": record.manifest.notes}, dtype=str) for record in records])
    everything = marked(study, runs)
    accuracies = accuracy_table(study, everything)
    pools = pools_of(study, everything, accuracies)
    summary = withhold(study, summary_table(study, everything, accuracies, pools), doubts)
    budgets = budgets_table(study, everything, pools)
    return Tables(runs, summary, history, doubts, trace, notes, budgets, _iterations_of(records), study)


def runs_table(study: Study, records: list[Record], doubts: pd.DataFrame, classes: dict[str, int]) -> pd.DataFrame:
    """A row per run: metrics.json, provenance, and what it took to first reach the target accuracy (null if it never did).

    classes: of prepared data sets by name, for those whose entry leaves the number to the files

    epochs_to_target, seconds_to_target, and cost_to_target in the unit of the study's cost, null too where no history has it.
    own_recipe: what the run's recipe has that its baseline's has not, null where they are the same
    """
    base = {r.cell[:2]: recipe_of(r) for r in reversed(records) if r.cell.strategy == study.baseline}
    of_runs = doubts[~doubts["finding"].isin(LACKING)]
    doubted = {
        (*place, run)
        for *place, runs in of_runs[["dataset", "model", "runs"]].itertuples(index=False)
        for run in named(runs)
    }
    rows = []
    for record in records:
        manifest = record.manifest
        row = {
            name: value for name, value in record.metrics.model_dump().items() if not isinstance(value, (dict, list))
        }
        reached = record.history[record.history["val_accuracy"] >= study.target(*record.cell[:2])]
        row["epochs_to_target"] = reached["epoch"].iloc[0] if len(reached) else None
        row["seconds_to_target"] = reached["train_seconds"].iloc[0] if len(reached) else None
        spent = spent_by_epoch(record.history, study.cost)
        row["cost_to_target"] = spent[reached.index[0]] if len(reached) and spent is not None else None
        row |= {name: getattr(manifest.hardware, name) for name in ("cpu", "gpu", "cores", "threads", "memory_bytes")}
        row |= {
            "git_commit": manifest.git.commit,
            "git_dirty": manifest.git.dirty,
            "data_checksum": manifest.data_checksum,
            "own_code": own_code(manifest.code),
            "recipe": json.dumps(recipe_of(record)),
            "classes": manifest.spec.get("dataset", {}).get("classes") or classes.get(record.cell.dataset),
            **{f"{part}_samples": (manifest.samples or {}).get(part) for part in SPLITS},
            "own_recipe": own_recipe(base.get(record.cell[:2], recipe_of(record)), recipe_of(record)) or None,
        }
        row |= {
            "started": manifest.started.isoformat(),
            "ended": manifest.ended.isoformat(),
            "resumes": manifest.resumes,
        }
        row |= {"loss_curve": record.loss_curve, "doubted": (*record.cell[:2], names_of([record])) in doubted}
        rows.append(row)
    runs = pd.DataFrame(rows)
    return runs[[*Metrics.model_fields, *runs.columns.difference(Metrics.model_fields.keys(), sort=False)]]


def pools_of(study: Study, runs: pd.DataFrame, accuracies: pd.DataFrame) -> Pools:
    """The pool of each data set and model, as the accuracies were compared by it. runs: a row per run, of budgets too."""
    values = {place: by_seed(mine) for place, mine in runs.groupby(CELL[:2], sort=False)}
    told = accuracies.reset_index().groupby(CELL[:2], sort=False)
    return {place: with_others(pool_told(mine), values[place], study.strategies) for place, mine in told}


def summary_table(study: Study, everything: pd.DataFrame, accuracies: pd.DataFrame, pools: Pools) -> pd.DataFrame:
    """A row per strategy, data set and model that has a run, in the order of the runs; those of budgets are in `budgets_table`.

    seeds_compared: how many the baseline has too. own_recipe: what its recipe has that the baseline's has not, null where
    they are the same. charged: what its FLOPs were executed for.
    <metric>_mean, _low, _high: over seeds. <accuracy>_difference_*: to the baseline, with simultaneous 95 % intervals over the
    spread that all strategies share (`frugal.report.simultaneous`); interval_remark: why one has an interval of its own, or none.
    <cost>_saved_*: share of the baseline's cost that was not spent, paired by seed. All null for what one seed can't tell.
    Seconds and joules are those of the baseline's machine alone (`frugal.report.machines`).
    <currency>_exchange_*: see `frugal.report.budget_curve.exchange_table`.
    """
    runs = everything[everything["strategy"].isin(study.strategies)]
    numbers = [*ACCURACIES, *COSTS, *OTHERS]
    values = runs[[*CELL, "seed", *numbers]].copy()
    values[numbers] = values[numbers].astype(float)
    if study.cost in OF_A_MACHINE:
        values["cost_to_target"] = values["cost_to_target"].mask(runs[ELSEWHERE])
    base = values[values["strategy"] == study.baseline].drop(columns="strategy")
    _, saved = paired(values, base, by=["dataset", "model", "seed"])
    own = values["strategy"] == study.baseline  # the baseline's difference to itself says nothing
    compared = saved["test_accuracy"].notna()  # a seed that the baseline lacks has nothing to be paired with
    comparison = pd.concat([values[CELL], saved[COSTS].mask(own).add_suffix("_saved")], axis=1)[compared]
    moved = runs[own & runs[ELSEWHERE]].set_index(["dataset", "model", "seed"]).index  # what a pair's other half may be
    apart = (runs[ELSEWHERE] | pd.MultiIndex.from_frame(runs[["dataset", "model", "seed"]]).isin(moved))[compared]
    groups = runs.groupby(CELL, sort=False)
    counts = groups.agg(
        seeds=("seed", "size"),
        seeds_at_target=("epochs_to_target", "count"),
        doubted=("doubted", "sum"),
        own_recipe=("own_recipe", lambda told: "; ".join(told.dropna().unique()) or None),
    )
    counts["charged"] = [charged(mine) for _, mine in groups]
    counts["seeds_compared"] = comparison.groupby(CELL).size().reindex(counts.index, fill_value=0)
    exchange = exchange_table(study, everything, accuracies["level"], pools)
    costs = intervals(values[[*CELL, *COSTS, *OTHERS]], CELL, runs[ELSEWHERE])
    controls = against_controls(study, runs, CELL, pools)
    parts = [counts, accuracies.drop(columns="level"), costs, intervals(comparison, CELL, apart), controls, exchange]
    summary = pd.concat([part.reindex(counts.index) for part in parts], axis=1)
    is_baseline = summary.index.get_level_values("strategy") == study.baseline
    verdicts = {}
    for accuracy, column in (("test_accuracy", "verdict"), ("test_accuracy_full_fidelity", "verdict_full_fidelity")):
        bounds = zip(summary[f"{accuracy}_difference_low"], summary[f"{accuracy}_difference_high"], strict=True)
        reached = [verdict(low, high, study.margin) for low, high in bounds]
        verdicts[column] = np.where(is_baseline, BASELINE, [name for name, _ in reached])
        verdicts[f"{column}_reason"] = np.where(
            is_baseline, "what the others are compared with", [why for _, why in reached]
        )
        remark = summary["interval_remark"].astype(object).fillna("").astype(str)
        told = summary[f"{accuracy}_difference_low"].isna() & summary["seeds"].gt(1) & remark.ne("")
        verdicts[f"{column}_reason"] = np.where(told, remark, verdicts[f"{column}_reason"])
        unpaired = summary["seeds_compared"].lt(2) & summary["seeds"].gt(1) & ~is_baseline
        verdicts[column] = np.where(unpaired, UNDECIDED, verdicts[column])
        verdicts[f"{column}_reason"] = np.where(unpaired, UNPAIRED, verdicts[f"{column}_reason"])
    return pd.concat([summary, pd.DataFrame(verdicts, index=summary.index)], axis=1).copy().reset_index()


def accuracy_table(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Of each accuracy its mean and its difference to the baseline, by cell, with intervals; and level, of one such interval.

    runs: a row per run, as `runs_table` makes them. No interval of a mean leaves [0, 1]. pool_spread: standard deviation
    of one run around its strategy and seed, pool_freedom: its degrees of freedom; pool_remark: where it is that of a reference,
    since these runs are too few
    """
    parts = []
    for place, mine in runs[runs["strategy"].isin(study.strategies)].groupby(CELL[:2], sort=False):
        found = []
        for name in ACCURACIES:
            asked = mine[["strategy", "seed"]].assign(value=mine[name].astype(float))
            table, pool = compare(asked, study.baseline)
            own, data = (pool.variance, pool.freedom), mine["data_checksum"].iloc[0]
            elsewhere = spread_for(study, *place, data, own) if pool.freedom < ENOUGH else None
            if elsewhere:
                table, pool = compare(asked, study.baseline, known=(elsewhere.spread**2, elsewhere.freedom))
            table = table.reindex(dict.fromkeys(mine["strategy"]))
            table[["difference_low", "difference_high"]] = table[["difference_low", "difference_high"]].clip(-1, 1)
            means = table[["mean", "low", "high"]].add_prefix(f"{name}_")
            ends = {"difference": "mean", "difference_low": "low", "difference_high": "high"}
            found += [
                means,
                table[[*ends]].rename(columns={old: f"{name}_difference_{end}" for old, end in ends.items()}),
            ]
            if name == "test_accuracy":
                found.append(table[["level", "reason"]].rename(columns={"reason": "interval_remark"}))
                spread = {"pool_spread": np.sqrt(pool.variance), "pool_freedom": pool.freedom}
                remark = elsewhere.sentence if elsewhere else None
                found.append(pd.DataFrame(spread | {"pool_remark": remark}, index=table.index))
        parts.append(pd.concat(found, axis=1).assign(dataset=place[0], model=place[1]))
    return pd.concat(parts).rename_axis("strategy").reset_index().set_index(CELL)


def _joined(records: list[Record], tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables of all runs, one below the other, with columns that say which run a row is of."""
    filled = [table for table in tables if len(table)] or tables[:1]
    joined, counts = pd.concat(filled, ignore_index=True), [len(table) for table in tables]
    for position, name in enumerate([*CELL, "seed"]):
        values = [getattr(record if name == "seed" else record.cell, name) for record in records]
        joined.insert(position, name, np.repeat(np.array(values, dtype=object if position < 3 else int), counts))
    return joined


def _iterations_of(records: list[Record]) -> list[str]:
    """The text of iterations.csv in pieces: joining lines is far cheaper than parsing and formatting millions of numbers."""
    pieces = [",".join([*CELL, "seed", *ITERATIONS]) + "\n"]
    for record in records:
        start = ",".join([*record.cell, str(record.seed)]) + ","
        pieces.append("".join(start + row for row in record.iterations.splitlines(keepends=True)))
    return pieces
