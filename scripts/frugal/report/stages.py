"""The warm-up and the sparse stage of a run told apart, and what an epoch of the sparse stage costs."""

import pandas as pd

from frugal.report.load import Comparison
from frugal.report.statistics import intervals

CELL = ["dataset", "model", "strategy"]


def cost_model(scoring: str, rate: float) -> float:
    """Work on a candidate relative to training on it, with a forward pass worth 1 and a backward one 2; rate: share kept."""
    return {
        "masked": 1.0,
        "fresh": (1 + 3 * rate) / 3,
        "half": (0.25 + 3 * rate) / 3,
        "remembered": rate,
    }[scoring]


def by_stage(compared: Comparison) -> pd.DataFrame:
    """A row per run: of the warm-up and of the sparse stage, epochs, seconds and FLOPs, and accuracy at the warm-up's end.

    A run without stages has only a warm-up: everything in it is trained on. Columns strategy, seed, warmup_epochs,
    warmup_seconds, warmup_flops, sparse_epochs, sparse_seconds, sparse_flops, warmup_accuracy (validation, null without).
    """
    rows = []
    for (strategy, seed), run in compared.history.groupby(["strategy", "seed"], sort=False):
        sparse = run["sparse"].fillna(0).astype(bool) if "sparse" in run else pd.Series(False, index=run.index)
        own = {"seconds": run["train_seconds"].diff(), "flops": run["flops_executed"].diff()}
        own["seconds"].iloc[0], own["flops"].iloc[0] = run["train_seconds"].iloc[0], run["flops_executed"].iloc[0]
        row = {"strategy": strategy, "seed": seed}
        for stage, chosen in (("warmup", ~sparse), ("sparse", sparse)):
            row[f"{stage}_epochs"] = int(chosen.sum())
            row |= {f"{stage}_{name}": values[chosen].sum() for name, values in own.items()}
        row["warmup_accuracy"] = run.loc[~sparse, "val_accuracy"].iloc[-1] if sparse.any() and (~sparse).any() else None
        rows.append(row)
    return pd.DataFrame(rows)


def relative(compared: Comparison) -> pd.DataFrame:
    """What an epoch of the sparse stage took over an epoch of the baseline with the same seed, in FLOPs and seconds.

    returns: a row per strategy with a sparse stage; columns target, rate (activation rate of the sparse stage), error
    (rate minus target), predicted (cost model at that rate), flops, seconds, each measured one as _mean, _low, _high.
    """
    stages = by_stage(compared)
    base = stages[stages["strategy"] == compared.study.baseline].set_index("seed")
    sparse = stages[(stages["sparse_epochs"] > 0) & stages["seed"].isin(base.index)]
    if sparse.empty:
        return pd.DataFrame(columns=["strategy", "target", "predicted_mean", "rate_mean", "flops_mean", "seconds_mean"])
    history = compared.history[compared.history.get("sparse", pd.Series(0, index=compared.history.index)) == 1]
    rates = history.groupby(["strategy", "seed"])["activation_rate"].mean()
    rows = []
    for run in sparse.itertuples():
        whole = base.loc[run.seed]
        given = compared.study.parameters[run.strategy]
        rate = rates[run.strategy, run.seed]
        row = dict(zip(CELL, (compared.dataset, compared.model, run.strategy), strict=True))
        row |= {"target": given["target"], "rate": rate, "error": rate - given["target"]}
        row |= {"predicted": cost_model(given["scoring"], rate)}
        for cost in ("flops", "seconds"):
            mine = getattr(run, f"sparse_{cost}") / run.sparse_epochs
            row[cost] = mine / (whole[f"warmup_{cost}"] / whole["warmup_epochs"])
        rows.append(row)
    found = intervals(pd.DataFrame(rows), CELL).reset_index().set_index("strategy")
    found["target"] = found["target_mean"]
    return found.loc[[name for name in compared.study.strategies if name in found.index]].reset_index()
