"""Runs of several machines: counts and accuracies are compared all the same, seconds and joules on the baseline's machine alone.

A second of one processor is not a second of another. Where the runs of a data set and model come from more than one machine, time
is told of the one on which most whole runs of the baseline were trained, with as many threads; of two with equally many, of the
one with most other runs. Means, savings and exchange rates in seconds or joules are of the runs there, null for a strategy that
has none there.
"""

import pandas as pd

from frugal.report.records import Record
from frugal.study import Study

OF_A_MACHINE = ("train_seconds", "cpu_seconds", "energy_joules", "inference_seconds", "seconds_to_target")
KEYS = ["cpu", "gpu", "cores", "threads", "device"]  # columns of a run that make its machine
ELSEWHERE = "elsewhere"  # column that `marked` adds: whether a run's machine is another one than the baseline's


def machine_of(run: Record) -> str:
    """The machine of a run in words, with its threads."""
    hardware = run.manifest.hardware
    gpu = f"{hardware.gpu}, " if hardware.gpu else ""
    return f"{gpu}{hardware.cpu}, {hardware.cores} cores, {hardware.threads} threads, {run.metrics.device}"


def marked(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a column `elsewhere`. runs: a row per run, those of the baseline's budgets perhaps among them."""
    columns = [runs[key].map(lambda value: "" if pd.isna(value) else f"{value}") for key in KEYS]
    machines = columns[0].str.cat(columns[1:], sep=" ").astype(object)
    places = runs["dataset"].str.cat(runs["model"], sep=" ").astype(object)
    whole = (runs["strategy"] == study.baseline).astype(int)
    votes = pd.DataFrame({"place": places, "machine": machines, "whole": whole, "runs": 1})
    votes = votes.groupby(["place", "machine"], sort=False)[["whole", "runs"]].sum()
    usual = {
        place: mine.sort_values(["whole", "runs"], ascending=False, kind="stable").index[0][1]
        for place, mine in votes.groupby(level="place")
    }
    return runs.assign(**{ELSEWHERE: machines != places.map(usual)})


def counted(runs: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The rows whose cost counts: all, or of seconds and joules those that `marked` found on the baseline's machine."""
    return runs[~runs[ELSEWHERE]] if cost in OF_A_MACHINE and ELSEWHERE in runs else runs
