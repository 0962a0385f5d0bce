# Needs: a study's tables, the measurements it asks for, and its notebook. Makes: the rendered notebook, its figures, and the page that links all of them.


# A study without a notebook of its own stands in the overview only.
REPORTED = [
    study for study in PLAN.studies if os.path.exists(f"notebooks/{study}.ipynb")
]


rule render:
    """The notebook of one study, run on its tables, as .ipynb and as a page that opens offline."""
    input:
        notebook="notebooks/{study}.ipynb",
        reported=reported_of_study,
        tables=rules.tabulate.output,
        measurements=measurements_of_study,
    output:
        ipynb=f"{RESULTS}/reports/{{study}}.ipynb",
        html=report(
            f"{RESULTS}/reports/{{study}}.html",
            caption="../report/notebook.rst",
            category="{study}",
            subcategory="report",
            labels={"what": "report, as a page"},
        ),
        figures=report(
            directory(f"{RESULTS}/reports/{{study}}"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="{study}",
            subcategory="figures",
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
        reports=REPORTED,
        reported=lambda wildcards, input: (
            shlex.join(["--reported", *input.reported]) if input.reported else ""
        ),
        measurements=lambda wildcards, input: (
            shlex.join(["--measurements", os.path.dirname(input.measurements[0])])
            if input.measurements
            else ""
        ),
    message:
        "{wildcards.study}: notebook"
    shell:
        "python scripts/render.py --notebook {input.notebook:q} --tables {params.tables:q}"
        " {params.measurements} {params.reported} --ipynb {output.ipynb:q} --html {output.html:q} --figures {output.figures:q}"
        " --reports {params.reports:q} --failed {log:q}.failed.ipynb 2> {log:q}"


rule overview:
    """The notebook of all studies, run on their tables, beside those of the studies."""
    input:
        notebook="notebooks/overview.ipynb",
        reported=[
            file for study in REPORTED for file in glob(f"config/reported/{study}.csv")
        ],
        cases="config/known_outcomes.yaml",
        tables=expand(rules.tabulate.output, study=PLAN.studies),
    output:
        page=temp(f"{RESULTS}/.index.html"),  # shown once the reports that it links are there
        ipynb=f"{RESULTS}/reports/overview.ipynb",
        figures=report(
            directory(f"{RESULTS}/reports/overview"),
            patterns=["{figure}.svg"],
            caption="../report/overview.rst",
            category="overview",
            subcategory="figures",
            labels={"what": "accuracy over cost ({figure})"},
        ),
    log:
        f"{RESULTS}/index.log",
    benchmark:
        f"{RESULTS}/index.benchmark.tsv"
    priority: 1  # it takes the longest
    conda:
        "../../envs/report.yaml"
    params:
        code=code_of("index", *NOTEBOOK, files=TEMPLATES),
        studies=list(PLAN.studies),
        results=lambda wildcards, output: os.path.dirname(output.page),
        reports=REPORTED,
    message:
        "notebook of all studies"
    shell:
        "python scripts/index.py --notebook {input.notebook:q} --studies {params.studies:q} --results {params.results:q}"
        " --cases {input.cases:q}"
        " --reports {params.reports:q} --out {output.page:q} 2> {log:q}"


rule index:
    """The page that links everything."""
    input:
        page=rules.overview.output.page,
        reports=expand(rules.render.output, study=REPORTED),
    output:
        index=report(
            f"{RESULTS}/index.html",
            caption="../report/overview.rst",
            category="overview",
            subcategory="report",
            labels={"what": "overview, as a page"},
        ),
    log:
        f"{RESULTS}/index.copy.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    message:
        "index page: {output.index}"
    shell:
        "cp {input.page:q} {output.index:q} 2> {log:q}"
