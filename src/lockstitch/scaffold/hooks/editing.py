"""Edits a configuration by lines, so that the rest stays unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from lockstitch.errors import LockstitchError
from lockstitch.repository.text.yaml_edits import last_line
from lockstitch.scaffold.hooks.reading import Config, Hook, Repo, parse_text
from lockstitch.values import field, frozen, positional

_KEYS = {"repo", "rev", "hooks"}

# What says how to install a remote hook; a local one of the lock needs none of it.
_DROPPED = ("language", "language_version", "additional_dependencies", "minimum_pre_commit_version")


@frozen
class Edit:
    """The changes of a repository: a new rev, and the keys that local hooks get, by place."""

    rev: str = ""
    tag: str = ""
    local: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def apply(config: Config, edits: Mapping[int, Edit]) -> str:
    """Return the text with repositories edited; raises LockstitchError unless it says just that."""
    lines = config.text.splitlines(keepends=True)
    newline = "\r\n" if "\r\n" in config.text else "\n"
    for place in sorted(edits, reverse=True):  # from below, so that the lines above stay in place
        repo, edit = config.repos[place], edits[place]
        if edit.rev:
            _freeze(lines, repo, edit)
        if edit.local:
            start, end = repo.node.start_mark.line, last_line(repo.node) + 1
            lines[start:end] = [*_Writer(lines, newline).repo(repo, edit)]
    text = "".join(lines)
    expected = dict(config.document) | {"repos": [*_expected(config, edits)]}
    try:
        places = parse_text(config.path, text).document
    except LockstitchError:
        places = {}
    if places != expected:
        message = f"`{config.path.name}` is written in a way that cannot be edited"
        raise LockstitchError(message, hint="write each repository and hook on lines of its own")
    return text


def _expected(config: Config, edits: Mapping[int, Edit]) -> Iterator[Mapping[str, Any]]:
    for place, (repo, values) in enumerate(
        zip(config.repos, config.document["repos"], strict=True)
    ):
        edit = edits.get(place, Edit())
        remote = dict(values) | ({"rev": edit.rev} if edit.rev else {})
        for local, group in _runs(repo, edit):
            hooks = [_localized(h.values, edit.local[i]) if local else h.values for i, h in group]
            yield {"repo": "local", "hooks": hooks} if local else remote | {"hooks": hooks}
        if not repo.hooks:
            yield remote


def _runs(repo: Repo, edit: Edit) -> Iterator[tuple[bool, list[tuple[int, Hook]]]]:
    # Hooks run in the order of the file, so a repository may have to become several.
    for local, group in groupby(enumerate(repo.hooks), key=lambda pair: pair[0] in edit.local):
        yield local, [*group]


def _localized(values: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return a hook's values with those of a local one; what the user wrote goes first."""
    kept = {key: value for key, value in values.items() if key not in (*_DROPPED, "entry")}
    return {**added, **kept}


def _freeze(lines: list[str], repo: Repo, edit: Edit) -> None:
    node = repo.value("rev")
    number, start, end = node.start_mark.line, node.start_mark.column, node.end_mark.column
    line = lines[number]
    rest = line[end:].rstrip("\r\n")
    ending = line[end + len(rest) :]
    comment = rest.strip().removeprefix("# frozen:").lstrip("# ")
    if repo.node.flow_style:
        note = rest  # a comment would swallow what follows
    elif rest.strip().startswith("# frozen:") or not comment:
        note = f"  # frozen: {edit.tag}"
    else:
        note = f"  # frozen: {edit.tag}  # {comment}"
    lines[number] = line[:start] + edit.rev + note + ending


