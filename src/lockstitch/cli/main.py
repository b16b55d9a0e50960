"""The command line: parses, runs one command, and turns errors into words and exit codes."""

import argparse
import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from lockstitch import __version__
from lockstitch.errors import LockstitchError

__all__ = ["COMMANDS", "main"]


TYPE_CHECKING = False  # `typing` itself is a tenth of the start of `lockstitch --help`
if TYPE_CHECKING:
    from typing import Protocol

    from lockstitch.cli.options import Group, Option

    class Module(Protocol):
        """What a module in `cli.commands` offers."""

        OPTIONS: "Sequence[Option | Group]"

        def run(self, options: argparse.Namespace) -> int:
            """Run the command and return its exit code."""


# Name and first line of help; the module of that name is loaded when the command runs.
COMMANDS = (
    ("new", "Create a project that locks, trains, serves and builds"),
    ("init", "Add lockstitch to an existing project"),
    ("lock", "Pin packages, base image and build requirements"),
    ("build", "Build images from the lock, without Docker"),
    ("try", "Start a built image without a container engine, and name what is missing"),
    ("push", "Push images to a registry"),
    ("login", "Log in to a registry"),
    ("logout", "Log out of a registry"),
    ("run", "Run an image's command in exactly the locked environment"),
    ("serve", "Serve the model locally, and restart when a file changes"),
    ("up", "Start the local stack: PostgreSQL, an S3 store and MLflow"),
    ("down", "Stop the local stack and keep its data"),
    ("status", "Show the services of the local stack: state, address, restarts"),
    ("logs", "Show the logs of the local stack"),
    ("env", "Print the environment variables of the local stack"),
    ("collect", "Import local training runs into the stack's MLflow"),
    ("reset", "Delete the local stack's data"),
    ("render", "Write Dockerfiles from the lock"),
    ("export", "Export the lock for pip, uv and scanners"),
    ("verify-image", "Verify an image's contents, SBOM, provenance and signature"),
    ("sign", "Sign an image with a key, as cosign does"),
    ("inspect", "Show an image's layers, package sizes and labels"),
    ("check", "Find problems that break ML environments"),
    ("explain", "Explain a rule of `lockstitch check`"),
    ("fingerprint", "Fingerprint an environment: interpreter, packages, BLAS, processor, settings"),
    ("verify", "Verify that images and models are the same when rebuilt elsewhere"),
    ("diff", "Show what changed between two environments, what can change results first"),
    ("bisect", "Find by experiment which differences between A and B change a number"),
    ("report", "Write one page of what is known of the environment"),
    ("secrets", "Search the project's files for secrets"),
    ("hooks", "Migrate commit hooks to the versions of the lock"),
    ("demo", "Run the whole workflow on a real project and measure it"),
)
_EPILOG = """\
examples:
  # a project with training and serving, in ./churn
  lockstitch new churn
  # pin everything, then build all images
  lockstitch lock && lockstitch build
"""


_PLACES = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 no, 2 wrong use, 130 stopped."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()  # not at exit, where a reader that went away is a traceback
    except SystemExit:  # argparse: help, version, wrong use
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
            raise
        return _reader_went()
    except LockstitchError as error:
        for each in error.everything():
            _complain(each.message, each.hint)
        return max(each.exit_code for each in error.everything())
    except KeyboardInterrupt:
        _complain("stopped; what was finished is kept", "run the same command again to go on")
        return 130
    except BrokenPipeError:
        return _reader_went()
    except OSError as error:
        return _os_error(error)
    return code


def _reader_went() -> int:
    # The reader has seen enough; nothing may be written at exit either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _os_error(error: OSError) -> int:
    where = f" `{error.filename}`" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        message = f"no space left on the disk{f' for{where}' if where else ''}"
        hint = "free some space, or set LOCKSTITCH_CACHE to a folder on a larger disk"
        _complain(message, hint)
        return 1
    if error.errno in _PLACES:
        _complain(f"{(error.strerror or 'failed').lower()}:{where}", "choose another place")
        return 1
    raise error


def _complain(message: str, hint: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def _run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="lockstitch",
        description="One locked environment, the same on a laptop, in CI and in an image.",
        epilog=_EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lockstitch {__version__}")
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    module = None
    for name, first_line in COMMANDS:
        # Only the module of the command that is called is imported: --help stays quick.
        if words and name == words[0]:
            module = _module(name)
            child = parsers.add_parser(
                name,
                help=first_line,
                description=(module.__doc__ or "").strip().replace(".\n", "\n", 1),
                formatter_class=_formatter,
                allow_abbrev=False,
            )
            _configure(child, module)
        else:
            parsers.add_parser(name, help=first_line, add_help=False)
    # argparse loses words after `--` when options stand before them.
    cut = _program_words(words, module) if module else len(words)
    options = parser.parse_args(words[:cut])
    options.rest = tuple(words[cut + 1 :] if words[cut : cut + 1] == ["--"] else words[cut:])
    if module is None:
        parser.print_help()
        return 0 if not words else 2
    return module.run(options)


def _configure(parser: argparse.ArgumentParser, module: "Module") -> None:
    from lockstitch.cli.options import add

    parser.usage = getattr(module, "USAGE", None)
    add(parser, module.OPTIONS)


def _program_words(words: Sequence[str], module: "Module") -> int:
    """Return where the words for another program begin: at `--`, or where the command says.

    Of `lockstitch run`, at the first word after the image's name that is no option of ours.
    """
    from lockstitch.cli.options import values_of

    rest: str = getattr(module, "REST", "")
    takes_value = values_of(module.OPTIONS)
    named, at = False, 1
    while rest and at < len(words):
        name, equals, _ = words[at].partition("=")
        if name == "--":
            return at
        if name in takes_value:
            at += 1 if equals else 1 + takes_value[name]
        elif name.startswith("-") and not named:  # which argparse refuses by its name
            at += 1
        elif named and rest == "after the name":
            return at
        else:
            named = True
            at += 1
    return min(at, len(words)) if rest else len(words)


def _formatter(prog: str) -> argparse.HelpFormatter:
    # With the width known, argparse does not load shutil and its compressors for it.
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        columns = 82
    return argparse.RawDescriptionHelpFormatter(prog, width=max(40, min(columns, 102) - 2))


def _module(name: str) -> "Module":
    stem = "try_" if name == "try" else name.replace("-", "_")
    module: Module = importlib.import_module(f"lockstitch.cli.commands.{stem}")
    return module
