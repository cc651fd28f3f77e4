"""`latency.html`: the report as one file that opens without a server and loads nothing from anywhere.

page.html has the sections, style.css the looks, the scripts draw SVG from the document that is put into the page.
"""

from pathlib import Path

from bench.latency.schema import LatencyDocument

_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = ("svg.js", "methods.js", "time.js", "conditions.js", "main.js")
"""In this order: `main.js` runs what the others define."""


def page(document: LatencyDocument) -> str:
    """The whole file."""
    # "</script>" or "<!--" inside a string would end the element it is in.
    data = document.model_dump_json().replace("<", "\\u003c")
    script = "\n".join((_FOLDER / name).read_text("utf-8") for name in _SCRIPTS)
    text = (_FOLDER / "page.html").read_text("utf-8")
    for mark, content in (
        ("/*STYLE*/", (_FOLDER / "style.css").read_text("utf-8")),
        ("/*DATA*/", data),
        ("/*SCRIPT*/", f'"use strict";\n(() => {{\n{script}}})();\n'),
    ):
        before, found, after = text.partition(mark)
        assert found, mark
        text = before + content + after
    return text
