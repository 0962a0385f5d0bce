"""Runs of several machines: counts and accuracies are compared all the same, seconds and joules on the baseline's machine alone.

A second of one processor is not a second of another. Where the runs of a data set and model come from more than one machine, time
is told of the one on which most whole runs of the baseline were trained, with as many threads; of two with equally many, of the
one with most other runs. Means, savings and exchange rates in seconds or joules are of the runs there, null for a strategy that
has none there.

Virtual machines of all generations may call their processor "AMD EPYC". Where a processor's name lacks family and model, as in
records of before they were written, two runs are of one machine only if its memory has as many bytes: hosts differ by some. Where
the name has them memory isn't asked, since equal nodes of a cluster differ by some bytes too.
"""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from frugal.report.records import Record
from frugal.study import Study

OF_A_MACHINE = ("train_seconds", "cpu_seconds", "energy_joules", "inference_seconds", "seconds_to_target")
MACHINE = ["cpu", "gpu", "cores", "threads", "device"]  # columns of a run that make its machine
MEMORY = "memory_bytes"  # a column that is asked too where `cpu` doesn't tell the processor; older tables lack it
ELSEWHERE = "elsewhere"  # column that `marked` adds: whether a run's machine is another one than the baseline's
_TELLING = re.compile(r"\(family \S+ model \S+\)$")  # end of a processor's name, as `frugal.training.device` gives it
_WITH = ", memory "


def in_words(machine: Mapping[str, Any]) -> str:
    """A machine, with the threads of a run, from what `MACHINE` and `MEMORY` name: the same words for the same machine.

    gpu: null without one; memory_bytes: null or absent where it isn't known, which is the same machine as another unknown
    """
    known = {key: None if pd.isna(machine[key]) else machine[key] for key in MACHINE}
    gpu = f"{known['gpu']}, " if known["gpu"] else ""
    told = f"{gpu}{known['cpu']}, {known['cores']} cores, {known['threads']} threads, {known['device']}"
    memory = None if _TELLING.search(str(known["cpu"])) else machine.get(MEMORY)
    return told if pd.isna(memory) else f"{told}{_WITH}{int(memory)} bytes"


def machine_of(run: Record) -> str:
    """The machine of a run in words."""
    return in_words(run.manifest.hardware.model_dump() | {"device": run.metrics.device})


def machines_of(runs: pd.DataFrame) -> pd.Series:
    """The machine of each run in words. runs: a row per run; where the table lacks its memory, that of all is unknown."""
    known = runs[[*MACHINE, *({MEMORY} & set(runs))]]
    return pd.Series([in_words(one) for one in known.to_dict("records")], runs.index, dtype=object)


def told_apart(machine: str, usual: str, others: int) -> str:
    """How a machine differs from the one that `others` other runs have, both in words; of two hosts of one name, their memory."""
    (name, _, memory), (usual_name, _, usual_memory) = (one.partition(_WITH) for one in (machine, usual))
    if name != usual_name:
        return f"{machine}, where {others} other runs have {usual}"
    memory, usual_memory = memory or "unknown", usual_memory or "an unknown one"
    return f"{name}: another host by its memory, {memory}, where {others} other runs have {usual_memory}"


def marked(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a column `elsewhere`. runs: a row per run, those of the baseline's budgets perhaps among them."""
    machines = machines_of(runs)
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
