"""Reads .pre-commit-config.yaml, with the place of each value in the text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstitch.errors import LockstitchError
from lockstitch.repository.hooks import configuration
from lockstitch.repository.hooks.configuration import NAMES, NOT_REMOTE
from lockstitch.values import frozen

if TYPE_CHECKING:
    import yaml

# A configuration has some hundred lines; what goes beyond these is no configuration.
_MOST_BYTES, _MOST_EVENTS, _DEEPEST = 256 * 1024, 20_000, 24


@frozen
class Hook:
    """One hook: its keys and values, and where they are."""

    id: str
    values: Mapping[str, Any]
    node: "yaml.MappingNode"

    @property
    def line(self) -> int:
        """The line that it starts in, from 1."""
        return self.node.start_mark.line + 1


@frozen
class Repo:
    """A repository of hooks. `rev` is empty when `remote` is not set."""

    url: str
    rev: str
    hooks: Sequence[Hook]
    node: "yaml.MappingNode"

    @property
    def remote(self) -> bool:
        """Whether its hooks are fetched from somewhere."""
        return self.url not in NOT_REMOTE

    @property
    def line(self) -> int:
        """The line that it starts in, from 1."""
        return self.node.start_mark.line + 1

    @property
    def listed(self) -> "yaml.SequenceNode":
        """The node of its list of hooks."""
        hooks: yaml.SequenceNode = _value(self.node, "hooks")
        return hooks

    def value(self, key: str) -> "yaml.Node":
        """Return the node of a value, which must be there."""
        value: yaml.Node = _value(self.node, key)
        return value


@frozen
class Config:
    """A configuration: its text, what the text says, and its repositories in order."""

    path: Path
    text: str
    document: Mapping[str, Any]
    repos: Sequence[Repo]


def find(folder: Path) -> Path:
    """Return the configuration in a folder or the nearest one above, or raise LockstitchError."""
    start = folder.absolute()
    for place in (start, *start.parents) if folder.is_dir() else ():
        for name in NAMES:
            if (place / name).is_file():
                return place / name
        if (place / ".git").exists():
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
    """Return the hooks of a configuration's text."""
    import yaml

    try:
        _measure(path, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loader = yaml.SafeLoader("")
        document = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _wrong(path, line, error.problem or error.context or "is not YAML") from error
    except (yaml.YAMLError, ValueError) as error:  # a character or a date that cannot be
        raise _wrong(path, 1, str(error).splitlines()[0]) from error
    for problem in configuration.read(path.name, text).problems:
        raise _wrong(path, problem.line or 1, problem.message)
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


def _repos(path: Path, node: Any, document: Mapping[str, Any]) -> list[Repo]:
    """Return the repositories of a document in which the reader has found no problem."""
    repos = []
    for node_of, values in zip(_value(node, "repos").value, document["repos"], strict=True):
        url = _text(path, node_of, values, "repo")
        rev = _text(path, node_of, values, "rev") if url not in NOT_REMOTE else ""
        hooks = [
            Hook(id=_text(path, hook, keys, "id"), values=keys, node=hook)
            for hook, keys in zip(_value(node_of, "hooks").value, values["hooks"], strict=True)
        ]
        repos.append(Repo(url=url, rev=rev, hooks=hooks, node=node_of))
    return repos


def _value(node: "yaml.MappingNode", key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)


def _text(path: Path, node: "yaml.MappingNode", values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _wrong(path, node.start_mark.line + 1, f"`{key}` is not a text")
    return value
