"""What all our web pages share: their frame, which needs neither network nor scripts, and a verdict as a coloured word."""

import html
from pathlib import Path

from frugal.errors import FrugalError

STYLE = Path(__file__).parent / "report/templates/style.css"


def document(title: str, body: str, refresh: int | None = None) -> str:
    """A whole page. title: as text; body: HTML; refresh: seconds after which a browser loads it again, None: never."""
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">\n'
    told = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Frugal">
{again}<link rel="icon" href="data:,">
<title>{told} · Frugal</title>
<style>{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<h1>{told}</h1>
{body}
</main>
</body>
</html>
"""


def _brief(told: str) -> str:
    return "within margin" if told.endswith("within the margin") else told.split()[0]


def coloured_verdict(told: str, why: object = None, short: bool = False) -> str:
    """A verdict as a word in its colour, as HTML; the whole, with its reason where `why` is text, shows on hovering.

    short: without what stands before "within the margin", or after the first word: "worse" of "worse by more than the margin"
    """
    whole, word = html.escape(f"{told}: {why}" if isinstance(why, str) else told, quote=True), told.split()[0]
    return f'<span class="verdict {word}" title="{whole}">{html.escape(_brief(told) if short else told)}</span>'


def check_place(page: Path, title: str) -> None:
    """Raise FrugalError where a page would go to a folder's name, or replace what isn't an earlier page of its kind.

    title: how the titles of its kind begin, as text
    """
    if page.is_dir():
        raise FrugalError(f"{page} is a folder; give the name of the page, such as {page / 'page.html'}")
    there = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    if there and f"<title>{html.escape(title)}" not in there:
        raise FrugalError(f"{page} is there and no page of this kind; give another name, or move it away")
