"""A net starts from exactly the weights that were asked for, or says in one line why it can't; the choice is in the record."""

import hashlib
import json
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from frugal import registry
from frugal.errors import FrugalError
from frugal.models import pretrained, resnet
from frugal.models.pretrained import Published
from frugal.plan import Plan
from frugal.spec import ModelSpec, RunSpec
from frugal.training.setup import make_model

ROOT = Path(__file__).parents[2]
SMALL = {"depth": 8, "width": 4}
SHAPE = (3, 16, 16)


def small(classes=5, seed=0, **parameters):
    torch.manual_seed(seed)
    return resnet.build(SHAPE, classes, **SMALL, **parameters)


@pytest.fixture
def saved(tmp_path):
    """A small net of five classes and the file of its weights."""
    net, path = small(), tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    return net, path


def same(one, other, names):
    return all(torch.equal(one[name], other[name]) for name in names)


def as_safetensors(state, path):
    """The format as its authors describe it: 8 bytes of length, JSON, numbers."""
    header, content = {"__metadata__": {"format": "pt"}}, b""
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    for name, tensor in state.items():
        numbers = tensor.contiguous().numpy().tobytes()
        offsets = [len(content), len(content) + len(numbers)]
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        content += numbers
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_weights_gives_the_net_that_was_saved(saved, tmp_path, suffix):
    net, path = saved
    if suffix == "safetensors":
        path = as_safetensors(net.state_dict(), tmp_path / "net.safetensors")
    started = small(seed=1, pretrained=str(path))
    assert same(started.state_dict(), net.state_dict(), net.state_dict())


@pytest.mark.parametrize(
    ("classes", "head", "kept"), [(5, "fit", True), (5, "keep", True), (5, "new", False), (7, "fit", False)]
)
def test_the_head_is_replaced_where_it_has_to_be_or_when_asked(saved, classes, head, kept):
    net, path = saved
    fresh = small(classes, seed=1)
    started = small(classes, seed=1, pretrained=str(path), head=head).state_dict()
    body = [name for name in started if not name.startswith("fc.")]
    assert same(started, net.state_dict(), body)
    assert same(started, (net if kept else fresh).state_dict(), ["fc.weight", "fc.bias"])


def test_weights_for_another_number_of_classes_are_refused_where_their_head_is_to_be_kept(saved):
    with pytest.raises(
        FrugalError, match="a head of 5 classes and the data set 7 classes; `head: keep` needs the same"
    ):
        small(7, pretrained=str(saved[1]), head="keep")


def test_weights_without_a_head_start_one(saved, tmp_path):
    state = {name: tensor for name, tensor in saved[0].state_dict().items() if not name.startswith("fc.")}
    torch.save(state, tmp_path / "body.pth")
    assert same(small(pretrained=str(tmp_path / "body.pth")).state_dict(), state, state)
    with pytest.raises(FrugalError, match="has no head and the data set 5 classes"):
        small(pretrained=str(tmp_path / "body.pth"), head="keep")


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


def wrong_files(folder, net):
    """Files that are no weights, and what is said of each."""
    state = net.state_dict()
    less = {name: tensor for name, tensor in state.items() if name != "bn1.weight"}
    for name, content in {
        "checkpoint": {"epoch": 3, "state_dict": state},
        "tensor": torch.ones(3),
        "lacking": less,
        "other": state | {"layer9.weight": torch.ones(1)},
        "wide": resnet.build(SHAPE, 5, depth=8, width=8).state_dict(),
    }.items():
        torch.save(content, folder / f"{name}.pth")
    (folder / "text.pth").write_text("not weights")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "pickle.pth").write_bytes(pickle.dumps(Harmful()))
    (folder / "text.safetensors").write_text("not weights at all")
    (folder / "folder.pth").mkdir()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("checkpoint.pth", "holds a dictionary of epoch, state_dict, not a state_dict"),
        ("tensor.pth", "holds a Tensor, not a state_dict"),
        ("text.pth", "is no file of weights"),
        ("empty.pth", "is no file of weights"),
        ("pickle.pth", "is no file of weights"),
        ("text.safetensors", "is no file of weights"),
        ("folder.pth", "can't be read: Is a directory"),
        ("absent.pth", "can't be read: No such file"),
        ("lacking.pth", "not this model's: it lacks bn1.weight"),
        ("other.pth", "it has besides layer9.weight"),
        ("wide.pth", r"it has in another shape conv1.weight \(\[8, 3, 3, 3\] for \[4, 3, 3, 3\]\) and \d+ more"),
    ],
)
def test_a_file_that_is_not_this_models_weights_is_refused_in_one_line(saved, tmp_path, capfd, name, says):
    wrong_files(tmp_path, saved[0])
    with pytest.raises(FrugalError, match=says) as failed:
        small(pretrained=str(tmp_path / name))
    assert "\n" not in str(failed.value)
    assert "this ran" not in capfd.readouterr().out


# Published weights, from a server of the test's own