@positional
class _Writer:
    """Writes one repository anew, from its own lines where they can be kept."""

    lines: Sequence[str]
    newline: str

    def repo(self, repo: Repo, edit: Edit) -> Iterator[str]:
        start, column = repo.node.start_mark.line, repo.node.start_mark.column
        dash = self.lines[start][:column]
        inner = " " * column
        done = self._first_hook_line(repo)
        for number, (local, group) in enumerate(_runs(repo, edit)):
            kept = None if number else self._header(repo, local=local)
            if kept is None:
                yield f"{dash}repo: {'local' if local else _value(repo.url)}{self.newline}"
                if not local:
                    frozen = f"  # frozen: {edit.tag}" if edit.rev else ""
                    rev = edit.rev or _value(repo.rev)
                    yield f"{inner}rev: {rev}{frozen}{self.newline}"
                yield f"{inner}hooks:{self.newline}"
            else:
                yield from kept
            for place, hook in group:
                added = edit.local.get(place)
                yield from self._hook(repo, hook, added, done, inner)
                done = last_line(hook.node) + 1

    def _first_hook_line(self, repo: Repo) -> int:
        return int(repo.hooks[0].node.start_mark.line)

    def _header(self, repo: Repo, *, local: bool) -> list[str] | None:
        """Return the lines above the first hook, or None when they cannot be kept."""
        keys = [key.value for key, _ in repo.node.value]
        if _in_line(repo) or keys[0] != "repo" or keys[-1] != "hooks" or set(keys) - _KEYS:
            return None
        start = repo.node.start_mark.line
        gone = {repo.value("rev").start_mark.line} if local else set()
        node = repo.value("repo")
        kept = []
        for number in range(start, self._first_hook_line(repo)):
            line = self.lines[number]
            if local and number == node.start_mark.line:
                line = f"{line[: node.start_mark.column]}local{line[node.end_mark.column :]}"
            if number not in gone:
                kept.append(line)
        return kept

    def _hook(
        self, repo: Repo, hook: Hook, added: Mapping[str, Any] | None, done: int, inner: str
    ) -> Iterator[str]:
        start, last = hook.node.start_mark.line, last_line(hook.node)
        in_line = _in_line(repo)
        if not in_line:
            yield from self.lines[done:start]  # comments above it
        keys = [key.value for key, _ in hook.node.value]
        if in_line or hook.node.flow_style or (added and keys[0] in (*_DROPPED, "entry")):
            dash = f"{inner}  - " if in_line else self.lines[start][: hook.node.start_mark.column]
            values = hook.values if added is None else _localized(hook.values, added)
            first = {"id": hook.id} | dict(values)
            for number, (key, value) in enumerate(first.items()):
                indent = " " * len(dash) if number else dash
                yield f"{indent}{key}: {_value(value)}{self.newline}"
        elif added is None:
            yield from self.lines[start : last + 1]
        else:
            yield from self._kept_lines(hook, added)

    def _kept_lines(self, hook: Hook, added: Mapping[str, Any]) -> Iterator[str]:
        start, last = hook.node.start_mark.line, last_line(hook.node)
        gone: set[int] = set()
        for key, value in hook.node.value:
            if key.value in (*_DROPPED, "entry"):
                gone |= {*range(key.start_mark.line, last_line(value) + 1)}
        after = last_line(next(value for key, value in hook.node.value if key.value == "id"))
        indent = " " * hook.node.start_mark.column
        taken = {*hook.values} - {*_DROPPED, "entry"}
        for number in range(start, last + 1):
            if number not in gone:
                line = self.lines[number]
                yield line if line.endswith("\n") else line + self.newline
            if number == after:
                for key, value in added.items():
                    if key not in taken:
                        yield f"{indent}{key}: {_value(value)}{self.newline}"


def _in_line(repo: Repo) -> bool:
    return bool(repo.node.flow_style or repo.listed.flow_style)


def _value(value: object) -> str:
    """Return a value in YAML, on one line."""
    import yaml

    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        allow_unicode=True,
        width=2**20,
        default_style='"' if isinstance(value, str) and not value.isprintable() else None,
    )
    return str(text).removesuffix("\n").removesuffix("\n...")
