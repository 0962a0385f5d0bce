"""JSON schemas of the config files, written from the code to workflow/schemas, for editors that complete and check YAML.

A test checks that they are those of the code.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from frugal.atomic import write_text
from frugal.config import Config
from frugal.spec import Dataset, Model
from frugal.study_config import StudyConfig

SECTIONS = {"config": Config, "datasets": dict[str, Dataset], "models": dict[str, Model], "study": StudyConfig}


def schemas() -> dict[str, dict[str, Any]]:
    """A JSON schema for each kind of config file."""
    return {name: TypeAdapter(section).json_schema() for name, section in SECTIONS.items()}


def main() -> int:
    """Write them all."""
    for name, schema in schemas().items():
        path = Path("workflow/schemas") / f"{name}.schema.json"
        write_text(path, json.dumps(schema, indent=2) + "\n")
        print(path, file=sys.stderr)
    return 0


if __name__ == "__main__":
    from frugal.errors import exit_with_one_line

    exit_with_one_line(main)