@pytest.fixture
def offered(mirror, tmp_path, monkeypatch):
    """torchvision's ResNet-18 with 1000 classes, offered under a name and checksum of its own."""
    torch.manual_seed(5)
    net, file = resnet18(), tmp_path / "offered.pth"
    torch.save(net.state_dict(), file)
    content = file.read_bytes()
    monkeypatch.setitem(
        pretrained.TORCHVISION, (18, "imagenet1k_v1"), Published("r18.pth", hashlib.sha256(content).hexdigest())
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("FRUGAL_DATA", raising=False)
    mirror.offer("/models/r18.pth", content)
    return net, mirror, content


def from_imagenet(url, classes=10, **parameters):
    parameters = {"depth": 18, "stem": "imagenet", "pretrained": "imagenet1k_v1"} | parameters
    return resnet.build((3, 64, 64), classes, mirrors=[f"{url}/models"], **parameters)


def test_published_weights_are_downloaded_once_verified_and_give_torchvisions_net(offered, tmp_path):
    net, server, _ = offered
    started = from_imagenet(server.url, 1000).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(started(images), net.eval()(images), rtol=1e-5, atol=1e-5)
    other = from_imagenet(server.url, 10)
    assert other.fc.weight.shape == (10, 512)
    assert torch.equal(other.conv1.weight, net.conv1.weight)
    assert server.asked == ["/models/r18.pth"]
    assert (tmp_path / "torch/hub/checkpoints/r18.pth").is_file()


def test_published_weights_of_the_data_folder_need_no_network(offered, tmp_path, monkeypatch):
    net, server, content = offered
    (tmp_path / "data/weights").mkdir(parents=True)
    (tmp_path / "data/weights/r18.pth").write_bytes(content)
    monkeypatch.setenv("FRUGAL_DATA", str(tmp_path / "data"))
    assert torch.equal(from_imagenet(server.url).conv1.weight, net.conv1.weight)
    assert server.asked == []
    (tmp_path / "data/weights/r18.pth").write_bytes(content[:-1] + b"?")
    with pytest.raises(FrugalError, match="is not the published file: sha256 expected"):
        from_imagenet(server.url)


def test_without_a_network_the_error_says_which_file_with_which_checksum_belongs_where(offered, tmp_path, monkeypatch):
    checksum = pretrained.TORCHVISION[18, "imagenet1k_v1"].sha256
    monkeypatch.setenv("FRUGAL_DATA", str(tmp_path))
    with pytest.raises(FrugalError, match="r18.pth is missing and no mirror delivered it") as failed:
        from_imagenet("http://127.0.0.1:1")
    said = str(failed.value)
    assert "\n" not in said
    assert checksum in said
    assert f"{tmp_path}/weights or {tmp_path}/torch/hub/checkpoints" in said


@pytest.mark.parametrize(
    "parameters",
    [{"depth": 8}, {"pretrained": "imagenet1k_v2"}, {"stem": "cifar"}, {"width": 32}],
    ids=lambda p: "-".join(map(str, *p.items())),
)
def test_published_weights_are_for_published_nets_only(offered, parameters):
    with pytest.raises(FrugalError, match="there are no weights .* there are imagenet1k_v1 of depth 18"):
        from_imagenet(offered[1].url, **parameters)


@pytest.mark.parametrize("depth", [18, 50])
def test_names_of_published_files_begin_their_checksums(depth):
    files = [file for (layers, _), file in pretrained.TORCHVISION.items() if layers == depth]
    assert files
    for file in files:
        assert file.sha256.startswith(file.name.rpartition("-")[2].removesuffix(".pth"))
        assert len(file.sha256) == 64


# The choice in a run


@pytest.fixture
def planned(tmp_path):
    """The plan of a study whose model starts from a file of weights."""
    path = tmp_path / "start.pth"

    def plan(content, value=None):
        if content is not None:
            path.write_bytes(content)
        shutil.copytree(ROOT / "config", tmp_path / "config", dirs_exist_ok=True)
        with (tmp_path / "config/models.yaml").open("a") as file:
            parameters = {**SMALL, "pretrained": str(path) if value is None else value}
            file.write(f"\nstarted:\n  use: resnet\n  parameters: {json.dumps(parameters)}\n")
        config = {"studies": ["infobatch"], "results": str(tmp_path), "override": {"models": ["started"]}}
        return Plan(config, tmp_path / "config").run("infobatch", "digits", "started", "full", 0)

    return plan


def test_the_content_of_a_weights_file_is_part_of_the_run(planned):
    one, other = planned(b"some"), planned(b"other")
    checksum = hashlib.sha256(b"some").hexdigest()
    assert list(one.model.files.values()) == [checksum]
    assert checksum in one.model_dump_json()  # what the manifest holds
    assert one.fingerprint("data", {}) != other.fingerprint("data", {})
    assert planned(None, "none").model.files == {}
    assert planned(None, "imagenet1k_v1").model.files == {}


def test_a_weights_file_that_is_not_there_stops_the_plan(planned):
    with pytest.raises(
        FrugalError, match=r"models.yaml: started: pretrained is 'start.pt', neither a file .*imagenet1k_v2"
    ):
        planned(None, "start.pt")


def test_a_weights_file_that_changed_since_the_plan_is_not_used(saved, tmp_path):
    _, path = saved
    parameters = registry.check("model", "resnet", SMALL | {"pretrained": str(path)}, "mine")
    model = {"name": "started", "use": "resnet", "parameters": parameters, "files": {str(path): "0" * 64}}
    spec = RunSpec.model_construct(model=ModelSpec.model_validate(model))
    with pytest.raises(FrugalError, match="sha256 expected 0000"):
        make_model(spec, None, torch.device("cpu"))
