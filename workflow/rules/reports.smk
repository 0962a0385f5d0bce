# Needs: a study's tables, the measurements it asks for, and its notebook. Makes: the rendered notebook, its figures, and the page that links all of them.


rule render:
    """The notebook of one study, run on its tables, as .ipynb and as a page that opens offline."""
    input:
        notebook="notebooks/{study}.ipynb",
        reported="config/reported/{study}.csv",
        tables=rules.tabulate.output,
        measurements=measurements_of_study,
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
            patterns=["{figure}.svg"],
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
        code=code_of("render", *NOTEBOOK, files=TEMPLATES),
        tables=lambda wildcards, input: os.path.dirname(input.tables[0]),
        measurements=lambda wildcards, input: (
            shlex.join(["--measurements", os.path.dirname(input.measurements[0])])
            if input.measurements
            else ""
        ),
    message:
        "{wildcards.study}: notebook"
    shell:
        "python scripts/render.py --notebook {input.notebook:q} --tables {params.tables:q}"
        " {params.measurements} --reported {input.reported:q} --ipynb {output.ipynb:q} --html {output.html:q} --figures {output.figures:q}"
        " --failed {log:q}.failed.ipynb 2> {log:q}"


# A study without a notebook of its own is reported by the overview.
REPORTED = [
    study for study in PLAN.studies if os.path.exists(f"notebooks/{study}.ipynb")
]


rule index:
    """The overview of all studies: the notebook run on their tables, as the page that links everything."""
    input:
        notebook="notebooks/overview.ipynb",
        reported=[
            file
            for study in REPORTED
            if os.path.exists(file := f"config/reported/{study}.csv")
        ],
        reports=expand(rules.render.output, study=REPORTED),
        tables=expand(rules.tabulate.output, study=PLAN.studies),
    output:
        index=report(
            f"{RESULTS}/index.html",
            caption="../report/overview.rst",
            category="overview",
            labels={"what": "front page"},
        ),
        ipynb=f"{RESULTS}/reports/overview.ipynb",
        figures=report(
            directory(f"{RESULTS}/reports/overview"),
            patterns=["{figure}.svg"],
            caption="../report/overview.rst",
            category="overview",
            labels={"what": "{figure}"},
        ),
    log:
        f"{RESULTS}/index.log",
    benchmark:
        f"{RESULTS}/index.benchmark.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("index", *NOTEBOOK, files=TEMPLATES),
        studies=list(PLAN.studies),
        results=lambda wildcards, output: os.path.dirname(output.index),
        reports=REPORTED,
    message:
        "index page: {output.index}"
    shell:
        "python scripts/index.py --notebook {input.notebook:q} --studies {params.studies:q} --results {params.results:q}"
        " --reports {params.reports:q} --out {output.index:q} 2> {log:q}"
