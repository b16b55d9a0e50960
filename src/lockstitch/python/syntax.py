"""Syntax trees of Python code, also of code that is newer than the Python that reads it.

A program for Python 3.13 may say `f"{d["key"]}"` (PEP 701), `def first[T](…)` and `type Row = …`
(PEP 695), `except A, B:` (PEP 758) or `t"…"` (PEP 750), which Python 3.11 cannot parse. Where it
cannot, these are written in its own terms first: f-strings become names, and the tree gets their
parts in place of the names. Lines stay what they are, columns do not.
"""

import ast
import re
import warnings

from lockstitch.patterns import regex

_TOKEN = regex(
    r"""(?P<comment>\#[^\n]*)
    |(?P<string>(?P<prefix>[rRbBuUfFtT]{0,2})(?P<quote>'''|\"""|'|\"))
    |(?P<word>\w+)
    |(?P<space>(?:[ \t\f]|\\\n)+)
    |(?P<other>[\s\S])""",
    re.VERBOSE,
)
_ALIAS = regex(r"type[ \t]+(?P<name>\w+)[ \t]*(?=\[|=[^=])")
_NAMED = regex(r"(?:def|class)[ \t]+\w+[ \t]*(?=\[)")
_SEVERAL = regex(r"except(?P<star>\*?)[ \t]+(?P<names>[\w.]+[ \t]*(?:,[ \t]*[\w.]+[ \t]*)+):")
_OPEN, _CLOSED = "([{", ")]}"
_ESCAPE = regex(r"\\(?:N\{[^{}]*\}|[^{}])")
_ESCAPED_OR_QUOTE = regex(r"\\[\s\S]|[\"']")
_CONVERSION = regex(r"!([rsa])\s*(?=[:}])")


