"""Column dictionary of a study's tables: type, unit and meaning of each column.

A number is null (an empty cell) where it can't be measured. `frugal.report.datapackage` writes it beside the tables.
"""

import re
from typing import NamedTuple

from frugal.report.budget_curve import CURRENCIES


class Column(NamedTuple):
    """type: of Table Schema; unit: SI or what is counted, empty where there is none; meaning: one plain clause."""

    type: str
    unit: str
    meaning: str


def _of(kind: str, unit: str = "", **meanings: str) -> dict[str, Column]:
    return {name: Column(kind, unit, meaning) for name, meaning in meanings.items()}


CELL = _of(
    "string",
    dataset="name of the data set",
    model="name of the net",
    strategy="name of the strategy; of a run with a budget of its own <strategy>@<share of the epochs>",
)
RUN = CELL | _of("integer", seed="random seed of the run")

_ACCURACIES = _of(
    *("number", "fraction"),
    test_accuracy="accuracy on the test set at the end, at the strategy's own fidelity",
    test_accuracy_full_fidelity="accuracy on the test set at the end, on uncompressed samples",
    test_f1="F1 score on the test set, mean over classes without weights (macro)",
    test_balanced_accuracy="share of a class that is right on the test set, mean over the classes that occur",
    test_roc_auc="area under the ROC curve on the test set; of more than two classes the mean of each against the rest",
    val_accuracy="accuracy on the validation set at the end",
    best_val_accuracy="highest accuracy on the validation set after any epoch",
)
_COSTS = {
    "samples_backpropagated": Column("integer", "samples", "visits of training samples that a gradient was taken of"),
    "samples_forwarded": Column("integer", "samples", "visits of training samples in forward passes"),
    "bytes_read": Column("integer", "bytes", "training samples read, as stored"),
    "flops_executed": Column(
        "integer", "FLOP", "operations executed in training, a multiplication and an addition are two"
    ),
    "flops_forward_per_sample": Column(
        "number", "FLOP", "forward pass of one sample through the net as it is at the end"
    ),
    "train_seconds": Column("number", "s", "wall time of training"),
    "cpu_seconds": Column("number", "s", "time of all threads of the process on cores in training"),
    "energy_joules": Column("number", "J", "energy metered in training"),
    "peak_memory_bytes": Column("integer", "bytes", "most memory in use at once in training"),
    "model_bytes": Column("integer", "bytes", "stored size of the net, indices and statistics among it"),
    "optimizer_bytes": Column("integer", "bytes", "size of what the optimizer keeps between steps"),
    "live_parameters": Column("integer", "weights", "weights that the net has at the end"),
    "inference_seconds": Column("number", "s", "wall time of one pass over the test set"),
}
_RATIO = _of("number", "ratio", compression_ratio="bytes of the same visits as raw samples, over bytes read")
_TARGET = {
    "epochs_to_target": Column("integer", "epochs", "first epoch whose validation accuracy reaches the study's target"),
    "seconds_to_target": Column("number", "s", "seconds of training until then"),
    "cost_to_target": Column("number", "the unit of the study's cost", "what was spent of the study's cost until then"),
}
_OWN_RECIPE = _of("string", own_recipe="what the recipe has that the baseline's has not, null where they are the same")

