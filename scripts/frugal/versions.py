"""Versions that a figure can depend on: of Python, of the packages, and the commit of our own source."""

import importlib.metadata
import json
import platform
import subprocess
from typing import Any

from frugal import __version__
from frugal.imports import SCRIPTS

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "snakemake", "zeus")


def versions() -> dict[str, str | None]:
    """Of Python, of Frugal itself, and of the packages a figure can depend on."""
    return {"python": platform.python_version(), "frugal": __version__, **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any]:
    """Commit of our source and whether the working tree differs from it; None for what isn't known.

    A library that was installed from a git address knows its commit; the repository that its folder may lie in is not ours.
    """
    top = SCRIPTS.parent

    def ask(*words: str) -> str | None:
        try:
            return subprocess.run(["git", "-C", top, *words], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    if ask("rev-parse", "--show-toplevel") != str(top):
        return {"commit": _installed_commit(), "dirty": None}
    status = ask("status", "--porcelain", "--", "scripts", "config", "workflow")
    return {"commit": ask("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def _installed_commit() -> str | None:
    """As pip has noted it, in the form that PEP 610 says."""
    try:
        noted = importlib.metadata.distribution("frugal").read_text("direct_url.json")
        return json.loads(noted or "{}").get("vcs_info", {}).get("commit_id")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
