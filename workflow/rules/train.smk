# Needs: the cache of a data set. Makes: the record of one run, or of all runs on a data set and model. Checkpoints lie beside
# it and are nobody's output, so that Snakemake never deletes them. `exec`: a scheduler that ends a job sends SIGTERM to all of its
# processes; a shell between Snakemake and the run would die of it, and the job with it, before the run has saved.

HOW = (
    f"--checkpoint-seconds {PLAN.config.checkpoint_seconds} --residency {PLAN.config.residency}"
    f" --workers {PLAN.config.workers} --jobs-per-gpu {PLAN.config.jobs_per_gpu}"
)
if PLAN.config.scratch:
    HOW += f" --scratch {shlex.quote(PLAN.config.scratch)}"


rule train:
    """One run: one strategy on one data set and model, with one seed."""
    input:
        cache=CACHE,
        follow=history_followed,
    output:
        RECORD,
    log:
        f"{RUN}/train.log",
    benchmark:
        f"{RUN}/benchmark.tsv"
    wildcard_constraints:
        study=one_of(set(PLAN.studies) - set(PLAN.grouped)),
    conda:
        "../../envs/train.yaml"
    threads: PLAN.config.devices
    resources:
        gpu=gpus_of_run,
    params:
        code=code_of_run,
        spec=spec_of_run,
        places=places_of_run,
        device=PLAN.config.device,
        launcher=PLAN.launcher(),
    message:
        "{wildcards.study}: {wildcards.strategy} on {wildcards.dataset}/{wildcards.model}, seed {wildcards.seed}"
    shell:
        "exec {params.launcher} scripts/train.py --spec {params.spec:q} {params.places} --device {params.device:q}"
        f" --threads {{threads}} {HOW} 2> {{log:q}}"


# Where runs are about as short as importing torch, one job trains all of a study's on a data set and model, and imports it once.
for STUDY in PLAN.grouped:

    rule:
        name:
            f"train_{STUDY}"
        input:
            cache=cache_of_pair,
        output:
            expand(
                RECORD,
                strategy=PLAN.studies[STUDY].strategies,
                seed=PLAN.studies[STUDY].seeds,
                allow_missing=True,
            ),
        log:
            f"{PAIR}/train.log",
        benchmark:
            f"{PAIR}/benchmark.tsv"
        wildcard_constraints:
            study=STUDY,
        # Studies of several data sets first: the notebook of each waits for all of its runs.
        priority: len(PLAN.studies[STUDY].pairs)
        conda:
            "../../envs/train.yaml"
        resources:
            gpu=gpus_of_run,
        params:
            code=code_of_pair,
            specs=specs_of_pair,
            runs=len(PLAN.studies[STUDY].strategies) * len(PLAN.studies[STUDY].seeds),
            seeds=PLAN.studies[STUDY].seeds,
            pair=shared_folder,
            cache=shared_cache,
            out=lambda wildcards, output: str(Path(output[0]).parents[2]),
            device=PLAN.config.device,
        message:
            "{wildcards.study}: {params.runs} runs on {wildcards.dataset}/{wildcards.model}, seeds {params.seeds}"
        shell:
            "exec python scripts/train.py --spec {params.specs:q} --seeds {params.seeds} --cache {params.cache:q}"
            " --out {params.out:q} --checkpoints {params.pair:q}"
            f" --device {{params.device:q}} --threads {{threads}} {HOW} 2> {{log:q}}"