RUNS = {
    **_of("string", study="name of the study", scale="name of the study's scale"),
    **RUN,
    **_of("integer", "epochs", epochs="epochs that were begun"),
    **_of("number", "epochs", epochs_trained="epochs trained; a last one may have been cut short"),
    **_of(
        *("integer", "steps"),
        steps="steps of the optimizer",
        uncounted_steps="steps taken by code that is not the loop's",
        skipped_steps="part of steps that changed no weight, since a gradient overflowed in float16",
    ),
    **_ACCURACIES,
    **_of("number", "fraction", test_accuracy_flips="test accuracy of the mean over several views of each image"),
    **_of(
        "number", "ratio", test_wer="word error rate on the test set", test_cer="character error rate on the test set"
    ),
    **_of("number", "nats", test_loss="mean loss on the test set"),
    **_COSTS,
    **_of(
        *("number", "s"),
        evaluation_seconds="wall time of evaluation on validation data",
        checkpoint_seconds="wall time of saving checkpoints",
        compile_seconds="wall time of compiling the net",
        counting_seconds="wall time of counting FLOPs",
        other_seconds="wall time of all else",
        train_queued_seconds="time in training in which the thread waited for a core that others had",
        train_idle_seconds="time in training in which the thread neither computed nor waited for a core",
        charged_train_seconds="part of train_seconds that the run whose scores are used had spent",
        charged_cpu_seconds="part of cpu_seconds that the run whose scores are used had spent",
    ),
    **_of("number", "processes", machine_load="load average of the machine over one minute, mean over the epochs"),
    **_of("string", peak_memory_source="how peak_memory_bytes was measured"),
    **_of(
        *("integer", "weights"),
        parameters="weights of the net without anything left out",
        nonzero_parameters="weights that are not zero at the end",
    ),
    **_of("number", "FLOP", flops_useful_per_sample="flops_forward_per_sample without products with known zeros"),
    **_of(
        *("integer", "FLOP"),
        flops_forward="part of flops_executed in forward passes",
        flops_backward="part of flops_executed in backward passes",
        flops_scoring="part of flops_executed in passes that only score samples",
        flops_decoding="part of flops_executed in decoding samples",
        flops_optimizer="part of flops_executed in matrix products of the optimizer, which only muon has",
        charged_flops="part of flops_executed that the run whose scores are used had spent",
    ),
    **_of("string", flops_source="how FLOPs were counted, and which operators were not"),
    **_of("integer", "bytes", bytes_raw="what the same visits would have read as raw samples"),
    **_of(
        *("integer", "samples"),
        charged_samples_forwarded="part of samples_forwarded that the run whose scores are used had spent",
        charged_samples_backpropagated="part of samples_backpropagated that the run whose scores are used had spent",
    ),
    **_of("integer", "bytes", charged_bytes_read="part of bytes_read that the run whose scores are used had spent"),
    **_RATIO,
    **_of("string", energy_source="how energy_joules was metered, or why it is null"),
    **_of("string", device="cpu or cuda", fingerprint="checksum of what the run was made from"),
    **_of("integer", schema="version of the form of metrics.json"),
    **_TARGET,
    **_of("string", cpu="processor of the machine", gpu="GPU of the machine"),
    **_of("integer", "cores", cores="cores of the machine"),
    **_of("integer", "threads", threads="threads that the run computed with"),
    **_of("string", git_commit="commit of the source, null outside of a git checkout"),
    **_of("boolean", git_dirty="whether the source differed from that commit"),
    **_of("string", data_checksum="checksum of the prepared data set", recipe="the recipe as JSON"),
    **_OWN_RECIPE,
    **_of("datetime", started="when the run began", ended="when the run ended"),
    **_of("integer", resumes="how often the run went on from a checkpoint"),
    **_of("string", loss_curve="digest of the training loss of every step; equal only where all losses are"),
    **_of("boolean", doubted="whether the audit has a finding on the run"),
}


def _with_interval(name: str, of: Column, what: str = "mean over seeds of {}") -> dict[str, Column]:
    told = what.format(name)
    return {
        f"{name}_mean": Column("number", of.unit, told),
        f"{name}_low": Column("number", of.unit, f"lower end of the 95 % interval of: {told}"),
        f"{name}_high": Column("number", of.unit, f"upper end of the 95 % interval of: {told}"),
    }


