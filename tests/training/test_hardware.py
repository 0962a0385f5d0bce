"""What a record tells of its machine, which decides whose seconds are compared."""

from pathlib import Path

import torch

from frugal.training.device import describe_hardware

GENERATION = """processor\t: 0
cpu family\t: {}
model\t\t: {}
model name\t: AMD EPYC

processor\t: 1
model name\t: AMD EPYC
"""


def test_two_generations_of_one_name_are_two_machines(monkeypatch):
    named = set()
    for family, model in ((23, 49), (26, 2)):
        monkeypatch.setattr(
            Path, "read_text", lambda self, family=family, model=model: GENERATION.format(family, model)
        )
        named.add(describe_hardware(torch.device("cpu"))["cpu"])
    assert named == {"AMD EPYC (family 23 model 49)", "AMD EPYC (family 26 model 2)"}
