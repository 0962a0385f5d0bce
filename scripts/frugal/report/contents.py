"""What a reader finds the way by in a page: anchors, a list of its sections, and every strategy's idea on hovering."""

import html
import re
from collections.abc import Iterator, Mapping

HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)
CODE = re.compile(r"<code>([^<]+)</code>")


def with_anchors(page: str) -> tuple[str, list[tuple[str, str]]]:
    """The page with an address for each heading of its second and third level; and address and text of those of the second."""
    taken: set[str] = set()
    sections = []

    def anchored(heading: re.Match) -> str:
        level, inside = heading.groups()
        text = html.unescape(re.sub(r"<[^>]+>", "", inside)).strip()
        address = next(one for one in _addresses(text) if one not in taken)
        taken.add(address)
        if level == "2":
            sections.append((address, text))
        link = f'<a class="anchor" href="#{address}" aria-label="link to: {html.escape(text, quote=True)}">#</a>'
        return f'<h{level} id="{address}">{inside} {link}</h{level}>'

    return HEADING.sub(anchored, page), sections


def _addresses(text: str) -> Iterator[str]:
    """Addresses for a heading, the plainest first."""
    word = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
    yield word
    count = 2
    while True:
        yield f"{word}-{count}"
        count += 1


def with_ideas(page: str, ideas: Mapping[str, str]) -> str:
    """The page with the idea of each strategy, by its name, where the name stands as code."""

    def told(code: re.Match) -> str:
        idea = ideas.get(html.unescape(code[1]))
        return f'<code class="strategy" title="{html.escape(idea, quote=True)}">{code[1]}</code>' if idea else code[0]

    return CODE.sub(told, page)