def _summary() -> dict[str, Column]:
    measured = _ACCURACIES | _COSTS | _RATIO | _TARGET
    table = CELL | _of(
        *("integer", "runs"),
        seeds="runs of the strategy",
        seeds_at_target="runs that reached the target accuracy",
        seeds_compared="runs whose seed the baseline has too",
        doubted="runs that the audit has a finding on",
    )
    table |= _OWN_RECIPE | _of("string", charged="what the FLOPs were executed for, in words")
    for name, column in measured.items():
        table |= _with_interval(name, column)
    for name in _ACCURACIES:
        difference = _with_interval(name, _ACCURACIES[name], "mean of {}, strategy minus baseline, paired by seed")
        table |= {key.replace(name, f"{name}_difference", 1): column for key, column in difference.items()}
    for name in _COSTS:
        saved = _with_interval(
            name, Column("number", "fraction", ""), "share of the baseline's {} not spent, paired by seed"
        )
        table |= {key.replace(name, f"{name}_saved", 1): column for key, column in saved.items()}
    table |= {
        "interval_remark": Column("string", "", "why the difference has an interval of its own, or none"),
        "pool_spread": Column("number", "fraction", "standard deviation of one run's accuracy, pooled over strategies"),
        "pool_freedom": Column("number", "", "degrees of freedom of pool_spread"),
        "pool_remark": Column("string", "", "where pool_spread is that of a reference: which"),
        "control": Column("string", "", "control of equal cost that is nearest in cost"),
        "control_verdict": Column("string", "", "what the difference to that control allows to conclude"),
    }
    control = _with_interval("control_difference", _ACCURACIES["test_accuracy"], "test accuracy minus the control's")
    table |= control
    for name in CURRENCIES:
        rate = f"{name}_exchange"
        table |= _of(
            *("number", "ratio"),
            **{
                f"{rate}_rate": f"{name} the baseline, trained for less, needs for this accuracy, over what was spent",
                f"{rate}_low": "lower end of its simultaneous 95 % interval",
                f"{rate}_high": "upper end of its simultaneous 95 % interval, inf where the curve has none",
            },
        )
        table |= _of(
            "string",
            **{
                f"{rate}_bound": "< or > where the rate is a bound only",
                f"{rate}_verdict": "saves, wastes or undecided, by that interval",
            },
        )
        table[f"{name}_honest_saving"] = Column("number", "fraction", f"1 - 1 / {rate}_rate")
    table["matched_budget"] = Column("number", "fraction", "share of its epochs at which the baseline is as accurate")
    return table | _of(
        "string",
        exchange_reason="why there is no exchange rate, no interval or a bound only",
        verdict="what the difference in test accuracy allows to conclude, by the study's margin",
        verdict_reason="why",
        verdict_full_fidelity="the same of test_accuracy_full_fidelity",
        verdict_full_fidelity_reason="why",
    )


