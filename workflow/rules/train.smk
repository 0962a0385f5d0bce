# Needs: the cache of a data set. Makes: the record of one run, or of all runs on a data set and model. Checkpoints lie beside
# it and are nobody's output, so that Snakemake never deletes them. `exec`: a scheduler that ends a job sends SIGTERM to all of its
# processes; a shell between Snakemake and the run would die of it, and the job with it, before the run has saved.

HOW = (
    f"--checkpoint-seconds {PLAN.config.checkpoint_seconds} --residency {PLAN.config.residency}"
    f" --workers {PLAN.config.workers} --jobs-per-gpu {PLAN.config.jobs_per_gpu} --device {PLAN.config.device}"
)
if PLAN.config.keep:
    HOW += f" --keep {' '.join(PLAN.config.keep)}"
if PLAN.config.scratch:
    HOW += f" --scratch {shlex.quote(PLAN.config.scratch)}"


rule train:
    """One run: one strategy on one data set and model, with one seed."""
    input:
        cache=CACHE,
        follow=record_followed,
    output:
        metrics=WATCHED[0],
        others=WATCHED[1:],
    log:
        f"{RUN}/train.log",
    priority: seeds_outside
    conda:
        "../../envs/train.yaml"
    threads: PLAN.config.devices
    resources:
        gpu=GPUS,
    params:
        run=spec_and_code,  # Snakemake compares it with an earlier run's; where things lie it doesn't
    message:
        "{wildcards.study}: {wildcards.strategy} on {wildcards.dataset}/{wildcards.model}, seed {wildcards.seed}"
    shell:
        f"exec {PLAN.launcher()} scripts/train.py --spec {{params.run[0]:q}} --cache {in_shell(CACHE, PLAN.caches)}"
        f" --record {{output.metrics:q}} --checkpoints {in_shell(RUN, RESULTS)} --follow {{input.follow:q}} --threads {{threads}}"
        f" {HOW} 2> {{log:q}}"


# Where runs are about as short as importing torch, one job trains all of a study's on a data set and model, and imports it once.
# Their records are nobody's output: Snakemake would delete those of all runs where one of them fails. Each is named by its path
# all the same, and trained by itself with the rule above.
for STUDY in PLAN.grouped:

    rule:
        name:
            f"train_{STUDY}"
        input:
            cache=cache_of_pair,
        output:
            stamp=STAMP,
        log:
            f"{PAIR}/train.log",
        benchmark:
            f"{PAIR}/benchmark.tsv"
        wildcard_constraints:
            study=STUDY,
        # Studies of many runs first: a long job that comes last leaves all other cores idle. Data sets come before them all.
        priority: min(len(CELLS[STUDY]), 99)
        conda:
            "../../envs/train.yaml"
        resources:
            gpu=GPUS,
        params:
            code=code_of_pair,
            specs=specs_of_pair,
            seeds=PLAN.studies[STUDY].seeds,
            pair=shared_folder,
            cache=shared_cache,
        message:
            "{wildcards.study}: all runs on {wildcards.dataset}/{wildcards.model}, seeds {params.seeds}"
        shell:
            "exec python scripts/train.py --spec {params.specs:q} --seeds {params.seeds} --cache {params.cache:q}"
            " --out {params.pair:q} --stamp {output.stamp:q}"
            f" --threads {{threads}} {HOW} 2> {{log:q}}"
