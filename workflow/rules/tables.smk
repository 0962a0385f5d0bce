# Needs: the records of a study's runs. Makes: its tables.


rule tabulate:
    """The runs of one study as tables: one row per run, per cell, per epoch, per iteration, per batch; and what their columns mean."""
    input:
        records=records_of_study,
    output:
        runs=f"{RESULTS}/tables/{{study}}/runs.csv",
        summary=report(
            f"{RESULTS}/tables/{{study}}/summary.csv",
            caption="../report/table.rst",
            category="{study}",
            labels={"what": "summary table"},
        ),
        history=f"{RESULTS}/tables/{{study}}/history.csv",
        iterations=f"{RESULTS}/tables/{{study}}/iterations.csv",
        audit=f"{RESULTS}/tables/{{study}}/audit.csv",
        trace=f"{RESULTS}/tables/{{study}}/trace.csv",
        notes=f"{RESULTS}/tables/{{study}}/notes.csv",
        budgets=f"{RESULTS}/tables/{{study}}/budgets.csv",
        latex=f"{RESULTS}/tables/{{study}}/summary.tex",
        columns=f"{RESULTS}/tables/{{study}}/datapackage.json",
        study=f"{RESULTS}/tables/{{study}}/study.json",
    log:
        f"{RESULTS}/tables/{{study}}/tabulate.log",
    benchmark:
        f"{RESULTS}/tables/{{study}}/benchmark.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("tabulate_runs"),
        study=planned_study,
        caches=PLAN.caches,
        failed=failed_of_study,
        out=lambda wildcards, output: os.path.dirname(output.runs),
        results=lambda wildcards, output: os.path.dirname(
            os.path.dirname(os.path.dirname(output.runs))
        ),
    message:
        "{wildcards.study}: tables"
    shell:
        "python scripts/tabulate_runs.py --study {params.study:q} --results {params.results:q}"
        " --caches {params.caches:q} --out {params.out:q} 2> {log:q}"
