# Needs: the records of a study's runs. Makes: its tables.


rule tabulate:
    """The runs of one study as tables: one row per run, per cell, per epoch, per iteration, per batch; and what their columns mean."""
    input:
        records=records_of_study,
    output:
        runs=shown_table("runs.csv", "every run"),
        summary=shown_table("summary.csv", "every strategy"),
        history=f"{RESULTS}/tables/{{study}}/history.csv",
        iterations=f"{RESULTS}/tables/{{study}}/iterations.csv",
        audit=shown_table("audit.csv", "reasons for doubt"),
        trace=f"{RESULTS}/tables/{{study}}/trace.csv",
        notes=f"{RESULTS}/tables/{{study}}/notes.csv",
        budgets=shown_table("budgets.csv", "the baseline trained for less"),
        latex=shown_table("summary.tex", "the summary for a paper"),
        columns=shown_table("datapackage.json", "what each column means"),
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
