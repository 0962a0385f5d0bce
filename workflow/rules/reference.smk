# Needs: the tables of a study whose baseline has many seeds at each budget. Makes: a reference convergence point, to be committed.
# Only where it is asked for by name.


rule reference:
    """Mean and spread of the baseline at each budget, on one data set and model."""
    input:
        runs=f"{RESULTS}/tables/{{study}}/runs.csv",
        study=f"{RESULTS}/tables/{{study}}/study.json",
    output:
        # Kept until there is a new one: a job that refuses must not cost the one that is committed.
        table=update(
            f"config/reference/{{dataset}}-{{model}}-{{study}}-{PLAN.scale}.csv"
        ),
    log:
        f"{RESULTS}/tables/{{study}}/reference-{{dataset}}-{{model}}.log",
    wildcard_constraints:
        model=one_of(PLAN.models),
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("reference"),
        tables=lambda wildcards, input: os.path.dirname(input.runs),
    message:
        "reference of {wildcards.dataset}/{wildcards.model} with the recipe of {wildcards.study}"
    shell:
        "python scripts/reference.py --tables {params.tables:q} --dataset {wildcards.dataset:q}"
        " --model {wildcards.model:q} --out {output.table:q} > {log:q} 2>&1"
