"""Columns of runs.csv, a row per run: type, unit and meaning of each; other tables have some of them too."""

from typing import NamedTuple


class Column(NamedTuple):
    """type: of Table Schema; unit: SI or what is counted, empty where there is none; meaning: one plain clause."""

    type: str
    unit: str
    meaning: str


def columns_of(kind: str, unit: str = "", **meanings: str) -> dict[str, Column]:
    """Columns of one type and unit, by name."""
    return {name: Column(kind, unit, meaning) for name, meaning in meanings.items()}


CELL = columns_of(
    "string",
    dataset="name of the data set",
    model="name of the net",
    strategy="name of the strategy; of a run with a budget of its own <strategy>@<share of the epochs>",
)
RUN = CELL | columns_of("integer", seed="random seed of the run")

ACCURACIES = columns_of(
    *("number", "fraction"),
    test_accuracy="accuracy on the test set at the end, at the strategy's own fidelity",
    test_accuracy_full_fidelity="accuracy on the test set at the end, on uncompressed samples",
    test_accuracy_flips="accuracy on the test set of the mean over several views of each image, as recipe.test_time asks",
    test_f1="F1 score on the test set, mean over classes without weights (macro)",
    test_balanced_accuracy="share of a class that is right on the test set, mean over the classes that occur",
    test_roc_auc="area under the ROC curve on the test set; of more than two classes the mean of each against the rest",
    val_accuracy="accuracy on the validation set at the end",
    best_val_accuracy="highest accuracy on the validation set after any epoch",
)
COSTS = {
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
RATIO = columns_of("number", "ratio", compression_ratio="bytes of the same visits as raw samples, over bytes read")
TARGET = {
    "epochs_to_target": Column("integer", "epochs", "first epoch whose validation accuracy reaches the study's target"),
    "seconds_to_target": Column("number", "s", "seconds of training until then"),
    "cost_to_target": Column("number", "the unit of the study's cost", "what was spent of the study's cost until then"),
}
OWN_RECIPE = columns_of(
    "string", own_recipe="what the recipe has that the baseline's has not, null where they are the same"
)

SPLITS = ("train", "validation", "test")

RUNS = {
    **columns_of("string", study="name of the study", scale="name of the study's scale"),
    **RUN,
    **columns_of("integer", "epochs", epochs="epochs that were begun"),
    **columns_of("number", "epochs", epochs_trained="epochs trained; a last one may have been cut short"),
    **columns_of(
        *("integer", "steps"),
        steps="steps of the optimizer",
        uncounted_steps="steps taken by code that is not the loop's",
        skipped_steps="part of steps that changed no weight, since a gradient overflowed in float16",
    ),
    **ACCURACIES,
    **columns_of(
        "number", "ratio", test_wer="word error rate on the test set", test_cer="character error rate on the test set"
    ),
    **columns_of("number", "nats", test_loss="mean loss on the test set"),
    **COSTS,
    **columns_of(
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
    **columns_of(
        "number", "processes", machine_load="load average of the machine over one minute, mean over the epochs"
    ),
    **columns_of("string", peak_memory_source="how peak_memory_bytes was measured"),
    **columns_of(
        *("integer", "weights"),
        parameters="weights of the net without anything left out",
        nonzero_parameters="weights that are not zero at the end",
    ),
    **columns_of(
        "number", "FLOP", flops_useful_per_sample="flops_forward_per_sample without products with known zeros"
    ),
    **columns_of(
        *("integer", "FLOP"),
        flops_forward="part of flops_executed in forward passes",
        flops_backward="part of flops_executed in backward passes",
        flops_scoring="part of flops_executed in passes that only score samples",
        flops_decoding="part of flops_executed in decoding samples",
        flops_optimizer="part of flops_executed in matrix products of the optimizer, which only muon has",
        charged_flops="part of flops_executed that the run whose scores are used had spent",
    ),
    **columns_of("string", flops_source="how FLOPs were counted, and which operators were not"),
    **columns_of("integer", "bytes", bytes_raw="what the same visits would have read as raw samples"),
    **columns_of(
        *("integer", "samples"),
        charged_samples_forwarded="part of samples_forwarded that the run whose scores are used had spent",
        charged_samples_backpropagated="part of samples_backpropagated that the run whose scores are used had spent",
    ),
    **columns_of(
        "integer", "bytes", charged_bytes_read="part of bytes_read that the run whose scores are used had spent"
    ),
    **RATIO,
    **columns_of("string", energy_source="how energy_joules was metered, or why it is null"),
    **columns_of("string", device="cpu or cuda", fingerprint="checksum of what the run was made from"),
    **columns_of("integer", schema="version of the form of metrics.json"),
    **TARGET,
    **columns_of("string", cpu="processor of the machine", gpu="GPU of the machine"),
    **columns_of("integer", "cores", cores="cores of the machine"),
    **columns_of("integer", "threads", threads="threads that the run computed with"),
    **columns_of("integer", "bytes", memory_bytes="memory of the machine"),
    **columns_of("string", git_commit="commit of the source, null outside of a git checkout"),
    **columns_of("boolean", git_dirty="whether the source differed from that commit"),
    **columns_of("string", data_checksum="checksum of the prepared data set", recipe="the recipe as JSON"),
    **columns_of("integer", "classes", classes="classes of the data set, null where they are not known"),
    **columns_of("integer", "samples", **{f"{part}_samples": f"size of the {part} split" for part in SPLITS}),
    **OWN_RECIPE,
    **columns_of("string", own_code="files of the run's code that git ignores, null where there are none"),
    **columns_of("datetime", started="when the run began", ended="when the run ended"),
    **columns_of("integer", resumes="how often the run went on from a checkpoint"),
    **columns_of("string", loss_curve="digest of the training loss of every step; equal only where all losses are"),
    **columns_of("boolean", doubted="whether the audit has a finding on the run"),
}
