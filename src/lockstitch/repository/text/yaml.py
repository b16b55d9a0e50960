"""Reads YAML into values that know their line, column and file.

Built from PyYAML's events, libyaml's where it is there. An alias is the value that it names, once
in memory however often it is named, so a document cannot grow by them; `<<` is resolved where a
mapping is asked, with a limit. Duplicate keys, unknown anchors and what is no YAML are problems.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from lockstitch.patterns import regex
from lockstitch.repository.text.lines import Edit, applied
from lockstitch.values import Problem

_LARGEST = 1_000_000  # characters
_MOST_NODES = 100_000
_MOST_MERGED = 10_000  # entries of one mapping, and mappings that it merges
_DEEPEST = 100
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = "<<"
_BREAK = regex("\r\n|[\r\n\x85\u2028\u2029]")  # what ends a line in YAML 1.1
_AFTER = regex("[ \t]*(?:#[^\r\n\x85\u2028\u2029]*)?")
_BLANK = regex("(?:[ \t]*\r?\n)+")


class Scalar(NamedTuple):
    """A text, a number, true, false or nothing, as it was written but for quotes."""

    text: str
    plain: bool  # without quotes
    tag: str
    line: int
    column: int
    path: str

    @property
    def is_null(self) -> bool:
        """Return whether it says nothing, which is not the empty text."""
        return self.plain and self.text in _NULLS


def scalar(text: str, line: int, column: int, path: str) -> Scalar:
    """Return a text as if it stood in a file without quotes."""
    return Scalar(text, True, "", line, column, path)  # noqa: FBT003 -- a tuple's field


class Sequence(NamedTuple):
    """A list."""

    items: tuple["Node", ...]
    tag: str
    line: int
    column: int
    path: str


class Entry(NamedTuple):
    """One key of a mapping and its value."""

    key: Scalar
    value: "Node"


class Mapping(NamedTuple):
    """A mapping as written: `<<` is an entry, and a key that stands twice is there once."""

    written: tuple[Entry, ...]
    tag: str
    line: int
    column: int
    path: str


Node = Scalar | Sequence | Mapping


class Document(NamedTuple):
    """A file's first document, or None, and the problems of the file."""

    root: Node | None
    problems: tuple[Problem, ...]


def entries(mapping: Mapping) -> dict[str, Entry]:
    """Return the entries of a mapping by key, its own before those that `<<` brings in."""
    by_key: dict[str, Entry] = {}
    waiting: list[Node] = [mapping]
    seen: set[int] = set()
    while waiting and len(by_key) < _MOST_MERGED and len(seen) < _MOST_MERGED:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Sequence):
            waiting += reversed(node.items)
        elif isinstance(node, Mapping):
            merged = [entry.value for entry in node.written if entry.key.text == _MERGE]
            waiting += reversed(merged)
            for entry in node.written:
                if entry.key.text != _MERGE:
                    by_key.setdefault(entry.key.text, entry)
    return by_key


