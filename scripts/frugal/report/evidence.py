"""Whether what a run says it left out bears the savings it is given, and agrees with what was counted."""

from collections.abc import Iterable

import pandas as pd

from frugal.report.findings import Finding, names_of
from frugal.report.machines import machine_of
from frugal.report.records import Record
from frugal.study import Study

COUNTED = ("samples_backpropagated", "bytes_read", "flops_executed", "live_parameters", "model_bytes")
WEIGHTS = COUNTED[-2:]
TIMED = ("train_seconds", "energy_joules")
ENOUGH = 0.01  # a counted saving below one per cent needs no proof
CLEARLY = 0.1  # seconds and joules scatter: by this much, in every seed, they are said to be saved
# Columns by which strategies tell of samples, bytes and tokens; none of them explains a smaller net.
OF_SAMPLES = ("pruned_share", "activation_rate", "target_rate", "tracking_error", "share_k", "flip_rate", "passes")
OF_SAMPLES += ("threshold", "window_", "pool_", "sparse", "kept_token")

UNPROVEN = "saving without evidence"
CONTRADICTED = "evidence contradicts the ledger"


def unproven(study: Study, compared: list[Record]) -> Iterable[Finding]:
    """Findings (what, runs, detail): savings against the baseline of the same seed that nothing in the record explains.

    A counted saving (samples, bytes, FLOPs, weights) needs a column of history.csv, which the baseline has not, in which the
    strategy says what it left out; a saving of weights needs one that tells of the net. Seconds or joules that every seed
    saves, by more than the baseline's own seeds differ, need a counted saving; seconds in which a run waited for a core that
    others had, where its record tells them, are not its own.
    """
    base = {record.seed: record for record in compared if record.cell.strategy == study.baseline}
    for strategy in study.strategies:
        runs = [r for r in compared if r.cell.strategy == strategy != study.baseline and r.seed in base]
        saved = pd.DataFrame([_saved(run, base[run.seed]) for run in runs], columns=[*COUNTED, *TIMED], dtype=float)
        for run, shares in zip(runs, saved.to_dict("records"), strict=True):
            more, own = [name for name in COUNTED if shares[name] > ENOUGH], _own_columns(run, base[run.seed])
            of_net = [name for name in own if name == "sparsity" or not name.startswith(OF_SAMPLES)]
            if more and not own:
                told = f"{', '.join(more)}: saved, but no column of history.csv says what was left out"
                yield UNPROVEN, names_of([run]), told
            elif not of_net and (smaller := [name for name in WEIGHTS if shares[name] > ENOUGH]):
                told = f"{', '.join(smaller)}: the net is smaller than the baseline's, and history.csv tells of samples only"
                yield (
                    UNPROVEN,
                    names_of([run]),
                    f"{told}; train the baseline with that net, or say in evidence() what was cut",
                )
        alike = [machine_of(run) == machine_of(base[run.seed]) for run in runs]
        here = [run for run, same in zip(runs, alike, strict=True) if same]
        if len(here) > 1 and not (saved[[*COUNTED]] > ENOUGH).any(axis=None):
            for cost in TIMED:
                theirs = pd.Series([_spent(base[run.seed], cost) for run in here], dtype=float)
                least = saved.loc[alike, cost].min()
                if least > max(CLEARLY, (theirs.max() - theirs.min()) / theirs.mean()):
                    told = f"{cost}: every seed saves at least {least:.0%}, though no work was left out"
                    yield UNPROVEN, names_of(here), told


def _saved(run: Record, base: Record) -> list[float | None]:
    pairs = [(_spent(run, cost), _spent(base, cost)) for cost in (*COUNTED, *TIMED)]
    return [1 - mine / theirs if mine is not None and theirs else None for mine, theirs in pairs]


def _spent(run: Record, cost: str) -> float | None:
    spent = getattr(run.metrics, cost)
    return spent - (run.metrics.train_queued_seconds or 0.0) if cost == "train_seconds" else spent


def _own_columns(run: Record, base: Record) -> list[str]:
    """Columns of a run's history beside its loss, its accuracy and its costs, of which every run's tells."""
    told = (name for name in run.history if name not in base.history and not name.startswith("charged_"))
    return [name for name in told if run.history[name].notna().any()]


def contradicted(study: Study, compared: list[Record]) -> Iterable[Finding]:
    """Findings (what, runs, detail): what a run tells of its epochs and what was counted, where they are not the same."""
    whole = max((int(r.history["samples"].max()) for r in compared if r.cell.strategy == study.baseline), default=None)
    for run in compared:
        for told in (*_sums(run), *_samples(run, whole), *_weights(run), *_levels(run)):
            yield CONTRADICTED, names_of([run]), told


def _sums(run: Record) -> Iterable[str]:
    for column, total in (("samples", "samples_backpropagated"), ("bytes_read", "bytes_read")):
        summed = int(run.history[column].sum())
        counted = getattr(run.metrics, total) - (getattr(run.metrics, f"charged_{total}") or 0)
        if summed != counted:
            yield f"{column} of all epochs add up to {summed:,}, {total} is {counted:,}"


def _samples(run: Record, whole: int | None) -> Iterable[str]:
    """whole: samples of an epoch that leaves out none"""
    shares = [name for name in run.history if name.startswith("pruned_share")]
    if len(shares) != 1 or whole is None:
        return
    pruned = run.history[shares[0]].fillna(0)
    seen, most = run.history["samples"], (1 - pruned) * whole
    more = seen > most + max(1.0, ENOUGH * whole)
    if more.any():
        first = run.history[more].iloc[0]
        told = f"{shares[0]} of epoch {first['epoch']:.0f} is {first[shares[0]]:.3f}"
        yield f"{told}, which leaves {most[more].iloc[0]:,.0f} of {whole:,} samples; {first['samples']:,.0f} were counted"


def _weights(run: Record) -> Iterable[str]:
    metrics, last = run.metrics, run.history.iloc[-1]
    live, nonzero = metrics.live_parameters, metrics.nonzero_parameters
    if nonzero is not None and nonzero > live:
        yield f"live_parameters is {live:,}, and {nonzero:,} weights of the trained net are not zero"
    if "live_parameters" in run.history and pd.notna(last["live_parameters"]) and last["live_parameters"] != live:
        yield f"live_parameters of the last epoch are {last['live_parameters']:,.0f}, of the run {live:,}"
    if {"kept_weights", "sparsity"} <= set(run.history) and 0 < last["sparsity"] < 1:
        gone, left = last["kept_weights"] * last["sparsity"] / (1 - last["sparsity"]), metrics.parameters - live
        if gone > left + ENOUGH * metrics.parameters:
            yield f"sparsity and kept_weights say that {gone:,.0f} weights are left out, the net lacks {left:,}"


def _levels(run: Record) -> Iterable[str]:
    shares = run.history[[name for name in run.history if name.startswith("share_k")]]
    total = shares.sum(axis=1)
    if len(shares.columns) and ((total - 1).abs() > ENOUGH).any():
        yield f"the shares of the levels, {', '.join(shares)}, add up to {total[(total - 1).abs().idxmax()]:.3f}, not to 1"
