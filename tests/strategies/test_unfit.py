"""What a strategy can't do is known from what its file and the model's say, and what they say is true."""

import pytest
import torch

import kinds
import tiny
from frugal import registry
from frugal.errors import FrugalError
from frugal.libraries import BUILT
from frugal.sparse.convert import sparsify
from frugal.sparse.pattern import parse_pattern
from frugal.strategies.base import Strategy
from frugal.unfit import NEEDS, UNKNOWN, Ground, Unfit, needs, why_unfit

SHAPES = {"image": (3, 32, 32), "text": (40,), "table": (12,), "sound": (2000,)}
WIDTHS = [
    use for use in registry.names("model") if registry.widths(use) and registry.data_kind("model", use) != "sound"
]
IMAGES = [
    use
    for use in registry.names("model")
    if registry.data_kind("model", use) == "image" and use not in BUILT  # see tests/models/test_libraries.py
]


def ground(**changes):
    cnn = ("cnn", {"channels": [16, 32, 64, 128]})
    return Ground(**{"kind": "image", "task": "classification", "model": cnn, "followed": UNKNOWN, **changes})


def parameters(use, **given):
    return registry.check("strategy", use, given, "here")


def built(use, **changes):
    """A model with defaults but for these."""
    kind = registry.data_kind("model", use)
    vocabulary = (100,) if kind == "text" else ()
    return registry.load("model", use).build(SHAPES[kind], 4, *vocabulary, **changes)


@pytest.mark.parametrize("use", registry.names("strategy"))
def test_needs_are_known_ones_and_the_same_before_and_in_a_run(use):
    assert set(registry.needs(use)) <= set(NEEDS)
    given = {"parts": [{"use": "full"}, {"use": "infobatch"}]} if use == "combined" else {}
    given |= {p.name: 4 for p in registry.parameters("strategy", use).values() if p.required and p.is_level}
    list(needs(use, parameters(use, **given)))
    module = registry.load("strategy", use)
    made = next(
        c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Strategy) and c is not Strategy
    )
    assert (made.reads, made.single_device) == (registry.reads(use), registry.single_device(use)) or use == "combined"


@pytest.mark.parametrize("use", IMAGES)
def test_a_model_takes_smaller_images_unless_it_says_that_it_does_not(use):
    net = built(use).eval()
    assert net(torch.ones(2, 3, 32, 32)).shape == (2, 4)
    if registry.one_size(use):
        with pytest.raises((FrugalError, RuntimeError)):
            net(torch.ones(2, 3, 16, 16))
    else:
        assert net(torch.ones(2, 3, 16, 16)).shape == (2, 4)


@pytest.mark.parametrize("use", WIDTHS)
def test_blocks_that_are_refused_before_a_run_are_refused_in_it(use):
    for name in registry.widths(use):
        default = registry.parameters("model", use)[name].default
        uneven = [8, *(6 for _ in default[1:])] if isinstance(default, list) else 6
        others = {"heads": 2} if "heads" in registry.parameters("model", use) else {}
        all_of_it = {p.name: p.default for p in registry.parameters("model", use).values()} | others | {name: uneven}
        sparse = parameters("sparse", pattern="block-4x4")
        why = why_unfit("sparse", sparse, ground(model=(use, all_of_it)))
        assert f"whose {name} is {uneven}" in why
        with pytest.raises(FrugalError, match="don't tile"):
            sparsify(built(use, **others, **{name: uneven}), parse_pattern("block-4x4"), 0.5, torch.Generator())
        assert why_unfit("sparse", sparse | {"skip": ["*"]}, ground(model=(use, all_of_it))) is None
        assert why_unfit("sparse", parameters("sparse"), ground(model=(use, all_of_it))) is None


@pytest.mark.parametrize("use", WIDTHS)
def test_a_fitting_block_is_not_refused_before_a_run(use):
    defaults = {p.name: p.default for p in registry.parameters("model", use).values()}
    assert why_unfit("rigl", parameters("rigl", pattern="block-4x4"), ground(model=(use, defaults))) is None


SPECTRAL = {"k_hi": 4, "decode": "spectral"}


