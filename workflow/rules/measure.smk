# Needs: the machine. Makes: what a report shows of the machine rather than of runs, once per scale. A study asks for it
# with `measurements`.


rule crossover:
    """Time and memory of sparse layers over dense ones, per pattern, block, sparsity and shape."""
    output:
        table=f"{RESULTS}/measurements/crossover.csv",
    log:
        f"{RESULTS}/measurements/crossover.log",
    benchmark:
        f"{RESULTS}/measurements/crossover.benchmark.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        gpu=GPUS,
    params:
        code=code_of("crossover"),
        grid="small" if PLAN.scale == "demo" else "full",
        device=PLAN.config.device,
    message:
        "crossover map of sparse layers on this machine"
    shell:
        "python scripts/crossover.py --out {output.table:q} --grid {params.grid} --device {params.device:q} 2> {log:q}"
