"""Reads .pre-commit-config.yaml, with the place of each value in the text."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch.errors import LockstitchError

if TYPE_CHECKING:
    import yaml

__all__ = ["NAMES", "Config", "Hook", "Repo", "find", "parse", "parse_text"]

NAMES = (".pre-commit-config.yaml", ".pre-commit-config.yml")
# A configuration has some hundred lines; what goes beyond these is no configuration.
_MOST_BYTES, _MOST_EVENTS, _DEEPEST = 256 * 1024, 20_000, 24
_NOT_REMOTE = {"local", "meta", "builtin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One hook: its keys and values, and where they are."""

    id: str
    values: Mapping[str, Any]
    node: "yaml.MappingNode"

    @property
    def line(self) -> int:
        """The line that it starts in, from 1."""
        return self.node.start_mark.line + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """A repository of hooks. `rev` is empty when `remote` is not set."""

    url: str
    rev: str
    hooks: Sequence[Hook]
    node: "yaml.MappingNode"

    @property
    def remote(self) -> bool:
        """Whether its hooks are fetched from somewhere."""
        return self.url not in _NOT_REMOTE

    @property
    def line(self) -> int:
        """The line that it starts in, from 1."""
        return self.node.start_mark.line + 1

    @property
    def listed(self) -> "yaml.SequenceNode":
        """The node of its list of hooks."""
        import yaml

        found = self.value("hooks")
        assert isinstance(found, yaml.SequenceNode)  # noqa: S101 -- `parse` saw to it
        return found

    def value(self, key: str) -> "yaml.Node":
        """Return the node of a value, which must be there."""
        found: yaml.Node = next(value for name, value in self.node.value if name.value == key)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration: its text, what the text says, and its repositories in order."""

    path: Path
    text: str
    document: Mapping[str, Any]
    repos: Sequence[Repo]


def find(folder: Path) -> Path:
    """Return the configuration in a folder or the nearest one above, or raise LockstitchError."""
    start = folder.absolute()
    for each in (start, *start.parents) if folder.is_dir() else ():
        for name in NAMES:
            if (each / name).is_file():
                return each / name
        if (each / ".git").exists():
            break
    message = f"there is no `{NAMES[0]}` in `{folder}` or in a folder above"
    raise LockstitchError(message, hint="name the folder that has it with --project")


def parse(path: Path) -> Config:
    """Read a configuration. Raises LockstitchError with the line of what is wrong."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        message = f"`{path.name}` has {size} bytes, and at most {_MOST_BYTES} are read"
        raise LockstitchError(message)
    try:
        text = path.read_bytes().decode()  # with the line ends that it has
    except UnicodeDecodeError as error:
        message = f"`{path.name}` is not UTF-8: byte {error.start}"
        raise LockstitchError(message, hint="save the file as UTF-8") from error
    return parse_text(path, text)


def parse_text(path: Path, text: str) -> Config:
    """Return what a configuration's text says."""
    import yaml

    try:
        _measure(path, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loader = yaml.SafeLoader("")
        document = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _wrong(path, line, error.problem or error.context or "is not YAML") from error
    except (yaml.YAMLError, ValueError) as error:  # a character or a date that cannot be
        raise _wrong(path, 1, str(error).splitlines()[0]) from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(document, dict):
        raise _wrong(path, 1, "a mapping with `repos` was expected")
    return Config(path=path, text=text, document=document, repos=_repos(path, node, document))


def _wrong(path: Path, line: int, what: str) -> LockstitchError:
    message = f"`{path.name}` line {line}: {what}"
    return LockstitchError(message, hint="correct the file; nothing was changed")


def _measure(path: Path, text: str) -> None:
    # Events come one at a time and no alias is followed, so this ends whatever the text is.
    import yaml

    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise _wrong(path, line, f"`*{event.anchor}` stands for another value; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or count > _MOST_EVENTS:
            raise _wrong(path, line, "is too large or too deep for a configuration of hooks")


def _repos(path: Path, node: "yaml.MappingNode", document: Mapping[str, Any]) -> list[Repo]:
    import yaml

    listed = [value for key, value in node.value if key.value == "repos"]
    if len(listed) != 1 or not isinstance(listed[0], yaml.SequenceNode):
        raise _wrong(path, node.start_mark.line + 1, "one list `repos` was expected")
    pairs = zip(listed[0].value, document["repos"], strict=True)
    return [_repo(path, each, values) for each, values in pairs]


def _repo(path: Path, node: "yaml.Node", values: object) -> Repo:
    import yaml

    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise _wrong(path, node.start_mark.line + 1, "a repository is a mapping")
    _unique(path, node)
    url = _text(path, node, values, "repo")
    remote = url not in _NOT_REMOTE
    rev = _text(path, node, values, "rev") if remote else ""
    listed = [value for key, value in node.value if key.value == "hooks"]
    if not listed or not isinstance(listed[0], yaml.SequenceNode):
        raise _wrong(path, node.start_mark.line + 1, "a repository needs a list `hooks`")
    hooks = []
    for each, found in zip(listed[0].value, values["hooks"], strict=True):
        if not isinstance(each, yaml.MappingNode) or not isinstance(found, dict):
            raise _wrong(path, each.start_mark.line + 1, "a hook is a mapping")
        _unique(path, each)
        hooks.append(Hook(id=_text(path, each, found, "id"), values=found, node=each))
    return Repo(url=url, rev=rev, hooks=hooks, node=node)


def _unique(path: Path, node: "yaml.MappingNode") -> None:
    seen: set[Hashable] = set()
    for key, _ in node.value:
        if key.value in seen or not isinstance(key.value, str):
            raise _wrong(path, key.start_mark.line + 1, f"`{key.value}` is there twice")
        seen.add(key.value)


def _text(path: Path, node: "yaml.MappingNode", values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    if not isinstance(found, str) or not found.strip() or not found.isprintable():
        given = "is missing" if found is None else "is not a text"
        raise _wrong(path, node.start_mark.line + 1, f"`{key}` {given}")
    return found
