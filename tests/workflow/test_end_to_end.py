"""The small study as the finished workflow left it."""

import csv
import json


def rows(file):
    with open(file, newline="") as text:
        return list(csv.DictReader(text))


def test_every_bytes_figure_is_the_sum_over_samples_of_their_levels(finished):
    runs = finished.folder / "results/demo/runs/compression/digits/cnn-tiny"
    for strategy in ("fixed-16", "ema-4-16", "random-4-16"):
        record = runs / strategy / "seed-0"
        read = 0
        for epoch in rows(record / "history.csv"):
            shares = {int(k.removeprefix("share_k")): float(v) for k, v in epoch.items() if k.startswith("share_k")}
            expected = sum(round(share * float(epoch["samples"])) * level**2 for level, share in shares.items())
            assert int(epoch["bytes_read"]) == expected
            read += expected
        assert json.loads((record / "metrics.json").read_text())["bytes_read"] == read


def test_a_control_reads_exactly_what_the_run_it_follows_read(finished):
    runs = finished.folder / "results/demo/runs/compression/digits/cnn-tiny"
    follower, followed = (rows(runs / name / "seed-0" / "history.csv") for name in ("random-4-16", "ema-4-16"))
    assert [row["bytes_read"] for row in follower] == [row["bytes_read"] for row in followed]
    assert [row["train_loss"] for row in follower] != [row["train_loss"] for row in followed]


def test_a_record_says_where_it_comes_from(finished):
    record = finished.folder / "results/demo/runs/compression/digits/cnn-tiny/full/seed-0"
    manifest, metrics = (json.loads((record / name).read_text()) for name in ("manifest.json", "metrics.json"))
    assert manifest["fingerprint"] == metrics["fingerprint"]
    assert manifest["spec"]["recipe"]["epochs"] == metrics["epochs"] == 2
    assert "frugal/strategies/full.py" in manifest["code"]
    assert not any("report" in file or "compression" in file for file in manifest["code"])
    assert manifest["notes"][0].startswith("device auto: runs on")
    assert metrics["energy_joules"] is None or metrics["energy_joules"] > 0
    assert metrics["energy_source"]


def test_the_last_line_says_which_page_to_open_also_where_nothing_is_due(finished):
    assert finished.told.splitlines()[-1] == "open results/demo/index.html"
    again = finished.snakemake("-n")
    assert "up to date). Open results/demo/index.html" in again.stdout + again.stderr
    table = finished.snakemake("-n", "results/demo/tables/compression/runs.csv")
    assert "Nothing to be done" in table.stdout + table.stderr
    assert "Open" not in table.stdout + table.stderr


def test_the_index_links_what_is_there(finished):
    results = finished.folder / "results/demo"
    page = (results / "index.html").read_text()
    tables = [f"tables/compression/{name}" for name in ("summary.csv", "summary.tex", "datapackage.json")]
    for link in ("reports/compression.html", *tables):
        assert f'href="{link}"' in page
        assert (results / link).stat().st_size > 0
    assert 'src="http' not in page
    report = (results / "reports/compression.html").read_text()
    assert 'href="compression.ipynb"' in report
    assert 'href="http' not in report.split("</head>")[0]
