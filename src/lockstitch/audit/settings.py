"""Which rules run on which files, by [tool.lockstitch.check] and the command line."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstitch import files
from lockstitch.audit.rule import CheckOptions, Rule
from lockstitch.errors import LockstitchError, UsageError, nearest, raise_all
from lockstitch.python.settings import conform, schema
from lockstitch.python.tables import table, toml
from lockstitch.values import field, frozen


@frozen
class Settings:
    """Codes or their beginnings (`IMG`), and globs of files."""

    select: tuple[str, ...] = ()  # empty: the rules that are on by default
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # files that are not looked at
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: CheckOptions = field(default_factory=CheckOptions)  # of the command line

    def ignores(self, code: str, path: str) -> bool:
        """Return whether a code is ignored in a file."""
        return any(
            code.startswith(codes)
            for glob, codes in self.per_file.items()
            if files.matches(path, glob)
        )


def load(root: Path, codes: Sequence[str]) -> Settings:
    """Return the settings of a folder's pyproject.toml, or raise every problem of them.

    A pyproject.toml that is no TOML has no settings: a rule says what is wrong with it.
    """
    path = root / "pyproject.toml"
    try:
        document: dict[str, Any] = toml(files.read_text(path)) if path.is_file() else {}
    except (ValueError, RecursionError, LockstitchError):
        return Settings()
    tool = document.get("tool", {})
    own = tool.get("lockstitch", {}) if isinstance(tool, Mapping) else None
    if not isinstance(own, Mapping):
        return Settings()
    problems: list[LockstitchError] = []
    read = conform(own.get("check", {}), problems, "check", by=schema()["properties"]["check"])
    settings = Settings(
        select=read["select"],
        extend_select=read["extend-select"],
        ignore=read["ignore"],
        exclude=read["exclude"],
        per_file=read["per-file-ignores"],
    )
    named = (*settings.select, *settings.extend_select, *settings.ignore)
    named += tuple(code for codes in settings.per_file.values() for code in codes)
    problems += _unknown(named, codes, LockstitchError)
    raise_all(problems)
    return settings


def holder(folder: Path) -> Path | None:
    """Return the nearest folder, this one or above it in its repository, that has settings."""
    folder = folder.resolve()
    for path in (folder, *folder.parents):
        try:
            document = toml(files.read_text(path / "pyproject.toml"))
        except (ValueError, RecursionError, LockstitchError):
            document = {}
        if "check" in table(document, "tool", "lockstitch"):
            return path
        if (path / ".git").exists():
            break
    return None


def chosen(
    rules: Sequence[type[Rule]],
    settings: Settings,
    *,
    select: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> list[type[Rule]]:
    """Return the rules that run, by settings or `select`; raises UsageError for unknown codes."""
    codes = [rule.__name__ for rule in rules]
    raise_all(list(_unknown((*select, *extend_select, *ignore), codes, UsageError)))
    wanted = tuple(select) or settings.select
    more = (*extend_select, *settings.extend_select)
    left_out = (*ignore, *(settings.ignore if not select else ()))
    kept = []
    for rule in rules:
        code = rule.__name__
        if (rule.default and not wanted) or _matches(code, (*wanted, *more)):
            exact = code in (*wanted, *more)  # `--select RUN003 --ignore RUN` keeps it
            if code not in left_out and (exact or not _matches(code, left_out)):
                kept.append(rule)
    return kept


def _matches(code: str, codes: Sequence[str]) -> bool:
    return any(code.startswith(prefix) or prefix == "ALL" for prefix in codes)


def _unknown(
    named: Iterable[str], codes: Sequence[str], kind: type[LockstitchError]
) -> Iterable[LockstitchError]:
    for prefix in dict.fromkeys(named):
        if prefix != "ALL" and not any(code.startswith(prefix) for code in codes):
            families = ", ".join(dict.fromkeys(code[:3] for code in codes))
            hint = nearest(prefix.upper(), codes, f"families: {families}")
            yield kind(f"`{prefix}` is no code of a rule", hint=hint)
