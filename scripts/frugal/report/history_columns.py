"""Columns of tables with several rows per run: of its epochs, of its steps, of its batches of candidates.

What the strategies tell of themselves is among them.
"""

from frugal.report.run_columns import RUN, RUNS, Column, columns_of

HISTORY = {
    **RUN,
    **columns_of("integer", "epochs", epoch="number of the epoch, from 1"),
    **columns_of("integer", "steps", steps="steps of the optimizer so far"),
    **columns_of("integer", "samples", samples="samples that a gradient was taken of in this epoch"),
    **columns_of(
        "number", "nats", train_loss="mean training loss of this epoch", val_loss="mean validation loss after it"
    ),
    **columns_of("number", "nats", test_loss="mean test loss after the epoch, where the recipe asks for a test curve"),
    **columns_of(
        *("number", "fraction"),
        train_accuracy="training accuracy of this epoch",
        val_accuracy="validation accuracy after it",
        val_f1="macro F1 on the validation set after it",
        val_balanced_accuracy="mean over classes of the share that is right on the validation set after it",
        test_accuracy="test accuracy after it, where the recipe asks for a test curve",
        test_f1="macro F1 on the test set after it, likewise",
        test_balanced_accuracy="mean over classes of the share that is right on the test set after it, likewise",
    ),
    **columns_of(
        "number", "ratio", val_wer="word error rate on the validation set", val_cer="character error rate, likewise"
    ),
    **columns_of(
        "number", "s", val_seconds="wall time of this epoch's validation", train_seconds="wall time of training so far"
    ),
    **columns_of("number", "s", cpu_seconds="time of all threads on cores in training so far"),
    **columns_of("number", learning_rate="learning rate of the epoch's last step"),
    **columns_of("integer", "FLOP", flops_executed="operations executed so far"),
    **columns_of(
        "integer", "bytes", bytes_read="training samples read in this epoch", peak_memory_bytes="peak memory so far"
    ),
    **columns_of("integer", "weights", live_parameters="weights that the net has after the epoch"),
    **columns_of("number", "FLOP", flops_per_sample="forward pass of one sample through the net after the epoch"),
    **{name: RUNS[name] for name in ("charged_samples_backpropagated", "charged_bytes_read")},
}
EVIDENCE = {  # columns of history.csv that only runs of some strategies have
    **columns_of(
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
    **columns_of(
        "number",
        threshold="value in force that decides which samples are easy",
        threshold_score="mean score of the kept",
    ),
    **columns_of(
        "number",
        pool_weight="weight of the loss of a sample kept of the pool",
        tau="how many times as large a uniform batch would have to be",
    ),
    **columns_of(
        "number", penalty_coefficient="factor of the penalty (lambda)", sparse="1 in an epoch that leaves out, else 0"
    ),
    **columns_of(
        "number", "nats", window_low="least loss of a sample that is visited", window_high="highest loss, likewise"
    ),
    **columns_of(
        "number", "nats", pool_reducible="mean reducible loss of all candidates", pool_reducible_chosen="of the chosen"
    ),
    **columns_of("number", "passes", passes="passes over the whole data so far"),
    **columns_of("number", "events", forgetting_events="forgetting events of a sample so far, mean"),
    **columns_of("number", "tokens", kept_tokens="tokens that layers worked on, mean over the steps"),
    **columns_of("integer", "weights", kept_weights="weights in sparse layers", moved_weights="weights moved so far"),
    **columns_of("integer", "weights", frozen_weights="weights in frozen layers"),
    **columns_of(
        "integer",
        "layers",
        frozen_layers="layers that are frozen",
        layers_at_floor="layers that may not become narrower",
    ),
    **columns_of(
        "integer",
        removals="how often channels were removed so far",
        kept_checkpoints="checkpoints kept for the average",
    ),
    **columns_of(
        "number", "ratio", parameters_over_sparse="weights over those of the sparse net that it is compared with"
    ),
    **columns_of("number", "ratio", parameters_over_whole="weights over those of the whole net"),
}
FAMILIES = {  # such columns whose names have a level, a layer or, where several strategies are combined, one of them at the end
    r"share_k\d+": Column("number", "fraction", "samples read at this level: coefficients, or pixels, per side"),
    r"width_.+": Column("integer", "channels", "channels or neurons of this layer after the epoch"),
    rf"({'|'.join(EVIDENCE)})_[a-z].*": Column("number", "", "the same of this one of several strategies"),
}
ITERATIONS = {
    **RUN,
    **columns_of("integer", "steps", step="number of the optimizer's step, from 1"),
    **columns_of("integer", "epochs", epoch="number of its epoch, from 1"),
    **columns_of("number", "nats", loss="mean training loss of its batch"),
}
TRACE = {
    **RUN,
    **columns_of("integer", "epochs", epoch="number of the epoch, from 1"),
    **columns_of("integer", "batches", batch="number of the batch of candidates in its epoch, from 1"),
    **{
        name: EVIDENCE[name]
        for name in ("activation_rate", "threshold", "tracking_error", "kept_share", "expected_share")
    },
}
