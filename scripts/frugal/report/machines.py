"""Runs of several machines: counts and accuracies are compared all the same, seconds and joules on the baseline's machine alone.

A second of one processor is not a second of another. Where the runs of a data set and model come from more than one machine, the
one on which most runs of the baseline were trained, with the same number of threads, is the place where time is told: means,
savings and exchange rates in seconds or joules are of the runs there, and null for a strategy that has none there.
"""

import pandas as pd

from frugal.study import Study

OF_A_MACHINE = ("train_seconds", "cpu_seconds", "energy_joules", "inference_seconds")
KEYS = ["cpu", "gpu", "threads", "device"]  # columns of a run that make its machine
ELSEWHERE = "elsewhere"  # column that `marked` adds: whether a run's machine is another one than the baseline's


def marked(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a column `elsewhere`. runs: a row per run, those of the baseline's budgets among them."""
    columns = [runs[key].map(lambda value: "" if pd.isna(value) else f"{value}") for key in KEYS]
    machines = columns[0].str.cat(columns[1:], sep=" ").astype(object)
    ours = runs["strategy"].isin([study.baseline, *study.budgets.get(study.baseline, {})])
    places = runs["dataset"].str.cat(runs["model"], sep=" ").astype(object)
    usual = machines[ours].groupby(places[ours]).agg(lambda found: found.value_counts().index[0])
    reference = places.map(usual)
    return runs.assign(**{ELSEWHERE: reference.notna() & (machines != reference)})


def counted(runs: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The rows whose cost counts: all, or of seconds and joules those that `marked` found on the baseline's machine."""
    return runs[~runs[ELSEWHERE]] if cost in OF_A_MACHINE and ELSEWHERE in runs else runs
