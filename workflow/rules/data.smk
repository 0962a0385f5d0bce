# Needs: the source files of a data set (bundled, in FRUGAL_DATA, or downloaded). Makes: its array cache with the DCT store.


rule prepare:
    """One data set: read, split, DCT-encoded, cached."""
    input:
        script="scripts/prepare.py",
    output:
        cache=f"{RESULTS}/data/{{dataset}}/manifest.json",
    log:
        f"{RESULTS}/data/{{dataset}}/prepare.log",
    benchmark:
        f"{RESULTS}/data/{{dataset}}/benchmark.tsv"
    conda:
        "../../envs/train.yaml"
    threads: threads_of_source
    params:
        code=code_of_source,
        dataset=spec_of_dataset,
        data=shlex.join(["--data", PLAN.config.data]) if PLAN.config.data else "",
        downloads=f"{PLAN.config.results}/downloads",
    message:
        "prepare {wildcards.dataset}"
    shell:
        "python {input.script:q} --dataset {params.dataset:q} --out {output.cache:q}"
        " --downloads {params.downloads:q} --threads {threads} {params.data} 2> {log:q}"
