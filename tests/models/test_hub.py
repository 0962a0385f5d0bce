"""BERT and Wav2Vec2: random only where that is asked for, with someone's weights where there is a folder, else an error."""

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, Wav2Vec2Config, Wav2Vec2Model

import kinds
from frugal.data.text import Tokens
from frugal.errors import FrugalError
from frugal.models import bert, transformer, wav2vec2
from frugal.plan import Plan
from frugal.pruning.sizes import Sizes

SMALL = {"layers": 1, "heads": 2, "hidden": 8, "feed_forward": 12}
BERT = {"vocab_size": 270, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
WAVE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
WAVE |= {"conv_dim": (4,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


def test_padding_changes_no_logit_and_every_net_has_heads_and_neurons_to_remove():
    torch.manual_seed(0)
    net = bert.build((12,), 3, 50, **SMALL).eval()
    tokens = torch.randint(1, 50, (2, 12))
    tokens[1, 7:] = 0
    assert torch.allclose(net(tokens)[1], net(tokens[1:, :7])[0], atol=1e-6)
    for model, example in (
        (net, tokens),
        (transformer.build((12,), 3, 50, **SMALL), tokens),
        (wav2vec2.build((800,), 4, "classification", channels=4, positions=4, **SMALL), torch.randn(2, 800)),
        (wav2vec2.build((800,), 4, "transcription", channels=4, positions=4, **SMALL), torch.randn(2, 800)),
    ):
        sizes = Sizes(model, example)
        assert {group.size for group in sizes.groups} == {1, 4}  # neurons, and heads of four channels
        assert sizes.full[1] == sum(p.numel() for p in model.parameters())
        assert sizes.at({group.name: 1 for group in sizes.groups})[0] < sizes.full[0]  # it still runs with one head
    assert model(example).shape == (2, 2, 4)  # two frames of 800 samples


def test_weights_of_a_folder_are_used_and_only_the_head_is_new(tmp_path):
    torch.manual_seed(1)
    body = BertModel(BertConfig(**BERT, max_position_embeddings=16))
    body.save_pretrained(tmp_path / "body")
    net = bert.build((16,), 5, 270, pretrained=str(tmp_path / "body"), dropout=0.3)
    for name, weight in body.state_dict().items():
        assert torch.equal(net.net.bert.state_dict()[name], weight)
    assert (net.net.classifier.out_features, net.net.dropout.p) == (5, 0.3)
    ears = Wav2Vec2Model(Wav2Vec2Config(**WAVE))
    ears.save_pretrained(tmp_path / "ears")
    heard = wav2vec2.build((800,), 7, "transcription", pretrained=str(tmp_path / "ears"), freeze_features=True)
    assert heard.net.lm_head.out_features == 7
    assert torch.equal(
        heard.net.wav2vec2.encoder.layers[0].attention.k_proj.weight, ears.encoder.layers[0].attention.k_proj.weight
    )
    assert not any(p.requires_grad for p in heard.net.wav2vec2.feature_extractor.parameters())


def test_weights_that_cannot_be_had_or_do_not_fit_are_errors(tmp_path):
    BertModel(BertConfig(**BERT, max_position_embeddings=16)).save_pretrained(tmp_path / "body")
    body, empty = str(tmp_path / "body"), tmp_path / "empty"
    empty.mkdir()
    for arguments, message in (
        (((16,), 2, 300, {"pretrained": body}), "knows 270 tokens and the data set has 300.*set `tokenizer:"),
        (((99,), 2, 270, {"pretrained": body}), "takes 16 tokens of a text at most, the data set has 99"),
        (((16,), 2, 270, {"pretrained": body, "layers": 3}), "layers is the pretrained net's own; leave it out"),
        (
            ((16,), 2, 270, {"pretrained": str(empty)}),
            "the folder .*empty has no weights that can be read .*correct `pretrained`",
        ),
        (
            ((16,), 2, 270, {"pretrained": "nobody/nothing"}),
            "the weights 'nobody/nothing' can't be had: .*or connect once",
        ),
        (((16,), 2, 270, {"heads": 5, "hidden": 8}), "hidden is 8 and heads 5"),
    ):
        *positional, options = arguments
        with pytest.raises(FrugalError, match=message):
            bert.build(*positional, **options)
    with pytest.raises(FrugalError, match="are not a Wav2Vec2ForCTC's: they lack|no weights that can be read"):
        wav2vec2.build((800,), 4, "transcription", pretrained=body)
    with pytest.raises(FrugalError, match="waves of 400 samples or more, the data set has 300"):
        wav2vec2.build((300,), 4, "transcription")


def test_texts_take_a_given_tokenizer_with_its_own_frame(tmp_path):
    own = Tokens(300, 8)
    own.fit(["a film", "a soup"])
    (tmp_path / "tokenizer.json").write_bytes(own.documents["tokenizer.json"])
    given = Tokens(8000, 8, tokenizer=str(tmp_path))
    given.fit(["something else"])
    assert given.facts["vocabulary"] == own.facts["vocabulary"]
    assert (given.encode(["a film"], "test") == own.encode(["a film"], "test")).all()
    for name, message in (
        ("nobody/nothing", "the tokenizer 'nobody/nothing' can't be had"),
        (str(tmp_path / "no"), "had"),
    ):
        with pytest.raises(FrugalError, match=message):
            Tokens(8000, 8, tokenizer=name).fit(["x"])
    other = Tokenizer.from_str((tmp_path / "tokenizer.json").read_text().replace("[CLS]", "<s>"))
    (tmp_path / "tokenizer.json").write_text(other.to_str())
    with pytest.raises(FrugalError, match="are framed by .CLS. and .SEP."):
        given.fit(["x"])


def test_another_content_of_a_folder_is_another_run(tmp_path):
    folder, config = tmp_path / "weights", tmp_path / "config"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    kinds.plan_of(tmp_path, {"tasks": [{"dataset": "generated-text", "model": "bert-tiny"}]})
    with open(config / "models.yaml", "a") as models:
        models.write(f"\nown: {{use: bert, parameters: {{pretrained: {folder}}}}}\n")
    study = config / "studies/mixed.yaml"
    study.write_text(study.read_text().replace("bert-tiny", "own"))
    files = []
    for content in "ab":
        (folder / "model.safetensors").write_text(content)
        plan = Plan({"studies": ["mixed"], "results": str(tmp_path)}, config)
        files.append(plan.run("mixed", "generated-text", "own", "full", 0).model.files)
    assert files[0].keys() == files[1].keys() == {str(folder / "config.json"), str(folder / "model.safetensors")}
    assert files[0] != files[1]
