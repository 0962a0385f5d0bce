"""Nets of libraries by name: what planning accepts is trained, what it refuses is refused in one line."""

import sys

import pytest
import torch
from torchvision import models as published

import fits
import kinds
import tiny
from frugal import libraries, registry
from frugal.data.cache import open_cache
from frugal.data.prepare import prepare
from frugal.errors import FrugalError
from frugal.plan import Plan
from models import named


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """A few digits of 32 pixels per side, and a few texts of 40 tokens."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiny, "SAMPLES", {"train": 60, "validation": 20, "test": 20})
        images = tiny.write_digits(folder / "digits", named.SIDE // 8)
    few = {"options": {"train_samples": 80, "test_samples": 20}, "validation": 20}
    texts = prepare(kinds.dataset("text") | few, folder, folder / "downloads", None)
    return {"image": open_cache(images), "text": open_cache(texts)}


def built(use, shape, classes=4, vocabulary=None, **parameters):
    """A model as a job builds it."""
    tokens = (vocabulary,) if use == "transformers" else ()
    checked = registry.check("model", use, parameters, "here")
    return registry.load("model", use).build(shape, classes, *tokens, **checked)


# Every strategy was tried on every one of these nets; what is tried in each run of the tests is one of a kind.
ACCEPTED = [
    ("MobileNetV3", "infobatch"),
    ("ConvNeXt", "sparse"),
    ("ViT", "dynamic_pruning"),
    ("DistilBERT", "token_drop"),
    ("BERT", "freeze"),
]
REFUSED = [
    ("MobileNetV3", "layer_drop"),
    ("ConvNeXt", "frequency_curriculum"),
    ("ViT", "compression"),
    ("ViT", "patch_drop"),
    ("DistilBERT", "compression"),
    ("BERT", "narrow"),
]


@pytest.mark.parametrize(("net", "use"), ACCEPTED)
def test_what_planning_accepts_trains(caches, net, use):
    assert named.planned(net, use) is None
    cache = caches[named.NETS[net][0]]
    trainer = tiny.trainer(cache, named.spec(cache, net, use))
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.run()
    after = list(trainer.model.parameters())
    assert trainer.ledger.steps > 0
    assert torch.isfinite(torch.tensor(trainer.history.rows[-1]["train_loss"]))
    moved = [old.shape != new.shape or not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert sum(moved) > len(moved) / 2
    if use == "dynamic_pruning":
        assert sum(p.numel() for p in after) < sum(p.numel() for p in before)


@pytest.mark.parametrize(("net", "use"), REFUSED)
def test_what_planning_refuses_is_refused_by_the_same_line(caches, net, use):
    why = named.planned(net, use)
    cache = caches[named.NETS[net][0]]
    with pytest.raises(FrugalError) as error:
        tiny.trainer(cache, named.spec(cache, net, use))
    assert str(error.value).endswith(why)
    assert "\n" not in why


def test_the_table_says_of_each_strategy_whether_it_fits_or_why_not(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fits", "mobilenet-v3-small", "vit-three-layers", "distilbert", "bert-tiny"])
    fits.main()
    lines = capsys.readouterr().out.splitlines()
    rows = {cells[1]: cells[2:] for line in lines if len(cells := [cell.strip() for cell in line.split("│")]) > 3}
    assert rows.keys() == set(registry.names("strategy"))
    assert rows["infobatch"][:4] == ["yes"] * 4
    assert [cell.partition(" ")[0] for cell in rows["token_drop"][:4]] == ["no", "yes", "yes", "no"]
    number = rows["token_drop"][3].removeprefix("no ")
    assert next(line for line in lines if line.startswith(number)).endswith("set layers to 3 or more")
    monkeypatch.setattr(sys, "argv", ["fits", "vit-tinyy"])
    with pytest.raises(FrugalError, match="did you mean vit-tiny"):
        fits.main()


@pytest.mark.parametrize("name", ["alexnet", "convnext_tiny", "squeezenet1_0", "squeezenet1_1", "swin_t", "vgg11"])
def test_the_least_size_of_a_family_is_the_least(name):
    least = registry.least_size("torchvision", {"name": name})
    with torch.device("meta"):
        net = published.get_model(name, num_classes=4).eval()
    assert net(torch.ones(2, 3, least, least, device="meta")).shape == (2, 4)
    with pytest.raises(RuntimeError):
        net(torch.ones(2, 3, least - 1, least - 1, device="meta"))


def test_nets_of_no_family_take_any_size():
    for name in ("mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5"):
        assert (
            registry.one_size("torchvision", {"name": name}),
            registry.least_size("torchvision", {"name": name}),
        ) == (False, 1)
        with torch.device("meta"):
            net = published.get_model(name, num_classes=4).eval()
        assert net(torch.ones(2, 3, 1, 1, device="meta")).shape == (2, 4)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "distilbert"])
def test_padding_changes_no_logit_and_layers_are_where_they_are_said_to_be(name):
    torch.manual_seed(0)
    small = named.NETS["DistilBERT"][2]["options"] if name == "distilbert" else named.SMALL
    net = built("transformers", (12,), 3, 50, name=name, options=small).eval()
    tokens = torch.randint(1, 50, (2, 12))
    tokens[1, 7:] = 0
    logits = net(tokens)
    assert logits.shape == (2, 3)
    assert torch.allclose(logits[1], net(tokens[1:, :7])[0], atol=1e-6)
    net.wide = False  # the mask as transformers documents it
    assert torch.allclose(net(tokens), logits, atol=1e-6)
    assert len(net.get_submodule(registry.token_layers("transformers", {"name": f"someone/{name}-base"}))) == 3


def test_channels_and_classes_are_those_of_the_data():
    torch.manual_seed(0)
    net = built("torchvision", (1, 32, 32), 7, **named.NETS["MobileNetV3"][2])
    assert net(torch.ones(2, 1, 32, 32)).shape == (2, 7)
    theirs = published.mobilenet_v3_small(width_mult=0.1).features[0][0].weight
    assert net.features[0][0].weight.std().item() == pytest.approx(theirs.std().item(), rel=0.3)


def test_weights_of_a_file_are_used_and_only_a_head_of_other_classes_is_new(tmp_path):
    own = published.mobilenet_v3_small(width_mult=0.1, num_classes=9)
    torch.save(own.state_dict(), tmp_path / "own.pth")
    given = named.NETS["MobileNetV3"][2] | {"pretrained": str(tmp_path / "own.pth")}
    net = built("torchvision", (3, 32, 32), 4, **given)
    for name, weight in own.state_dict().items():
        assert torch.equal(net.state_dict()[name], weight) or name.startswith("classifier.3.")
    assert net.classifier[3].out_features == 4
    assert torch.equal(built("torchvision", (3, 32, 32), 9, **given).classifier[3].weight, own.classifier[3].weight)
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    for shape, changed, message in (
        ((1, 32, 32), {}, "its weights know images of 3 channels, the data set's have 1; set `channels: 3`"),
        ((3, 32, 32), {"pretrained": str(tmp_path / "bad.pth")}, "bad.pth is no file of weights"),
        (
            (3, 32, 32),
            {"options": {"width_mult": 0.2}},
            "own.pth are not this model's: it lacks features.2.block.2.0.weight and 11 more",
        ),
    ):
        with pytest.raises(FrugalError, match=message):
            built("torchvision", shape, 4, **given | changed)


def test_weights_of_a_folder_are_used_and_only_a_head_of_other_classes_is_new(tmp_path):
    own = built("transformers", (12,), 3, 50, **named.NETS["BERT"][2]).net
    own.save_pretrained(tmp_path)
    net = built("transformers", (12,), 5, 50, name="bert", pretrained=str(tmp_path)).net
    assert type(net) is type(own)
    for name, weight in own.bert.state_dict().items():
        assert torch.equal(net.bert.state_dict()[name], weight)
    assert net.classifier.out_features == 5
    for vocabulary, length, options, message in (
        (60, 12, {}, "knows 50 tokens and the data set has 60, which are others; set `tokenizer:"),
        (50, 600, {}, "takes 512 tokens of a text at most"),
        (50, 12, {"hidden_size": 32}, "have in another shape|can't be had|no weights that can be read"),
    ):
        with pytest.raises(FrugalError, match=message):
            built("transformers", (length,), 5, vocabulary, name="bert", pretrained=str(tmp_path), options=options)


MOBILE = {"name": "mobilenet_v3_small"}


@pytest.mark.parametrize(
    ("use", "shape", "vocabulary", "parameters", "message"),
    [
        ("torchvision", (3, 32, 32), None, {"name": "resnet19"}, "no net 'resnet19' for images; did you mean resnet18"),
        ("torchvision", (3, 32, 32), None, {**MOBILE, "options": {"widthmult": 1}}, "no 'widthmult'; did you mean width_mult"),
        ("torchvision", (3, 32, 32), None, {**MOBILE, "options": {"num_classes": 1}}, "the data set decides num_classes"),
        ("torchvision", (3, 16, 16), None, {"name": "squeezenet1_1"}, "can't take samples of 3x16x16 .*choose larger images"),
        ("transformers", (12,), 50, {"name": "distillbert"}, "has no net 'distillbert' for texts; did you mean distilbert"),
        ("transformers", (12,), 50, {"name": "vit"}, "has no net 'vit' for texts; it is for other data"),
        ("transformers", (12,), 50, {"name": "bert", "options": {"hiden_size": 8}}, "no 'hiden_size'; did you mean hidden_size"),
        ("transformers", (12,), 50, {"name": "bert", "options": named.SMALL | {"num_attention_heads": 3}}, "can't be built so"),
        ("transformers", (12,), 50, {"name": "bert", "pretrained": True}, "that is a kind of net, without weights"),
        ("transformers", (12,), 50, {"name": "bert", "pretrained": "nowhere"}, "pretrained is 'nowhere', which is no folder"),
        ("transformers", (12,), 50, {"name": "nobody/bert", "pretrained": True}, "the weights 'nobody/bert' can't be had"),
        ("transformers", (12,), 50, {"name": "nobody/bert"}, "its configuration can't be had .*connect once"),
        ("transformers", (1, 32, 32), None, {"name": "vit", "options": named.SMALL | {"patch_size": 7}}, "7x7 pixels don't tile"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(use, shape, vocabulary, parameters, message):
    with pytest.raises(FrugalError, match=message) as error:
        built(use, shape, 4, vocabulary, **parameters)
    assert "\n" not in str(error.value)


def test_weights_that_cannot_be_downloaded_are_an_error(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        FrugalError, match="the weights of mobilenet_v3_small of torchvision can't be had: .*connect once"
    ):
        built("torchvision", (3, 32, 32), **MOBILE, pretrained=True)


def test_a_library_that_is_not_there_names_its_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "frugal.models.timm", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(FrugalError, match=r"nets of timm need timm: pip install 'frugal\[vision\]'"):
        registry.load("model", "timm")


def test_timm_builds_a_net_of_the_data_sets_channels_and_size():
    pytest.importorskip("timm", reason="timm isn't installed here, requirements.lock has it")
    torch.manual_seed(0)
    net = built(
        "timm", (1, 24, 24), name="vit_tiny_patch16_224", options={"depth": 3, "patch_size": 8, "embed_dim": 24}
    )
    assert net(torch.ones(2, 1, 24, 24)).shape == (2, 4)
    assert len(net.get_submodule(registry.token_layers("timm", {"name": "vit_tiny_patch16_224"}))) == 3
    small = {"name": "convnext_atto", "options": {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}}
    assert built("timm", (1, 32, 32), **small)(torch.ones(2, 1, 32, 32)).shape == (2, 4)
    for shape, parameters, message in (
        ((1, 31, 31), small, "can't take samples of 1x31x31"),
        (
            (3, 32, 32),
            {"name": "convnext_ato"},
            "timm has no net 'convnext_ato' for images; did you mean convnext_atto",
        ),
        ((1, 32, 32), small | {"pretrained": True}, "its weights know images of 3 channels"),
        ((3, 32, 32), small | {"options": {"depth": 3}}, "can't be built so"),
    ):
        with pytest.raises(FrugalError, match=message):
            built("timm", shape, **parameters)


def test_names_read_from_the_source_are_those_of_the_library():
    assert set(libraries.names("torchvision", "image")) == set(published.list_models(module=published))
    assert {"bert", "distilbert"} <= set(libraries.names("transformers", "text"))
    assert {"vit", "convnext"} <= set(libraries.names("transformers", "image"))


@pytest.mark.parametrize(
    ("dataset", "entry", "message"),
    [
        ("digits", "{use: torchvision, parameters: {name: resnet19}}", "own: .* no net 'resnet19' .*mean resnet18"),
        ("digits", "{use: torchvision, parameters: {name: vgg11}}", "images of 32 pixels per side or more, those of digits"),
        ("digits", "{use: torchvision, parameters: {name: resnet18, pretrained: no.pth}}", "neither a file .* of true, false"),
        ("digits", "{use: torchvision, parameters: {nam: vgg11}}", "has no parameter 'nam'; did you mean name"),
        ("digits", "{use: transformers, parameters: {name: bert}}", "no net 'bert' for images; it is for other data"),
        ("titanic", "{use: transformers, parameters: {name: bert}}", "takes text or image data, titanic is table"),
    ],
)  # fmt: skip
def test_planning_refuses_a_net_that_cannot_be_built(tmp_path, dataset, entry, message):
    kinds.plan_of(tmp_path, {"tasks": [{"dataset": "digits", "model": "cnn-tiny"}]})
    with open(tmp_path / "config/models.yaml", "a") as models:
        models.write(f"\nown: {entry}\n")
    study = tmp_path / "config/studies/mixed.yaml"
    study.write_text(study.read_text().replace("cnn-tiny", "own").replace("digits", dataset))
    with pytest.raises(FrugalError, match=message) as error:
        Plan({"studies": ["mixed"], "results": str(tmp_path)}, tmp_path / "config")
    assert "\n" not in str(error.value)