BUDGETS = {
    **CELL,
    **_of("string", run="name of the run in runs.csv, in its column strategy"),
    **_of("number", "fraction", budget="share of the strategy's epochs that it was trained for"),
    **_of("integer", "runs", seeds="runs with this budget"),
    **_with_interval("test_accuracy", _ACCURACIES["test_accuracy"]),
    **{f"{name}_mean": Column("number", _COSTS[name].unit, f"mean over seeds of {name}") for name in CURRENCIES},
}
HISTORY = {
    **RUN,
    **_of("integer", "epochs", epoch="number of the epoch, from 1"),
    **_of("integer", "steps", steps="steps of the optimizer so far"),
    **_of("integer", "samples", samples="samples that a gradient was taken of in this epoch"),
    **_of("number", "nats", train_loss="mean training loss of this epoch", val_loss="mean validation loss after it"),
    **_of("number", "nats", test_loss="mean test loss after the epoch, where the recipe asks for a test curve"),
    **_of(
        *("number", "fraction"),
        train_accuracy="training accuracy of this epoch",
        val_accuracy="validation accuracy after it",
        val_f1="macro F1 on the validation set after it",
        val_balanced_accuracy="mean over classes of the share that is right on the validation set after it",
        test_accuracy="test accuracy after it, where the recipe asks for a test curve",
        test_f1="macro F1 on the test set after it, likewise",
        test_balanced_accuracy="mean over classes of the share that is right on the test set after it, likewise",
    ),
    **_of("number", "ratio", val_wer="word error rate on the validation set", val_cer="character error rate, likewise"),
    **_of(
        "number", "s", val_seconds="wall time of this epoch's validation", train_seconds="wall time of training so far"
    ),
    **_of("number", "s", cpu_seconds="time of all threads on cores in training so far"),
    **_of("number", learning_rate="learning rate of the epoch's last step"),
    **_of("integer", "FLOP", flops_executed="operations executed so far"),
    **_of("integer", "bytes", bytes_read="training samples read in this epoch", peak_memory_bytes="peak memory so far"),
    **_of("integer", "weights", live_parameters="weights that the net has after the epoch"),
    **_of("number", "FLOP", flops_per_sample="forward pass of one sample through the net after the epoch"),
    **{name: RUNS[name] for name in ("charged_samples_backpropagated", "charged_bytes_read")},
}
EVIDENCE = {  # columns of history.csv that only runs of some strategies have
    **_of(
        *("number", "fraction"),
        pruned_share="samples left out in the epoch",
        pool_share="samples in the pool that some are left out of",
        kept_share="candidates that were trained on",
        expected_share="mean probability of a candidate to be trained on",
        importance_share="steps whose batch was drawn by importance",
        learnt_share="samples that were right at least once",
        target_rate="activation rate that the controller aims at",
        activation_rate="candidates that were trained on",
        tracking_error="mean of activation rate minus target",
        tracking_error_rms="root mean square of activation rate minus target",
        flip_rate="samples that changed their level since the epoch before",
        sparsity="weights of the sparse layers left out or held at zero",
        kept_token_share="tokens that layers worked on, of all",
        kept_block_passes="passes through a block that were executed",
    ),
    **_of(
        "number",
        threshold="value in force that decides which samples are easy",
        threshold_score="mean score of the kept",
    ),
    **_of(
        "number",
        pool_weight="weight of the loss of a sample kept of the pool",
        tau="how many times as large a uniform batch would have to be",
    ),
    **_of(
        "number", penalty_coefficient="factor of the penalty (lambda)", sparse="1 in an epoch that leaves out, else 0"
    ),
    **_of("number", "nats", window_low="least loss of a sample that is visited", window_high="highest loss, likewise"),
    **_of(
        "number", "nats", pool_reducible="mean reducible loss of all candidates", pool_reducible_chosen="of the chosen"
    ),
    **_of("number", "passes", passes="passes over the whole data so far"),
    **_of("number", "events", forgetting_events="forgetting events of a sample so far, mean"),
    **_of("number", "tokens", kept_tokens="tokens that layers worked on, mean over the steps"),
    **_of("integer", "weights", kept_weights="weights in sparse layers", moved_weights="weights moved so far"),
    **_of("integer", "weights", frozen_weights="weights in frozen layers"),
    **_of(
        "integer",
        "layers",
        frozen_layers="layers that are frozen",
        layers_at_floor="layers that may not become narrower",
    ),
    **_of(
        "integer",
        removals="how often channels were removed so far",
        kept_checkpoints="checkpoints kept for the average",
    ),
    **_of("number", "ratio", parameters_over_sparse="weights over those of the sparse net that it is compared with"),
    **_of("number", "ratio", parameters_over_whole="weights over those of the whole net"),
}
FAMILIES = {  # such columns whose names have a level, a layer or, where several strategies are combined, one of them at the end
    r"share_k\d+": Column("number", "fraction", "samples read at this level: coefficients, or pixels, per side"),
    r"width_.+": Column("integer", "channels", "channels or neurons of this layer after the epoch"),
    rf"({'|'.join(EVIDENCE)})_[a-z].*": Column("number", "", "the same of this one of several strategies"),
}
ITERATIONS = {
    **RUN,
    **_of("integer", "steps", step="number of the optimizer's step, from 1"),
    **_of("integer", "epochs", epoch="number of its epoch, from 1"),
    **_of("number", "nats", loss="mean training loss of its batch"),
}
TRACE = {
    **RUN,
    **_of("integer", "epochs", epoch="number of the epoch, from 1"),
    **_of("integer", "batches", batch="number of the batch of candidates in its epoch, from 1"),
    **{
        name: EVIDENCE[name]
        for name in ("activation_rate", "threshold", "tracking_error", "kept_share", "expected_share")
    },
}
NOTES = RUN | _of("string", note="a remark of the run on itself")
AUDIT = _of("string", finding="kind of the doubt") | {name: CELL[name] for name in ("dataset", "model")}
AUDIT |= _of("string", runs="the runs it is about: <strategy>/seed-<n>, ...", detail="what was found, and what follows")

DICTIONARY: dict[str, dict[str, Column]] = {
    "runs": RUNS,
    "summary": _summary(),
    "budgets": BUDGETS,
    "history": HISTORY | EVIDENCE,
    "notes": NOTES,
    "audit": AUDIT,
    "iterations": ITERATIONS,
    "trace": TRACE,
}


def column(table: str, name: str) -> Column | None:
    """What a column of a table says; None where the dictionary doesn't know it."""
    known = DICTIONARY[table].get(name)
    if known is None and table in ("history", "trace"):
        return next((found for family, found in FAMILIES.items() if re.fullmatch(family, name)), None)
    return known
