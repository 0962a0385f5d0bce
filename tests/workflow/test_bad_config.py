"""Whatever is wrong in a config, one line says what, where and what to do, before any job starts."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

import tiny
from frugal.config_checks import prepared_samples
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.spec import DatasetSpec
from workflow.conftest import Workflow

FOLDER = Path(__file__).parents[2] / "config"
DEMO = "studies/compression.yaml: scales.demo with the override"


def plan(**changes):
    config = yaml.safe_load((FOLDER / "config.yaml").read_text())
    return Plan({**config, "studies": ["compression"], **changes}, FOLDER)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"devce": "cpu"}, "config.yaml: unknown key 'devce'; did you mean device?"),
        ({"scale": "standart"}, "config.yaml: unknown scale 'standart'; did you mean standard?"),
        ({"studies": ["compresion"]}, "config.yaml: unknown study 'compresion'; did you mean compression?"),
        ({"results": f"{__file__}/x"}, "test_bad_config.py is a file; choose another with --config results=<folder>"),
        ({"caches": f"{__file__}/x"}, "test_bad_config.py is a file; choose another with --config caches=<folder>"),
        ({"results": "out/{a}"}, "what stands in braces as a wildcard; choose a path without them"),
        ({"device": "tpu"}, "config.yaml: device is 'tpu'"),
        ({"override": {"recipe": {"epoch": 1}}}, f"{DEMO}: unknown key 'recipe.epoch'; did you mean epochs?"),
        (
            {"override": {"recipe": {"epochs": 0}}},
            f"{DEMO}: recipe.epochs is 0; input should be greater than 0",
        ),
        (
            {"override": {"recipe": {"epochs": "many"}}},
            f"{DEMO}: recipe.epochs is 'many'; input should be a valid integer",
        ),
        (
            {"override": {"strategies": ["full", "fixed-61"]}},
            f"{DEMO}: unknown strategy 'fixed-61'; did you mean fixed-16?",
        ),
        ({"override": {"strategies": ["fixed-16"]}}, f"{DEMO}: strategies lacks the baseline 'full'"),
        ({"override": {"datasets": ["mnits"]}}, f"{DEMO}: unknown data set 'mnits'; did you mean mnist?"),
        ({"override": {"models": ["resnet"]}}, f"{DEMO}: unknown model 'resnet'; did you mean resnet-8?"),
        (
            {"override": {"datasets": ["breast-cancer"]}},
            "model cnn-tiny takes image data, breast-cancer is table; choose one that takes it (mlp, mlp-dropout), or",
        ),
        (
            {"studies": ["cross"], "scale": "cpu", "override": {"datasets": ["titanik"]}},
            "scales.cpu with the override: no entry of tasks has the dataset 'titanik'; did you mean titanic?",
        ),
        (
            {"studies": ["cross"], "scale": "cpu", "override": {"tasks": ["titanic"], "datasets": ["titanic"]}},
            "scales.cpu with the override: tasks.0 is 'titanic'; input should be a section with keys of dataset, model,",
        ),
        (
            {"studies": ["cross"], "scale": "cpu", "override": {"strategies": ["full", "rigl-50"]}},
            "scales.cpu with the override: no entry of tasks trains the strategy 'rigl-50'",
        ),
        (
            {"override": {"recipe": {"augment": {"crop_padding": 8, "padding": "reflect"}}}},
            "crop_padding is 8, and images of 8x8 can't be reflected by as much",
        ),
        ({"override": {"datasets": "mnist"}}, f"{DEMO}: datasets is 'mnist'; input should be a valid list: [mnist]"),
        (
            {"override": {"recipe": {"average": 3}}},
            "recipe.average is 3; input should be a section with keys of every, decay",
        ),
        ({"override": {"budgets": [0]}}, f"{DEMO}: budgets.0 is 0; input should be greater than 0"),
        ({"override": {"budgets": [0.5, 1, 0.5]}}, f"{DEMO}: the budget 0.5 of full is given twice; name it once"),
        ({"override": {"seeds": []}}, f"{DEMO}: seeds is []; give a number of at least 1 or a list"),
        ({"override": {"seeds": [1, 1]}}, f"{DEMO}: seeds lists the seed 1 2 times; name it once"),
        ({"override": {"seeds": [0, -1]}}, f"{DEMO}: seeds lists -1; a seed is a whole number from 0 to"),
        ({"override": {"seeds": "many"}}, f"{DEMO}: seeds is 'many'; input should be a valid integer"),
        ({"override": {"strategies": []}}, f"{DEMO}: strategies is []; name at least one strategy"),
        ({"override": {"datasets": []}}, f"{DEMO}: datasets is []; name at least one data set"),
        ({"override": {"models": []}}, f"{DEMO}: models is []; name at least one model"),
        ({"override": {"strategies": ["full", "full"]}}, f"{DEMO}: strategies lists the strategy full 2 times"),
        ({"override": {"seeds": 3_000_000}}, f"{DEMO}: seeds is 3,000,000; give a number of at most 10,000, or a list"),
        ({"override": {"datasets": ["digits"] * 2}}, f"{DEMO}: datasets lists the data set digits 2 times"),
        ({"override": {"models": ["cnn-tiny"] * 2}}, f"{DEMO}: models lists the model cnn-tiny 2 times"),
        (
            {
                "override": {
                    "datasets": None,
                    "models": None,
                    "tasks": [{"dataset": "digits", "model": "cnn-tiny"}] * 2,
                }
            },
            f"{DEMO}: datasets is None; input should be a valid list",
        ),
        (
            {"override": {"strategies": ["full", "random-4-16"]}},
            f"{DEMO}: random-4-16 follows ema-4-16, which is not among the strategies; add it",
        ),
        ({"override": "{seeds: 5"}, "config.yaml: override is '{seeds: 5'; it must be a mapping in YAML"),
        ({"override": {"recipes": {}}}, f"{DEMO}: unknown key 'recipes'; did you mean recipe?"),
        ({"studies": []}, "config.yaml: studies is []; name at least one study"),
        ({"studies": ["compression"] * 2}, "config.yaml: studies lists the study compression 2 times"),
        ({"results": ""}, "config.yaml: results is ''; give the name of a folder"),
        ({"data": "~nobody-here/x"}, "config.yaml: data is '~nobody-here/x'; there is no user 'nobody-here'"),
        (
            {"override": {"levels_for": "null"}},  # as Snakemake hands over what a command line says
            "k_hi is 16 coefficients per axis, but images of digits have 8; choose 1 to 8",
        ),
        (
            {"override": {"levels_for": None}},
            "k_hi is 16 coefficients per axis, but images of digits have 8; choose 1 to 8",
        ),
    ],
)
def test_a_bad_config_is_refused_in_one_line(changes, line):
    with pytest.raises(FrugalError) as error:
        plan(**changes)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("use: compression", "use: compresion", "unknown strategy 'compresion'; did you mean compression?"),
        (
            "threshold: 0.5",
            "treshold: 0.5",
            "strategies.threshold-4-16: strategy compression has no parameter 'treshold'; did you",
        ),
        ("rule: median", "rule: mean", "rule is 'mean'; input should be 'median', 'fixed', 'ema' or 'random'"),
        (
            "follows: ema-4-16",
            "follows: ema",
            "strategies.random-4-16: follows unknown strategy 'ema'; ",
        ),
        ("k_hi: 16", "", "strategy compression needs the parameter 'k_hi' (Level)"),
        ("margin: 0.005", "margin: [", "compression.yaml: not valid YAML"),
        ("[fixed-16, fixed-8, fixed-4]", "[fixed-61]", "groups.Fixed level: unknown strategy 'fixed-61'; did you mean"),
        (
            "ema-6-12, random-4-16, short-as-ema-4-16]",
            "fixed-8]",
            "groups.Moving average, its controls: 'fixed-8' is already in the group",
        ),
        ("cost: bytes_read", "cost: bytes", "compression.yaml: cost is 'bytes'; input should be 'bytes_read'"),
        ("baseline: full", "baseline: fulll", "unknown strategy 'fulll'; did you mean full?"),
    ],
)
def test_a_bad_study_is_refused_in_one_line(tmp_path, before, after, line):
    folder = tmp_path / "config"
    (folder / "studies").mkdir(parents=True)
    for file in ("config.yaml", "datasets.yaml", "models.yaml"):
        (folder / file).write_text((FOLDER / file).read_text())
    study = (FOLDER / "studies/compression.yaml").read_text()
    assert before in study
    (folder / "studies/compression.yaml").write_text(study.replace(before, after))
    with pytest.raises(FrugalError) as error:
        Plan(yaml.safe_load((folder / "config.yaml").read_text()), folder)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_budgets_are_runs_of_their_own_with_their_share_of_the_epochs():
    cross = plan(studies=["cross"], override={"budgets": [0.125, 0.5], "seeds": 2, "recipe": {"epochs": 10}})
    study = cross.studies["cross"]
    assert study.budgets == {"full": {"full@0.125": 0.125, "full@0.5": 0.5, "full": 1.0}}
    assert study.shortened == {"full@0.125": "full", "full@0.5": "full"}
    assert len(list(study.runs())) == (len(study.strategies) + 2) * 2
    short, whole = (cross.run("cross", "digits", "cnn-tiny", name, 1) for name in ("full@0.125", "full"))
    assert (short.recipe.epochs, whole.recipe.epochs) == (1.25, 10)
    assert short.path.endswith("full@0.125/seed-1")
    assert short.model_copy(update={"recipe": whole.recipe, "strategy": whole.strategy}) == whole


def test_the_baseline_may_have_more_seeds_than_what_is_held_against_it():
    def counts(**override):
        runs = (
            plan(studies=["cross"], override={"strategies": ["full", "narrow"], "grouped": False, **override})
            .studies["cross"]
            .runs()
        )
        return Counter(cell.strategy for cell, _ in runs)

    assert counts(seeds=2, baseline_seeds=5, budgets=[0.5]) == {"full": 5, "full@0.5": 5, "narrow": 2}
    assert counts(seeds=[3], baseline_seeds=[3, 4], budgets=[]) == {"full": 2, "narrow": 1}
    with pytest.raises(FrugalError, match="baseline_seeds lacks the seed 2, in which others are compared"):
        counts(seeds=3, baseline_seeds=2)
    strong = {"scale": "strong", "studies": ["cross"]}
    assert {seed for _, seed in plan(**strong, override={"seeds": 2}).studies["cross"].runs()} == {0, 1}
    with pytest.raises(FrugalError, match="grouped trains the same seeds of everything, so leave baseline_seeds out"):
        plan(scale="mnist", studies=["cross"], override={"baseline_seeds": 12})


def test_budgets_of_a_strategy_are_followed_by_those_of_its_control(tmp_path):
    def planned(budgets, override=None):
        shutil.copytree(FOLDER, tmp_path / budgets, dirs_exist_ok=True)
        file = tmp_path / budgets / "studies/infobatch.yaml"
        text = file.read_text().replace("  infobatch:\n    use", "  infobatch:\n    budgets: [0.5]\n    use")
        file.write_text(text.replace("    use: random_subset\n", f"    use: random_subset\n    budgets: [{budgets}]\n"))
        config = yaml.safe_load((FOLDER / "config.yaml").read_text()) | {"studies": ["infobatch"]}
        return Plan(config | {"override": override or {}}, tmp_path / budgets)

    spec = planned("0.5").run("infobatch", "digits", "cnn-tiny", "random-subset@0.5", 0)
    assert spec.strategy.follows == "infobatch@0.5"
    with pytest.raises(
        FrugalError, match=r"random-subset has the budget 0.25 and infobatch, which it follows, has not"
    ):
        planned("0.25")
    with pytest.raises(
        FrugalError, match=r"repeats what infobatch@0.5 did in each epoch, and its 0.5 epochs end within"
    ):
        planned("0.5", {"recipe": {"epochs": 1}})


def test_a_misspelled_key_is_unknown_before_it_is_missing(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "config")
    file = tmp_path / "config/datasets.yaml"
    file.write_text(re.sub("classes: 10", "clases: 3", file.read_text(), count=1))
    with pytest.raises(FrugalError, match="unknown key 'clases'; did you mean classes?"):
        Plan(yaml.safe_load((FOLDER / "config.yaml").read_text()), tmp_path / "config")


def test_a_control_that_follows_itself_is_refused(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "config")
    file = tmp_path / "config/studies/compression.yaml"
    file.write_text(file.read_text().replace("follows: ema-4-16", "follows: random-4-16"))
    with pytest.raises(FrugalError, match="random-4-16 follows random-4-16; a control follows"):
        Plan(yaml.safe_load((FOLDER / "config.yaml").read_text()), tmp_path / "config")


@pytest.mark.parametrize("key", ["results", "caches", "data", "scratch"])
def test_a_path_is_the_one_that_is_meant(key, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert getattr(plan(**{key: "~/out//"}).config, key) == f"{tmp_path}/out"
    assert getattr(plan(**{key: "./here/"}).config, key) == "here"
    assert getattr(plan(**{key: "$TMPDIR/x"}).config, key) == "$TMPDIR/x"


def test_a_batch_larger_than_the_prepared_training_set_is_refused_at_planning(tmp_path):
    there = tiny.write_digits(tmp_path / "demo/digits")
    small = {"override": {"recipe": {"batch_size": 301}}, "caches": str(tmp_path)}
    made = json.loads(there.read_text())
    plan(**small)  # of another split: that cache will be made anew
    made["splits"]["validation"] = plan().datasets["digits"].validation
    there.write_text(json.dumps(made))
    with pytest.raises(
        FrugalError, match="recipe.batch_size 301, and the training set of digits holds 300 samples; lower"
    ):
        plan(**small)
    plan(**small | {"override": {"recipe": {"batch_size": 300}}})


@pytest.mark.parametrize(("share", "known"), [(0.1, 33), (0.2, None)])
def test_how_many_samples_a_cache_holds_is_known_where_a_share_was_split_off(tmp_path, share, known):
    splits = {"train": 33, "validation": 5, "test": 9}  # a share of each of five classes, each at least one
    made = {"source": "arrays", "shape": [3], "classes": 5, "splits": splits, "entry": {"validation": 0.1}}
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    described = DatasetSpec(name="mine", source="arrays", options={"path": "a.npz"}, validation=share)
    assert prepared_samples(tmp_path, described) == known


@pytest.mark.parametrize(
    ("file", "content", "option", "line"),
    [
        (
            "config/config.yaml",
            b"scale: demo\nresults: a\nscale: cpu\n",
            (),
            "'scale' is given twice, in lines 1 and 3",
        ),
        ("config/config.yaml", b"scale: demo # f\xfcr uns\n", (), "line 1 has the byte 0xfc, which is not UTF-8"),
        (
            "mine.yaml",
            b"scale: demo\nscale: cpu\n",
            ("--configfile", "mine.yaml"),
            "mine.yaml: the key 'scale' is given",
        ),
    ],
)
def test_snakemake_refuses_a_config_file_that_it_would_misread(tmp_path, file, content, option, line):
    workflow = Workflow(tmp_path / "checkout")
    (workflow.folder / file).write_bytes(content)
    done = workflow.snakemake("-n", *option, config=())
    assert done.returncode != 0
    assert line in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_snakemake_stops_before_any_job_and_says_why(fresh):
    done = fresh.snakemake(config=("scale=huge",))
    assert done.returncode != 0
    assert (
        "unknown scale 'huge'; there are: demo, own, mnist, cpu, strong, standard, published"
        in done.stdout + done.stderr
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert not (fresh.folder / "results" / "huge").exists()


def test_a_task_has_a_recipe_of_its_own(tmp_path):
    plan = Plan({**yaml.safe_load((FOLDER / "config.yaml").read_text()), "scale": "cpu", "studies": ["ast"]}, FOLDER)
    assert plan.studies["ast"].pairs == [("cifar-10", "resnet-8"), ("imagenette-64", "resnet-8")]
    small, large = (plan.run("ast", name, "resnet-8", "full", 0).recipe for name in ("imagenette-64", "cifar-10"))
    assert (small.epochs, small.augment.crop_padding, small.augment.flip) == (30, 8, True)
    assert (large.epochs, large.augment.crop_padding) == (6, 4)
    assert plan.studies["ast"].target("imagenette-64", "resnet-8") == 0.5
