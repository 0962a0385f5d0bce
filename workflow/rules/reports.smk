# Needs: a study's tables and its notebook. Makes: the rendered notebook, its figures, and the page that links all of them.


rule render:
    """The notebook of one study, run on its tables, as .ipynb and as a page that opens offline."""
    input:
        script="scripts/render.py",
        notebook="notebooks/{study}.ipynb",
        reported="config/reported/{study}.csv",
        tables=rules.tabulate.output,
    output:
        ipynb=f"{RESULTS}/reports/{{study}}.ipynb",
        html=report(
            f"{RESULTS}/reports/{{study}}.html",
            caption="../report/notebook.rst",
            category="{study}",
            labels={"what": "rendered notebook"},
        ),
        figures=report(
            directory(f"{RESULTS}/reports/{{study}}"),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="{study}",
            labels={"what": "{figure}"},
        ),
    log:
        f"{RESULTS}/reports/logs/{{study}}.log",
    benchmark:
        f"{RESULTS}/reports/logs/{{study}}.benchmark.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("render.py", "frugal.analysis.notebook", files=TEMPLATES),
        study=spec_of_study,
        tables=lambda wildcards, input: os.path.dirname(input.tables[0]),
    message:
        "{wildcards.study}: notebook"
    shell:
        "python {input.script} --notebook {input.notebook} --study {params.study:q} --tables {params.tables}"
        " --reported {input.reported} --ipynb {output.ipynb} --html {output.html} --figures {output.figures}"
        " --failed {log}.failed.ipynb 2> {log}"


rule index:
    """One page that links every study's report, tables and runs."""
    input:
        script="scripts/index.py",
        reports=expand(rules.render.output, study=PLAN.studies),
        tables=expand(rules.tabulate.output, study=PLAN.studies),
    output:
        index=report(
            f"{RESULTS}/index.html",
            caption="../report/workflow.rst",
            category="overview",
        ),
    log:
        f"{RESULTS}/index.log",
    benchmark:
        f"{RESULTS}/index.benchmark.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("index.py", files=TEMPLATES),
        studies="["
        + ",".join(study.model_dump_json() for study in PLAN.studies.values())
        + "]",
        results=lambda wildcards, output: os.path.dirname(output.index),
    message:
        "index page: {output.index}"
    shell:
        "python {input.script} --studies {params.studies:q} --results {params.results} --out {output.index} 2> {log}"
