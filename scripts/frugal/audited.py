"""Failed runs that the audit of a study's tables tells of. Planning asks, so this imports no pandas.

Not in `frugal.failed`, which every run imports: a record of before an edit there would be due again.
"""

import csv
from pathlib import Path

FAILED = "run failed"  # the finding


def failed_runs(study: str, audit: Path) -> dict[str, str] | None:
    """Folder of each run of a study that its audit.csv names as failed, relative to the results, and why, as
    `frugal.failed.without_record` gives them; None where the file is missing or broken.
    """
    try:
        with open(audit, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["finding"] == FAILED]
        return {f"runs/{study}/{row['dataset']}/{row['model']}/{row['runs']}": row["detail"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error):
        return None
