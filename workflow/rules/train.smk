# Needs: the cache of a data set. Makes: the record of one run. Checkpoints lie beside it and are nobody's output, so that
# Snakemake never deletes them.


rule train:
    """One run: one strategy on one data set and model, with one seed."""
    input:
        script="scripts/train.py",
        cache=f"{RESULTS}/data/{{dataset}}/manifest.json",
        follow=history_followed,
    output:
        metrics=f"{RUN}/metrics.json",
        history=f"{RUN}/history.csv",
        iterations=f"{RUN}/iterations.csv",
        trace=f"{RUN}/trace.csv",
        manifest=f"{RUN}/manifest.json",
    log:
        f"{RUN}/train.log",
    benchmark:
        f"{RUN}/benchmark.tsv"
    conda:
        "../../envs/train.yaml"
    threads: PLAN.config.devices
    resources:
        gpu=gpus_of_run,
    params:
        code=code_of_run,
        spec=spec_of_run,
        out=lambda wildcards, output: os.path.dirname(output.metrics),
        follow=lambda wildcards, input: (
            shlex.join(["--follow", *input.follow]) if input.follow else ""
        ),
        device=PLAN.config.device,
        launcher=PLAN.launcher(),
    message:
        "{wildcards.study}: {wildcards.strategy} on {wildcards.dataset}/{wildcards.model}, seed {wildcards.seed}"
    shell:
        "{params.launcher} {input.script:q} --spec {params.spec:q} --cache {input.cache:q} --out {params.out:q}"
        " {params.follow} --device {params.device:q} --threads {threads}"
        f" --checkpoint-seconds {PLAN.config.checkpoint_seconds} --residency {PLAN.config.residency}"
        f" --workers {PLAN.config.workers}"
        " 2> {log:q}"