def tree_of(text: str) -> ast.Module | None:
    """Return the syntax tree of a text, None when it is no Python of any version."""
    text = text.removeprefix("\ufeff")
    try:
        with warnings.catch_warnings():  # a wrong escape in somebody's string is not ours to say
            warnings.simplefilter("ignore")
            try:
                return ast.parse(text)
            except SyntaxError:
                return newer(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def newer(text: str) -> ast.Module:
    """Return the syntax tree of code that may be newer than this Python, or raise SyntaxError."""
    reader = _Reader(text)
    tree = ast.parse(reader.rewritten())
    return _Strings(reader.strings).visit(tree) if reader.strings else tree


class _Reader:
    def __init__(self, text: str, depth: int = 0) -> None:
        self.text, self.depth = text, depth
        self.strings: dict[str, ast.JoinedStr] = {}

    def rewritten(self) -> str:
        """Return the text with newer syntax in older words; fills `strings`."""
        parts: list[str] = []
        group: list[tuple[int, int]] = []  # the strings beside each other that are one
        place = skipped = brackets = 0
        begins = True  # a statement
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            if match is None:  # pragma: no cover -- the last alternative takes anything
                break
            kind = match.lastgroup if match.lastgroup != "quote" else "string"
            end = match.end()
            if match["string"]:
                end = self._string_end(match)
                group.append((place, end))
                begins = False
            elif kind in {"space", "comment"} or (match["other"] == "\n" and group and brackets):
                pass  # may stand between two strings that are one
            else:
                parts += self._flushed(group, skipped, place)
                group, skipped = [], place
                end = self._plain(match, parts, begins=begins)
                skipped = end
                sign = match["other"] or " "
                brackets += (sign in _OPEN) - (sign in _CLOSED)
                begins = match["other"] in {"\n", ";", ":"}
            place = end
        parts += self._flushed(group, skipped, len(self.text))
        return "".join(parts)

    def _flushed(self, group: list[tuple[int, int]], start: int, end: int) -> list[str]:
        """Return the text since the last token, with the strings in it as a name if one is new."""
        if not any("f" in p or "t" in p for p in map(self._prefix, group)):
            return [self.text[start:end]]
        first, last = group[0][0], group[-1][1]
        values: list[ast.expr] = []
        for place in group:
            values += self._values(*place)
        name = f"_lockstitch_string_{len(self.strings)}_{self.depth}_"
        self.strings[name] = ast.JoinedStr(values=_merged(values))
        lines = self.text.count("\n", first, last)
        space = " " if self.text[first - 1 : first].isalnum() else ""  # as in `in"…"`
        return [self.text[start:first], f"{space}({name}", "\n" * lines, ") ", self.text[last:end]]

    def _prefix(self, place: tuple[int, int]) -> str:
        match = _TOKEN.match(self.text, place[0])
        return (match["prefix"] or "").lower() if match else ""

    def _plain(self, match: re.Match[str], parts: list[str], *, begins: bool) -> int:
        """Write a token that is no string, and return where it ends."""
        place = match.start()
        several = _SEVERAL.match(self.text, place) if match["word"] == "except" else None
        if several:
            parts.append(f"except{several['star']} ({several['names']}):")
            return several.end()
        alias = _ALIAS.match(self.text, place) if begins and match["word"] == "type" else None
        if alias:
            parts.append(alias["name"])
            return self._bracket_end(alias.end(), parts)
        named = _NAMED.match(self.text, place) if match["word"] in {"def", "class"} else None
        if named:
            parts.append(named[0])
            return self._bracket_end(named.end(), parts)
        parts.append(match[0])
        return match.end()

    def _bracket_end(self, place: int, parts: list[str]) -> int:
        """Leave out the type parameters that begin at a place, but for their lines."""
        if self.text[place : place + 1] != "[":
            return place
        end = self._closed(place + 1, "]") + 1
        parts.append(" \\\n" * self.text.count("\n", place, end))
        return end

    def _closed(self, place: int, stops: str) -> int:
        """Return where an expression ends: at one of the signs, outside of all brackets."""
        depth = 0
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            if match is None:  # pragma: no cover -- as above
                break
            sign = match["other"] or ""
            if depth == 0 and sign and sign in stops:
                if sign != "!" or self.text[place + 1 : place + 2] != "=":
                    return place
                place += 2
                continue
            depth += (sign in _OPEN) - (sign in _CLOSED) if sign else 0
            place = self._string_end(match) if match["string"] else match.end()
        raise SyntaxError("an expression without an end")

    def _string_end(self, match: re.Match[str]) -> int:
        prefix, quote = match["prefix"].lower(), match["quote"]
        place = match.end()
        formatted = "f" in prefix or "t" in prefix
        while place < len(self.text):
            if self.text.startswith(quote, place):
                return place + len(quote)
            if self.text[place] == "\n" and len(quote) == 1:
                break
            escape = _ESCAPE.match(self.text, place)
            if escape and ("r" not in prefix or escape[0] in {"\\" + quote[0], "\\\\", "\\\n"}):
                place = escape.end()
            elif formatted and self.text.startswith(("{{", "}}"), place):
                place += 2
            elif formatted and self.text[place] == "{":
                place = self._field_end(place, quote)
            else:
                place += 1
        raise SyntaxError("a string without an end")

    def _field_end(self, place: int, quote: str) -> int:
        place = self._closed(place + 1, "}:!")
        conversion = _CONVERSION.match(self.text, place)
        place = conversion.end() if conversion else place
        if self.text[place : place + 1] == ":":
            place += 1
            while self.text[place : place + 1] != "}":
                if not self.text[place : place + 1] or self.text.startswith(quote, place):
                    raise SyntaxError("a format without an end")
                place = self._field_end(place, quote) if self.text[place] == "{" else place + 1
        if self.text[place : place + 1] != "}":
            raise SyntaxError("a field without an end")
        return place + 1

    def _values(self, start: int, end: int) -> list[ast.expr]:
        """Return the parts of one string: literal texts and formatted values."""
        match = _TOKEN.match(self.text, start)
        if match is None:  # pragma: no cover -- as above
            return []
        prefix, quote = match["prefix"].lower(), match["quote"]
        if "f" not in prefix and "t" not in prefix:
            return [ast.Constant(ast.literal_eval(self.text[start:end]))]
        return self._literal_and_fields(match.end(), end - len(quote), prefix, quote)

    def _literal_and_fields(
        self, place: int, end: int, prefix: str, quote: str, *, nested: bool = False
    ) -> list[ast.expr]:
        values: list[ast.expr] = []
        literal = ""

        def flush() -> None:
            nonlocal literal
            raw = "r" if "r" in prefix else ""
            if literal:
                values.append(ast.Constant(_literal(literal, raw, quote)))
            literal = ""

        while place < end:
            escape = _ESCAPE.match(self.text, place)
            if escape and ("r" not in prefix or escape[0] == "\\" + quote[0]):
                literal += escape[0]
                place = escape.end()
            elif self.text[place] == "\\" and "r" not in prefix:  # before a brace
                literal += "\\\\"
                place += 1
            elif not nested and self.text.startswith(("{{", "}}"), place):
                literal += self.text[place]
                place += 2
            elif self.text[place] == "{":
                shown, value, place = self._field(place, prefix, quote)
                if shown:
                    flush()
                    values.append(ast.Constant(shown))
                flush()
                values.append(value)
            else:
                literal += self.text[place]
                place += 1
        flush()
        return values

    def _field(self, place: int, prefix: str, quote: str) -> tuple[str, ast.expr, int]:
        """Return a field's text that `=` shows, its value, and where it ends."""
        start, place = place + 1, self._closed(place + 1, "}:!")
        code, shown = self.text[start:place], ""
        stripped = code.rstrip()
        if stripped.endswith("=") and stripped[-2:-1] not in {"=", "!", "<", ">"}:
            code, shown = stripped[:-1], code
        conversion = _CONVERSION.match(self.text, place)
        letter = ord(conversion[1]) if conversion else -1
        place = conversion.end() if conversion else place
        spec: ast.JoinedStr | None = None
        if self.text[place] == ":":
            end = self._field_end(start - 1, quote) - 1
            parts = self._literal_and_fields(place + 1, end, prefix, quote, nested=True)
            spec, place = ast.JoinedStr(values=_merged(parts)), end
        if shown and letter == -1 and spec is None:
            letter = ord("r")
        value = self._expression(code, self.text.count("\n", 0, start))
        return shown, ast.FormattedValue(value, letter, spec), place + 1

    def _expression(self, code: str, lines: int) -> ast.expr:
        if self.depth >= 20:  # strings in strings
            raise SyntaxError("strings in strings, too deep")
        if not code.strip():
            raise SyntaxError("a field without an expression")
        inner = _Reader(f"({code}\n)", self.depth + 1)
        tree = ast.parse(inner.rewritten(), mode="eval")
        if inner.strings:
            tree = _Strings(inner.strings).visit(tree)
        ast.increment_lineno(tree, lines)
        return tree.body


class _Strings(ast.NodeTransformer):
    """Puts f-strings back in place of the names that stand for them."""

    def __init__(self, strings: dict[str, ast.JoinedStr]) -> None:
        self._strings = strings

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the string that a name stands for, or the name."""
        string = self._strings.get(node.id)
        if string is None:
            return node
        ast.copy_location(string, node)
        return ast.fix_missing_locations(string)


def _literal(text: str, raw: str, quote: str) -> str:
    """Return the value of literal text between quotes."""
    if raw:
        return text
    if len(quote) == 3:  # quotes at an end would close it early
        text = _ESCAPED_OR_QUOTE.sub(lambda m: m[0] if len(m[0]) > 1 else f"\\{m[0]}", text)
    return str(ast.literal_eval(f"{quote}{text}{quote}"))


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """Return parts of a string with constants beside each other as one, and none empty."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(str(last.value) + str(value.value))
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            merged.append(value)
    return merged
