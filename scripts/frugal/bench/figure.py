"""Provenance of a measured figure: when, by which command, on which machine, with which packages, of which commit."""

from datetime import datetime
from typing import Any

import torch

from frugal.training.device import describe_hardware
from frugal.versions import git_state, versions


def provenance(command: str, measured: datetime, device: torch.device) -> dict[str, Any]:
    """The head of every JSON file under benchmarks/. device: that it was measured on."""
    return {
        "measured": measured.isoformat(timespec="seconds"),
        "command": command,
        "hardware": describe_hardware(device),
        "versions": versions(),
        "git": git_state(),
    }