@pytest.mark.parametrize(
    ("use", "given", "where", "says"),
    [
        ("narrow", {}, {"model": ("bert", {})}, "model bert can't be made narrower: its file names no WIDTHS; choose"),
        ("compression", SPECTRAL, {"model": ("cnn_fc", {})}, "model cnn_fc takes images of one size only"),
        ("ast", {"scoring": "half"}, {"model": ("cnn_fc", {})}, "model cnn_fc takes images of one size only"),
        ("ast", {"scoring": "half"}, {"kind": "text"}, "works on images only (scoring half shrinks them)"),
        ("compression", {"k_hi": 4}, {"kind": "sound"}, "works on images only (it reads DCT coefficients)"),
        ("ast", {}, {"task": "transcription"}, "needs classes (it judges logits of classes)"),
        ("ast", {}, {"devices": 2}, "ast can't be shared by 2 devices; set devices: 1"),
        ("selective_backprop", {}, {"devices": 2}, "selective_backprop can't be shared by 2 devices; set devices: 1"),
        ("gradient_norm", {}, {"task": "transcription"}, "needs classes (it judges logits of classes)"),
        ("selective_backprop", {"scoring": "half"}, {"model": ("cnn_fc", {})}, "takes images of one size only"),
        (
            "ies",
            {},
            {"epochs": 5},
            "leaves nothing out in the first 5, and the run has 5; train for more, or lower its window",
        ),
        ("compression", {"k_hi": 4}, {"residency": "files"}, "set residency: auto"),
        ("layer_drop", {}, {}, "model cnn has none that can be left out; choose one that has: resnet, transformer"),
        ("freeze", {}, {"average": True}, "an average over the training would move them; leave recipe.average out"),
        ("random_subset", {}, {"followed": None}, "name that strategy with `follows:`"),
        (
            "static_scores",
            {},
            {"followed": None},
            "static_scores chooses samples by the scores of another run; name that strategy with `follows:`",
        ),
        ("proxy_filter", {}, {"followed": ("infobatch", {})}, "and infobatch, which it follows, has no scores; follow"),
        ("rho", {}, {"followed": ("combined", {"parts": [{"use": "proxy"}, {"use": "full"}]})}, "has no scores"),
        ("rho", {}, {"devices": 2}, "rho can't be shared by 2 devices"),
        ("held_out_loss", {"half": "second"}, {"followed": None}, "name that strategy with `follows:`"),
        ("error_norm", {}, {"task": "transcription"}, "needs classes (it compares logits with classes)"),
        ("proxy", {}, {"model": ("bert", {})}, "model bert can't be made narrower"),
        (
            "narrow_as",
            {},
            {"followed": ("infobatch", {})},
            "infobatch, which it follows, has no widths; follow another",
        ),
        (
            "compression",
            {"k_hi": 4, "rule": "random"},
            {"followed": ("full", {})},
            "full, which it follows, has no shares",
        ),
        ("sparse", {"pattern": "semi-structured-2-4"}, {"device": "cpu"}, "and device is cpu"),
        ("token_drop", {}, {}, "model cnn has no layers of tokens; choose transformer, bert or vit"),
        (
            "token_drop",
            {},
            {"model": ("transformer", {"layers": 2})},
            "model transformer has 2 of them here; set layers",
        ),
        (
            "patch_drop",
            {},
            {"model": ("transformer", {"layers": 6})},
            "model transformer has none that can be left out; choose one with `use: vit`",
        ),
        ("compression", {**SPECTRAL, "k_hi": 6}, {"model": ("vit", {"patch": 4}), "size": 8}, "here 6 pixels per side"),
        (
            "ast",
            {"scoring": "half"},
            {"model": ("vit", {"patch": 4}), "size": 28},
            "4x4 patches of model vit don't tile",
        ),
        (
            "combined",
            {"parts": [{"use": "infobatch"}, {"use": "compression", **SPECTRAL}]},
            {"model": ("cnn_fc", {})},
            "model cnn_fc takes images of one size only",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(use, given, where, says):
    why = why_unfit(use, parameters(use, **given), ground(**where))
    assert says in why
    assert "\n" not in why


@pytest.mark.parametrize(
    ("use", "given", "where"),
    [
        ("compression", {"k_hi": 4}, {"model": ("cnn_fc", {})}),
        ("ast", {}, {"model": ("cnn_fc", {}), "kind": "text"}),
        ("combined", {"parts": [{"use": "infobatch"}, {"use": "sparse"}]}, {"task": "transcription"}),
        ("narrow_as", {}, {"followed": ("dynamic_pruning", {}), "model": ("bert", {})}),
        ("full", {}, {"followed": None}),
        ("held_out_loss", {}, {"followed": None, "devices": 2}),
        ("static_scores", {}, {"followed": ("proxy", {}), "devices": 2, "task": "transcription"}),
        ("ies", {}, {"epochs": 6, "devices": 2, "task": "transcription"}),
        ("rs2", {}, {"epochs": 1, "devices": 2, "task": "transcription"}),
        ("token_drop", {}, {"model": ("bert", {"layers": None}), "kind": "text"}),
        ("compression", {**SPECTRAL, "k_lo": 4, "k_hi": 8}, {"model": ("vit", {"patch": 4}), "size": 8}),
        ("ast", {"scoring": "half"}, {"model": ("vit", {"patch": 7}), "size": 28}),
    ],
)
def test_what_fits_is_not_refused(use, given, where):
    assert why_unfit(use, parameters(use, **given), ground(**where)) is None


def test_parts_of_a_run_that_was_not_planned_have_their_defaults():
    parts = [{"use": "infobatch"}, {"use": "compression", "k_hi": 4}]
    assert why_unfit("combined", {"parts": parts}, ground()) is None
    assert "works on images only" in why_unfit("combined", {"parts": parts}, ground(kind="sound"))


def test_a_run_that_was_not_planned_is_refused_by_the_same_line(digits):
    run = tiny.spec("compression", k_hi=4, decode="spectral")
    fixed = run.model_copy(update={"model": run.model.model_copy(update={"use": "cnn_fc", "parameters": {}})})
    with pytest.raises(FrugalError, match="takes images of one size only"):
        tiny.trainer(digits, fixed)


def planned(tmp_path, strategies, **more):
    tasks = [{"dataset": "digits", "model": "cnn-fc-small"}, {"dataset": "digits", "model": "cnn-tiny"}]
    return kinds.plan_of(tmp_path, {"tasks": tasks, **more}, {"full": {"use": "full"}, **strategies})


SMALLER = {"use": "compression", "k_hi": 4, "decode": "spectral"}


def test_the_plan_refuses_in_one_line_or_goes_on_without(tmp_path):
    with pytest.raises(Unfit) as error:
        planned(tmp_path / "refused", {"smaller": SMALLER})
    line = str(error.value)
    assert "mixed.yaml: strategies.smaller: can't be trained on digits/cnn-fc-small: decode: spectral trains on" in line
    assert line.endswith("; or leave it out there with skip: true, or --config unfit=skip")
    assert "\n" not in line
    strategies = {"smaller": {**SMALLER, "skip": True}, "control": {"use": "random_subset", "follows": "smaller"}}
    study = planned(tmp_path / "skipped", strategies).studies["mixed"]
    out = {one.strategy: one for one in study.skipped}
    assert {(one.model, one.strategy) for one in study.skipped} == {
        ("cnn-fc-small", name) for name in ("smaller", "control")
    }
    assert out["control"].why == "it follows smaller, which is left out"
    assert out["smaller"].why.startswith("can't be trained on digits/cnn-fc-small: decode: spectral")
    assert {cell[1:] for cell, _ in study.runs()} == {
        ("cnn-fc-small", "full"),
        *(("cnn-tiny", name) for name in ("full", "smaller", "control")),
    }


def test_a_pair_may_be_for_some_strategies_only(tmp_path):
    strategies = {
        "full": {"use": "full"},
        "smaller": SMALLER,
        "control": {"use": "random_subset", "follows": "smaller"},
    }

    def plan(of, own):
        tasks = [{"dataset": "digits", "model": "cnn-tiny"}, {"dataset": "digits", "model": "cnn-fc-small"}]
        tasks[1]["strategies"] = own
        return kinds.plan_of(tmp_path / of, {"tasks": tasks}, strategies).studies["mixed"]

    study = plan("some", ["full"])  # smaller doesn't fit cnn-fc-small, and isn't asked for there
    assert study.skipped == []
    assert {cell[1:] for cell, _ in study.runs()} == {
        *(("cnn-tiny", name) for name in strategies),
        ("cnn-fc-small", "full"),
    }
    for own, said in [
        (["smaller"], "lacks the baseline 'full'"),
        (["full", "smallr"], "unknown strategy 'smallr'; did you mean smaller"),
        (["full", "control"], "control follows smaller, which its strategies lack; add it"),
        (["full", "full"], "lists the strategy full 2 times"),
    ]:
        with pytest.raises(FrugalError, match=said) as refused:
            plan("-".join(own), own)
        assert "tasks, digits/cnn-fc-small: " in str(refused.value)


def test_a_baseline_that_does_not_fit_is_never_left_out(tmp_path):
    with pytest.raises(Unfit, match="it is the baseline, without which nothing can be compared"):
        kinds.plan_of(
            tmp_path,
            {"datasets": ["digits"], "models": ["cnn-fc-small"]},
            {"full": {**SMALLER, "skip": True}},
        )


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ({"use": "compression", "k_hi": 3, "k_lo": 4}, "k_lo is 4 and k_hi 3; k_lo can't exceed k_hi"),
        ({"use": "dynamic_pruning", "warmup": 0.9}, "warmup is 0.9 and until"),
        ({"use": "sparse", "pattern": "blocks"}, "pattern is 'blocks'; choose random, block-BxB"),
        ({"use": "sparse", "pattern": "block-4x8"}, "pattern is 'block-4x8'; choose random, block-BxB"),
        (
            {"use": "rigl", "pattern": "semi-structured-2-4"},
            "pattern is 'semi-structured-2-4'; choose random, block-BxB",
        ),
        (
            {"use": "random_subset", "follows": "full", "recipe": {"epochs": 3}},
            "it has 3 epochs and full, which it follows",
        ),
        ({"use": "full", "recipe": {"compile": "graphs"}}, ""),
    ],
)
def test_parameters_that_contradict_are_refused_before_any_job(tmp_path, strategy, says):
    if not says:
        planned(tmp_path, {"other": strategy})  # the device may turn out to be a GPU
        return
    with pytest.raises(FrugalError) as error:
        planned(tmp_path, {"other": strategy})
    assert says in str(error.value)


def test_layers_that_stay_dense_are_still_a_parameter(tmp_path):
    plan = planned(tmp_path, {"sparse": {"use": "sparse", "skip": ["head"]}})
    assert plan.run("mixed", "digits", "cnn-tiny", "sparse", 0).strategy.parameters["skip"] == ["head"]
