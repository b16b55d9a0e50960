"""The configuration of hooks: pre-commit's and prek's are read, those of other managers named."""

import re
from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import Any

from lockstitch.git import without_login
from lockstitch.patterns import regex
from lockstitch.repository.files import Repository, once
from lockstitch.repository.text import yaml
from lockstitch.repository.text.yaml import Mapping as Table
from lockstitch.repository.text.yaml import Node, Scalar, Sequence, entries, scalar
from lockstitch.values import Problem, frozen

NAMES = (".pre-commit-config.yaml", ".pre-commit-config.yml")
_TOML = ("prek.toml",)
_OTHER_MANAGERS = regex(
    r"\.?lefthook(?:-local)?\.(?:ya?ml|toml|json)|\.overcommit\.yml|\.lintstagedrc.*"
    r"|lint-staged\.config\.\w+"
)
_HOOK_FOLDERS = regex(r"(?:\.husky|\.githooks|\.git-hooks|\.hooks|git-hooks|githooks)/[^/]+")
_NODE_MANAGERS = regex(r'"(?:husky|lint-staged|simple-git-hooks|pre-commit)"')
NOT_REMOTE = frozenset({"local", "meta", "builtin"})  # what stands for an address of these
_LOCAL_NEEDS = ("id", "name", "entry", "language")
_TOML_ID = regex(r"""\bid\s*=\s*["']([^"']*)["']""")
_TOML_REPO = regex(r"""(?:^|[{,\s])repo\s*=""")
_DEEPEST = 20


@frozen
class Hook:
    """One hook; lists are their texts, and `stages` are the nodes where a text can be replaced."""

    id: str
    entry: str
    language: str
    args: tuple[str, ...]
    dependencies: tuple[str, ...]
    stages: tuple[Scalar, ...]
    options: Mapping[str, str]
    line: int


@frozen
class HookRepo:
    """One repository of hooks; `rev` is empty for one that is not fetched."""

    url: str
    rev: str
    rev_line: int
    hooks: tuple[Hook, ...]
    line: int

    @property
    def remote(self) -> bool:
        """Return whether its hooks are fetched from somewhere."""
        return self.url not in NOT_REMOTE


@frozen
class HookFile:
    """A configuration of pre-commit or prek and its problems."""

    path: str
    text: str
    repos: tuple[HookRepo, ...]
    stages: tuple[Scalar, ...]  # default_stages
    types: tuple[str, ...]  # default_install_hook_types
    line: int  # where the repositories begin
    problems: tuple[Problem, ...]

    def hooks(self) -> Iterator[tuple[HookRepo, Hook]]:
        """Yield all hooks with their repositories."""
        for repo in self.repos:
            for hook in repo.hooks:
                yield repo, hook


@once
def hook_files(repo: Repository) -> tuple[HookFile, ...]:
    """Return the configurations of pre-commit and prek, each read."""
    names = repo.named(*NAMES, *_TOML)
    return tuple(read(n, text) for n in names if (text := repo.text(n)) is not None)


def other_managers(repo: Repository) -> list[str]:
    """Return the files of other managers of hooks, and folders of hooks that git is pointed to."""
    names = [
        name
        for name in repo.names
        if _OTHER_MANAGERS.fullmatch(basename(name)) or _HOOK_FOLDERS.fullmatch(name)
    ]
    package = _NODE_MANAGERS.search(repo.text("package.json") or "")
    return [*names, *(["package.json"] if package else [])]


def read(path: str, text: str) -> HookFile:
    """Return the configuration of a text, by the file's name YAML or TOML; it never raises."""
    reader = _Reader(path, text)
    if basename(path) in _TOML:
        return reader.file(_toml(reader))
    document = yaml.read(text, path)
    reader.problems += [problem for problem in document.problems if problem.fatal]
    return reader.file(document.root)


