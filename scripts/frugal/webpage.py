"""Frame of a web page that needs neither network nor scripts, in the style of all our pages: light, dark, narrow, on paper."""

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


def check_place(page: Path) -> None:
    """Raise FrugalError where a page can't be written because a folder has its name."""
    if page.is_dir():
        raise FrugalError(f"{page} is a folder; give the name of the page, such as {page / 'page.html'}")
