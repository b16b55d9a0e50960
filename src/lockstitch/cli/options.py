"""The options of commands as values, and those that several commands have.

A command's module has `OPTIONS`: operands, options and flags in the order of its help, some of
them in a group with a title.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lockstitch import colour
from lockstitch.values import positional


@positional
class Option:
    """One operand or option: its names, and the settings for argparse."""

    names: Sequence[str]
    settings: Mapping[str, Any]


@positional
class Group:
    """Options under a title, or options that exclude each other."""

    title: str
    options: Sequence["Option | Group"]


def operand(name: str, metavar: str, help: str, **more: Any) -> Option:  # noqa: A002 -- argparse's word
    """Return a word without dashes."""
    return Option((name,), {"metavar": metavar, "help": help, **more})


def option(words: str, help: str, *, short: str = "", **more: Any) -> Option:  # noqa: A002 -- as above
    """Return an option with a value, as in `--output FILE`; without a metavar it has `choices`."""
    name, _, metavar = words.partition(" ")
    shown = {"metavar": metavar} if metavar else {}
    return Option((short, name) if short else (name,), {**shown, "help": help, **more})


def repeatable(words: str, help: str, **more: Any) -> Option:  # noqa: A002 -- as above
    """Return an option with a value that may be given again; its value is a list."""
    return option(words, help, action="append", default=[], **more)


def flag(name: str, help: str, *, short: str = "", **more: Any) -> Option:  # noqa: A002 -- as above
    """Return an option without a value."""
    names = (short, name) if short else (name,)
    return Option(names, {"action": "store_true", "help": help, **more})


def group(title: str, *options: Option | Group) -> Group:
    """Return options under a title."""
    return Group(title, options)


def exclusive(*options: Option) -> Group:
    """Return options of which one command line may have one."""
    return Group("", options)


def missing(options: Sequence[Option | Group], wanted: Sequence[Option]) -> list[Option]:
    """Return those of the wanted options that a command does not have itself."""
    names = values_of(options)
    return [one for one in wanted if one.names[-1] not in names]


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest option or choice, and exit with 2."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, with a hint where a name is near."""
        self.print_usage(sys.stderr)
        sys.stderr.write(colour.line(f"error: {message}\n", sys.stderr))
        unknown = re.search(r"unrecognized arguments: .*?(--?[\w-]+)", message)
        choice = re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message)
        near: list[str] = []
        if wrong := unknown or choice:
            from difflib import get_close_matches

            listed = re.findall(r"[\w./-]+", choice[2]) if choice else []
            named = [*self._option_string_actions] if unknown else listed
            near = get_close_matches(wrong[1], named, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"{self.prog} --help"
        sys.stderr.write(colour.line(f"hint: {hint}\n", sys.stderr))
        raise SystemExit(2)


def values_of(options: Sequence[Option | Group]) -> dict[str, bool]:
    """Return the names of options, with dashes, and whether a value follows each."""
    names: dict[str, bool] = {}
    for item in options:
        if isinstance(item, Group):
            names |= values_of(item.options)
        elif item.names[0].startswith("-"):
            takes = item.settings.get("action") != "store_true"
            names |= dict.fromkeys(item.names, takes)
    return names


def add(parser: "argparse._ActionsContainer", options: Sequence[Option | Group]) -> None:
    """Add options to a parser, or to a group of it."""
    for item in options:
        if isinstance(item, Option):
            parser.add_argument(*item.names, **item.settings)
        elif item.title:
            add(parser.add_argument_group(item.title), item.options)
        else:
            add(parser.add_mutually_exclusive_group(), item.options)


PROJECT = option(
    "--project PATH",
    "folder to find the project from (default: this one)",
    type=Path,
    default=Path(),
)
QUIET = flag("--quiet", "show no progress", short="-q")
DRY_RUN = flag("--dry-run", "change nothing; show what would be done")
VERBOSE = flag("--verbose", "show the programs that are started", short="-v")
JSON = flag("--json", "print the result as JSON")
COMMON = group("common options", PROJECT, QUIET, JSON)
COMMON_QUIET = group("common options", PROJECT, QUIET)  # of commands that start a program
COMMON_NAMES = (PROJECT, QUIET, VERBOSE, JSON, DRY_RUN)  # that every command has
LAYOUT = option("--layout PATH", "OCI layout (default: .lockstitch/images)", type=Path)
INSECURE = repeatable(
    "--insecure-registry HOST",
    "host (with port) that may be asked over http; this machine always may",
)
PLATFORM = option("--platform P", "of an index, the image of this platform")
REFERENCE = operand(
    "reference", "REF", "HOST/REPOSITORY[:TAG][@DIGEST], or the name of an image in the layout"
)
HOST = operand("host", "HOST", "registry, such as docker.io or localhost:5000")
TARGET = group(  # of a lock: the part of it, and the machine that it is read for
    "how a lock is read",
    option("--image NAME", "groups and extras of this image (default: all)"),
    option(
        "--platform",
        "choose wheels of this platform (default: the project's first, else this machine's)",
        choices=("linux/amd64", "linux/arm64"),
        default="",
    ),
    option(
        "--python X.Y.Z",
        "choose wheels of this Python (default: the base's, else that of lockstitch)",
        default="",
    ),
)