class _Reader:
    """Reads nodes, and collects what pre-commit would refuse."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.problems: list[Problem] = []

    def complain(self, node: Node, message: str) -> None:
        self.problems.append(Problem(line=node.line, message=message))

    def file(self, root: Node | None) -> HookFile:
        """Return the configuration of a document."""
        top = _values(root)
        if isinstance(root, Sequence):
            self.complain(root, "the file is a list, as in pre-commit 0.x; `repos:` was expected")
        elif not isinstance(root, Table) and not self.problems:
            self.problems.append(Problem(line=1, message="the file has no `repos`"))
        repos = top.get("repos")
        if top and not isinstance(repos, Sequence):
            keys = entries(root) if isinstance(root, Table) else {}
            self.complain(repos or next(iter(keys.values())).key, "`repos` is no list")
        return HookFile(
            path=self.path,
            text=self.text,
            repos=tuple(source for item in _items(repos) if (source := self._repo(item))),
            stages=_scalars(top.get("default_stages")),
            types=_texts(top.get("default_install_hook_types")),
            line=entries(root)["repos"].key.line if repos and isinstance(root, Table) else 1,
            problems=tuple(self.problems),
        )

    def _repo(self, node: Node) -> HookRepo | None:
        if not isinstance(node, Table):
            self.complain(node, "a repository is a mapping with `repo` and `hooks`")
            return None
        values = _values(node)
        url = _text(values.get("repo"))
        if url is None:
            self.complain(node, "a repository has no `repo`")
            return None
        rev, hooks = values.get("rev"), values.get("hooks")
        if url not in NOT_REMOTE and not isinstance(rev, Scalar):
            self.complain(node, f"`{without_login(url):.100}` has no `rev`")
        if not isinstance(hooks, Sequence):
            self.complain(node, f"`{without_login(url):.100}` has no list `hooks`")
        return HookRepo(
            url=url,
            rev=rev.text if isinstance(rev, Scalar) else "",
            rev_line=rev.line if isinstance(rev, Scalar) else node.line,
            hooks=tuple(hook for item in _items(hooks) if (hook := self._hook(item, url))),
            line=node.line,
        )

    def _hook(self, node: Node, url: str) -> Hook | None:
        if not isinstance(node, Table):
            self.complain(node, "a hook is a mapping with `id`")
            return None
        values = _values(node)
        for key in _LOCAL_NEEDS if url == "local" else ("id",):
            if key not in values:
                name = _text(values.get("id")) or "?"
                self.complain(node, f"the hook `{name:.60}` has no `{key}`")
        texts = {key: value.text for key, value in values.items() if isinstance(value, Scalar)}
        return Hook(
            id=texts.get("id", ""),
            entry=texts.get("entry", ""),
            language=texts.get("language", ""),
            args=_texts(values.get("args")),
            dependencies=_texts(values.get("additional_dependencies")),
            stages=_scalars(values.get("stages")),
            options=texts,
            line=node.line,
        )


def _values(node: Node | None) -> dict[str, Node]:
    table = entries(node) if isinstance(node, Table) else {}
    return {key: entry.value for key, entry in table.items()}


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, Scalar) and not node.is_null else None


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, Sequence) else ()


def _scalars(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in _items(node) if isinstance(item, Scalar))


def _texts(node: Node | None) -> tuple[str, ...]:
    return tuple(scalar.text for scalar in _scalars(node))


# --- prek.toml, read as the same document with the lines of its repositories and hooks


def _toml(reader: _Reader) -> Node | None:
    from lockstitch.python.tables import toml

    try:
        document: Any = toml(reader.text)
    except (ValueError, RecursionError) as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else 1
        reader.problems.append(Problem(line=line, message=f"it is no TOML: {error}"))
        return None
    return _node(document, 1, _Lines(reader.text), 0)


class _Lines:
    """The lines of hooks in a TOML text: each `id = "X"` in turn, and each repository."""

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        self._ids = [(n, m[1]) for n, x in enumerate(lines, 1) for m in _TOML_ID.finditer(x)]
        self._repos = [n for n, x in enumerate(lines, 1) if _TOML_REPO.search(x)]

    def place(self, value: Mapping[str, Any]) -> int:
        """Return the line of a repository or hook, taken once, or 0."""
        if "repo" in value and self._repos:
            return self._repos.pop(0)
        for at, (line, name) in enumerate(self._ids):
            if name == value.get("id"):
                del self._ids[at]
                return line
        return 0


def _node(value: Any, line: int, lines: _Lines, depth: int) -> Node:
    if isinstance(value, dict) and depth < _DEEPEST:
        line = lines.place(value) or line
        pairs = tuple(
            yaml.Entry(scalar(str(k), line, 1, ""), _node(v, line, lines, depth + 1))
            for k, v in value.items()
        )
        return Table(pairs, "", line, 1, "")
    if isinstance(value, list) and depth < _DEEPEST:
        items = tuple(_node(item, line, lines, depth + 1) for item in value)
        return Sequence(items, "", line, 1, "")
    return Scalar(str(value), False, "", line, 0, "")  # noqa: FBT003 -- a tuple's field
