"""Pages of one file: no script, no address, readable on a phone and in print."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

__all__ = ["Raw", "amount", "badge", "code", "details", "picture", "render", "table", "text"]

_STYLE: Final = """\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6570;--line:#d8dee4;--back:#fff;--soft:#f6f8fa;
--good:#116329;--bad:#a40e26;--warn:#7d4e00}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;--line:#30363d;--back:#0d1117;
--soft:#161b22;--good:#56d364;--bad:#ff7b72;--warn:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:68rem;padding:1.2rem;color:var(--ink);background:var(--back);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .4rem;
border-bottom:1px solid var(--line);padding-bottom:.2rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0}.dim{color:var(--dim)}code{font:.86em/1.4 ui-monospace,Menlo,Consolas,monospace;
overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;
border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:600}td.number,th.number{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}
.badge{display:inline-block;padding:0 .5rem;border:1px solid;border-radius:1rem;font-size:.85rem}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
details{margin:.4rem 0}summary{cursor:pointer}
.picture{overflow-x:auto}.picture svg{width:100%;min-width:40rem;height:auto;display:block}
@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:10pt}
.picture svg{min-width:0}.wide,.picture{overflow:visible}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}details:not([open])>*{display:block}
h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def _html(value: object) -> str:
    return value if isinstance(value, Raw) else escape(str(value))


def code(text: str) -> Raw:
    """Return a text as code."""
    return Raw(f"<code>{escape(text)}</code>")


def text(value: object) -> Raw:
    """Return a text as HTML; what is HTML already stays."""
    return Raw(_html(value))


def badge(text: str, kind: str) -> Raw:
    """Return a word in a frame; `kind` is good, bad, warn or dim."""
    return Raw(f'<span class="badge {kind}">{escape(text)}</span>')


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()
) -> Raw:
    """Return a table that scrolls where it is too wide; columns of `numbers` stand to the right."""
    kind = ["number" if i in numbers else "" for i in range(len(head))]
    top = "".join(f'<th class="{k}">{escape(h)}</th>' for h, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{k}">{_html(v)}</td>' for v, k in zip(row, kind, strict=True))
        + "</tr>\n"
        for row in rows
    )
    inside = f"<thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody>"
    return Raw(f'<div class="wide"><table>{inside}</table></div>')


def picture(svg: str) -> Raw:
    """Return an SVG that fills the width, and scrolls where it would be too small to read."""
    return Raw(f'<div class="picture">{svg}</div>')


def amount(number: int, what: str) -> str:
    """Return a number with its noun, which is a plural by an s."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def details(summary: str, *inside: object) -> Raw:
    """Return what is folded away below a line; print shows it."""
    text = "".join(map(_html, inside))
    return Raw(f"<details><summary>{escape(summary)}</summary>{text}</details>")


def render(title: str, *body: object) -> str:
    """Return the whole page; strings are escaped, `Raw` is not."""
    inside = "\n".join(map(_html, body))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n"
        f"<body>\n{inside}\n</body>\n</html>\n"
    )
