"""Runs of several machines: counts and accuracies are compared all the same, seconds and joules on the baseline's machine alone.

A second of one processor is not a second of another. Where the runs of a data set and model come from more than one machine, time
is told of the one on which most whole runs of the baseline were trained, with as many threads; of two with equally many, of the
one with most other runs. Means, savings and exchange rates in seconds or joules are of the runs there, null for a strategy that
has none there.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from frugal.report.records import Record
from frugal.study import Study

OF_A_MACHINE = ("train_seconds", "cpu_seconds", "energy_joules", "inference_seconds", "seconds_to_target")
MACHINE = ["cpu", "gpu", "cores", "threads", "device"]  # columns of a run that make its machine
ELSEWHERE = "elsewhere"  # column that `marked` adds: whether a run's machine is another one than the baseline's


def in_words(machine: Mapping[str, Any]) -> str:
    """A machine, with the threads of a run, from what `MACHINE` names; gpu: null without one."""
    known = {key: None if pd.isna(machine[key]) else machine[key] for key in MACHINE}
    gpu = f"{known['gpu']}, " if known["gpu"] else ""
    return f"{gpu}{known['cpu']}, {known['cores']} cores, {known['threads']} threads, {known['device']}"


def machine_of(run: Record) -> str:
    """The machine of a run in words."""
    return in_words(run.manifest.hardware.model_dump() | {"device": run.metrics.device})


def marked(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a column `elsewhere`. runs: a row per run, those of the baseline's budgets perhaps among them."""
    machines = pd.Series([in_words(one) for one in runs[MACHINE].to_dict("records")], runs.index, dtype=object)
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
