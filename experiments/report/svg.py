"""A figure as SVG that can stand in a page: no ids that clash, no addresses, one name for readers aloud."""

from __future__ import annotations

import io
import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure


def inline_svg(figure: Figure, key: str, label: str) -> Markup:
    """The figure as an SVG element; the same bytes for the same figure. Call inside `style()`.

    Args:
        key: goes before every id, since figures on one page number theirs alike; letters and digits.
        label: what the figure shows, in words.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, count=1, flags=re.DOTALL)
    drawing = re.sub(r'\bid="', f'id="{key}-', drawing)
    drawing = re.sub(r'(href="|url\()#', rf"\1#{key}-", drawing)
    opening = re.match(r"<svg[^>]*>", drawing)
    view = re.search(r'viewBox="[^"]*"', drawing)
    assert opening is not None
    assert view is not None
    # Without width and height the page decides how large; namespaces are implied inside HTML.
    ours = f'<svg {view.group()} role="img" aria-label="{escape(label)}">'
    return Markup(ours + drawing[opening.end() :].strip())