def read(text: str, path: str = "") -> Document:
    """Return the first document of a YAML text; it never raises."""
    import yaml

    if len(text) > _LARGEST:
        message = f"the file has {len(text):,} characters, more than {_LARGEST:,} are not read"
        return Document(None, (Problem(line=0, message=message, path=path),))
    composer = _Composer(path)
    root = None
    try:
        root = composer.compose(_events(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        line = min(line, max(1, len(text.splitlines())))  # the end is on no line of its own
        composer.complain(line, f"it is no YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML or UTF-8 do not have
        composer.complain(0, f"it is no YAML: {str(error).splitlines()[0]:.200}")
    except _RefusedError as refused:
        composer.complain(refused.line, str(refused))
    return Document(root, tuple(composer.problems))


def _events(text: str) -> Iterator[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


class _RefusedError(Exception):
    """Says that a document is too much."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Composer:
    """Makes nodes of events, without recursion."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._anchors: dict[str, Node | None] = {}
        self._open: list[tuple[Any, list[Node]]] = []
        self._count = 0
        self.problems: list[Problem] = []

    def complain(self, line: int, message: str, *, fatal: bool = True) -> None:
        self.problems.append(Problem(line=line, message=message, path=self._path, fatal=fatal))

    def compose(self, events: Iterator[Any]) -> Node | None:
        """Return the first document."""
        import yaml

        starts = {yaml.MappingStartEvent, yaml.SequenceStartEvent}
        ends = {yaml.MappingEndEvent, yaml.SequenceEndEvent}
        root: Node | None = None
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                node: Node = self._scalar(event)
            elif kind in ends:
                node = self._collection(*self._open.pop())
            elif kind is yaml.AliasEvent:
                node = self._alias(event)
            else:
                if kind in starts:
                    self._begin(event)
                elif kind is yaml.DocumentStartEvent and root is not None:
                    message = "a second document begins here, which is not read"
                    self.complain(event.start_mark.line + 1, message, fatal=False)
                    break
                continue
            if self._open:
                self._open[-1][1].append(node)
            else:
                root = node
        return root

    def _begin(self, event: Any) -> None:
        if event.anchor:
            self._anchors[event.anchor] = None  # until it ends
        self._open.append((event, []))
        if len(self._open) > _DEEPEST:
            raise _RefusedError(event.start_mark.line + 1, f"it nests deeper than {_DEEPEST}")

    def _scalar(self, event: Any) -> Scalar:
        mark, tag = event.start_mark, event.tag or ""
        line = mark.line + 1
        self._count += 1
        if self._count > _MOST_NODES:
            raise _RefusedError(line, f"it has more than {_MOST_NODES:,} values")
        node = Scalar(event.value, not event.style, tag, line, mark.column + 1, self._path)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        mark = event.start_mark
        node = self._anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in self._anchors
            why = "stands inside of what it names" if inside else "names no anchor"
            self.complain(mark.line + 1, f"`*{event.anchor:.40}` {why}")
            return scalar("", mark.line + 1, mark.column + 1, self._path)
        return node

    def _collection(self, event: Any, items: list[Node]) -> Node:
        import yaml

        mark = event.start_mark
        place = (event.tag or "", mark.line + 1, mark.column + 1, self._path)
        node: Node
        if type(event) is yaml.SequenceStartEvent:
            node = Sequence(tuple(items), *place)
        else:
            node = Mapping(self._entries(items), *place)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _entries(self, items: list[Node]) -> tuple[Entry, ...]:
        pairs: list[Entry] = []
        seen: dict[str, int] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, Scalar):
                self.complain(key.line, "a key must be a text")
            elif key.text in seen:
                first = seen[key.text]
                self.complain(key.line, f"`{key.text:.60}` stands here again, after line {first}")
            else:
                seen[key.text] = key.line
                pairs.append(Entry(key, value))
        return tuple(pairs)


# --- edits, each made only where the text, parsed again, is what was meant


def without_key(path: str, text: str, key: str) -> Edit | None:
    """Return the edit that takes a key and its value from the top of a text, with their lines.

    Returns None where it cannot be taken out alone: other things share its lines, or name it.
    """
    places = [*_places(text)]
    at = next((n for n, place in enumerate(places) if place.top and place.value == key), None)
    if at is None or at + 1 >= len(places) or not places[at + 1].value_of_scalar:
        return None
    first, value = places[at : at + 2]
    start, end = _offset(text, first.line, 0), _offset(text, value.end_line, value.end_column)
    if text[start : _offset(text, first.line, first.column)].strip("\ufeff"):
        return None
    if value.end_column:
        after = _AFTER.match(text, end)
        stop = after.end() if after else end
        line_end = _BREAK.match(text, stop)
        if line_end is None and stop < len(text):
            return None
        end = line_end.end() if line_end else stop
    blank = _BLANK.match(text, end) if not text[:start].strip("\ufeff") else None
    edit = Edit(path=path, start=start, end=blank.end() if blank else end, text="")
    meant = [place.meaning for place in (*places[:at], *places[at + 2 :])]
    return edit if not value.anchor and _gives(text, edit, meant) else None


def renamed(path: str, text: str, node: Scalar, new: str) -> Edit | None:
    """Return the edit that writes another word in place of a scalar; None where it is not sure."""
    places = [*_places(text)]
    start = _offset(text, node.line - 1, node.column - 1)
    start += text[start : start + 1] in {'"', "'"}
    edit = Edit(path=path, start=start, end=start + len(node.text), text=new)
    meant = [
        (place.kind, new, *place.meaning[2:])
        if (place.line, place.column, place.value) == (node.line - 1, node.column - 1, node.text)
        else place.meaning
        for place in places
    ]
    return edit if text[start : edit.end] == node.text and _gives(text, edit, meant) else None


class _Place(NamedTuple):
    """An event of a text: what it means, and where it stands; lines and columns from 0."""

    kind: str
    value: str
    anchor: str
    tag: str
    plain: bool
    line: int
    column: int
    end_line: int
    end_column: int
    top: bool  # a key of the first document's mapping

    @property
    def meaning(self) -> tuple[object, ...]:
        return self[:5]

    @property
    def value_of_scalar(self) -> bool:
        return self.kind == "ScalarEvent"


def _places(text: str) -> Iterator[_Place]:
    depth, is_key, first = 0, True, True
    for event in _events(text):
        kind = type(event).__name__
        start, end = event.start_mark, event.end_mark
        depth -= kind in _ENDS
        yield _Place(
            kind,
            getattr(event, "value", None) or "",
            getattr(event, "anchor", None) or "",
            getattr(event, "tag", None) or "",
            kind == "ScalarEvent" and not event.style,
            *(start.line, start.column, end.line, end.column),
            top=kind == "ScalarEvent" and depth == 1 and is_key and first,
        )
        if depth == 1 and kind in {"ScalarEvent", "AliasEvent", *_ENDS}:
            is_key = not is_key
        first = first and kind != "DocumentEndEvent"
        depth += kind in {"MappingStartEvent", "SequenceStartEvent"}


_ENDS = frozenset({"MappingEndEvent", "SequenceEndEvent"})


def _offset(text: str, line: int, column: int) -> int:
    """Return where a parser's mark stands; a byte order mark has no column."""
    at = 0
    for _ in range(line):
        end = _BREAK.search(text, at)
        if end is None:
            return len(text)
        at = end.end()
    return at + column + (at == 0 and column > 0 and text.startswith("\ufeff"))


def _gives(text: str, edit: Edit, meant: list[tuple[object, ...]]) -> bool:
    import yaml

    try:
        places = [*_places(applied(text, [edit]))]
    except (yaml.YAMLError, ValueError):
        return False
    return [place.meaning for place in places] == meant
