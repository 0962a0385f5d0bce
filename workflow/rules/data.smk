# Needs: the source files of a data set (bundled, in FRUGAL_DATA, or downloaded). Makes: its array cache with the DCT store, and
# a card that says what it is.


rule prepare:
    """One data set: read, split, DCT-encoded, cached."""
    input:
        look_at_sources,
    output:
        # Not removed before the job: it looks whether what was read has other content, or only another time.
        cache=update(CACHE),
    log:
        f"{PLAN.caches}/{{dataset}}/prepare.log",
    benchmark:
        f"{PLAN.caches}/{{dataset}}/benchmark.tsv"
    priority: 2_000_000  # runs wait for it
    conda:
        "../../envs/train.yaml"
    threads: threads_of_source
    params:
        cache=shared_cache,
        code=code_of_source,
        dataset=spec_of_dataset,
        data=shlex.join(["--data", PLAN.config.data]) if PLAN.config.data else "",
        downloads=f"{PLAN.config.results}/downloads",
    message:
        "prepare {wildcards.dataset}"
    shell:
        "python scripts/prepare.py --dataset {params.dataset:q} --out {params.cache:q}"
        " --downloads {params.downloads:q} --threads {threads} {params.data} 2> {log:q}"
        "; [ {params.cache:q} -ef {output.cache:q} ] || cp {params.cache:q} {output.cache:q}"


rule card:
    """What a prepared data set is, for people, from its manifest."""
    input:
        cache=CACHE,
    output:
        card=report(
            CARD,
            caption="../report/card.rst",
            category="data sets",
            labels={"what": "{dataset}: data card"},
        ),
    log:
        f"{PLAN.caches}/{{dataset}}/card.log",
    localrule: True
    conda:
        "../../envs/train.yaml"
    params:
        code=code_of("frugal.data.card"),
        dataset=spec_of_dataset,
    message:
        "data card of {wildcards.dataset}"
    shell:
        "python scripts/data_card.py --dataset {params.dataset:q} --manifest {input.cache:q} --out {output.card:q} 2> {log:q}"
