"""A YAML file is read as it stands, or refused in one line that says where."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal.errors import FrugalError
from frugal.yamlfile import read_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@settings(max_examples=50, deadline=None)
@given(content=st.dictionaries(st.text(), VALUES, min_size=1))
def test_a_mapping_reads_as_yaml_has_it(content, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    text = yaml.safe_dump(content, allow_unicode=True)
    file.write_text(text, encoding="utf-8")
    assert read_yaml(file) == yaml.safe_load(text)


def test_keys_merged_in_may_be_replaced(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_yaml(file)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "x.yaml",
            "demo:\n  recipe: {}\n  seeds: 1\n  recipe: {}\n",
            "the key 'recipe' is given twice, in lines 2 and 4;",
        ),
        ("x.yaml", "a: {b: 1, b: 2}\n", "the key 'b' is given twice, in line 1; keep one of them"),
        ("x.yaml", "a: 1\n'a': 2\n", "the key 'a' is given twice, in lines 1 and 2"),
        ("x.json", '{\n\t"a": 1,\n\t"a": 2\n}', "the key 'a' is given twice, in lines 2 and 3"),
        (
            "x.yaml",
            "# f\u00fcr\na: caf\u00e9\n".encode("latin-1"),
            "line 1 has the byte 0xfc, which is not UTF-8; save",
        ),
        ("x.yaml", "a:\n\tb: 1\n", "not valid YAML: line 2: a tab, where only spaces indent"),
        ("x.yaml", "a: [1\n", "not valid YAML: line 2: "),
        ("x.yaml", "a: \x00\n", "not valid YAML: "),
        ("x.yaml", "", "must hold a mapping, lines of `key: value`; it is empty"),
        ("x.yaml", "# nothing\n", "must hold a mapping, lines of `key: value`; it is empty"),
        ("x.yaml", "- a\n- b\n", "must hold a mapping, lines of `key: value`; it holds a list"),
        ("x.yaml", "word", "must hold a mapping, lines of `key: value`; it holds a str"),
        ("x.yaml", None, "is missing; run from the repository's top folder"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, name, content, line):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FrugalError) as error:
        read_yaml(file)
    assert str(error.value).startswith(str(file))
    assert line in str(error.value)
    assert "\n" not in str(error.value)
