"""The command line: parses, runs one command, and turns errors into words and exit codes."""

import contextlib
import errno
import gc
import importlib
import os
import sys
from collections.abc import Sequence

from lockstitch import __version__
from lockstitch.errors import LockstitchError

TYPE_CHECKING = False  # `typing` itself is a tenth of the start of `lockstitch --help`
if TYPE_CHECKING:
    import argparse
    from typing import NoReturn, Protocol

    from lockstitch.cli.options import Group, Option

    class Module(Protocol):
        """The interface of a module in `cli.commands`."""

        OPTIONS: "Sequence[Option | Group]"

        def run(self, options: "argparse.Namespace") -> int:
            """Run the command and return its exit code."""


# Name and first line of help; the module of its last word is loaded when the command runs.
COMMANDS = (
    ("new", "Create a project that locks, trains, serves and builds"),
    ("init", "Add lockstitch to an existing project"),
    ("lock", "Pin packages, base image and build requirements"),
    ("build", "Build images from the lock, without Docker"),
    ("pack", "Write all that builds need into one file, for a machine without a network"),
    ("try", "Start a built image without a container engine, and name what is missing"),
    ("run", "Run an image's command in exactly the locked environment"),
    ("serve", "Serve the model locally, and restart when a file changes"),
    ("image push", "Push images to a registry"),
    ("image login", "Log in to a registry"),
    ("image logout", "Log out of a registry"),
    ("image inspect", "Show an image's layers, package sizes and labels"),
    ("image sign", "Sign an image with a key, as cosign does"),
    ("image verify", "Verify an image's contents, SBOM, provenance and signature"),
    ("stack up", "Start the local stack: PostgreSQL, an S3 store and MLflow"),
    ("stack down", "Stop the local stack and keep its data"),
    ("stack status", "Show the services of the local stack: state, address, restarts"),
    ("stack logs", "Show the logs of the local stack"),
    ("stack env", "Print the environment variables of the local stack"),
    ("stack open", "Open the page of MLflow or of the object store in a browser"),
    ("stack import", "Import local training runs into the stack's MLflow"),
    ("stack reset", "Delete the local stack's data"),
    ("check", "Find problems that break ML environments"),
    ("verify", "Verify that images and models are the same when rebuilt elsewhere"),
    ("report", "Write one page: image sizes, changes of the lock, findings, proofs"),
    ("diff", "Show what changed between two environments or more, ordered by effect on results"),
    ("bisect", "Find by experiment which differences between A and B change a number"),
    ("export", "Export the lock for pip, uv and scanners"),
    ("export dockerfile", "Write Dockerfiles from the lock"),
    ("export target", "Write a target's files: a script for Slurm, manifests for Kubernetes"),
    ("hooks", "Migrate commit hooks to the versions of the lock"),
    ("fingerprint", "Fingerprint an environment: interpreter, packages, BLAS, processor, settings"),
    ("cache dir", "Print the folder of the store"),
    ("cache size", "Show what the store holds, by kind"),
    ("cache prune", "Remove from the store what was not used for long"),
    ("self completion", "Print a script that completes commands and options in a shell"),
    ("self version", "Print the version"),
    ("self demo", "Run the whole workflow on a real project and measure it"),
)
# The overview: a title, and names of commands or of the groups below.
_OVERVIEW = (
    ("project", ("new", "init", "lock", "build", "pack", "try", "run", "serve")),
    ("images and stack", ("image", "stack")),
    ("quality", ("check", "verify", "report", "diff", "bisect")),
    ("files", ("export", "hooks", "fingerprint")),
    ("this program", ("cache", "self", "help")),
)
GROUPS = {
    "image": "Push, sign, verify and inspect images, and log in to registries",
    "stack": "Run PostgreSQL, an S3 store and MLflow on this machine",
    "cache": "Show and prune the store of downloads and layers, which all projects share",
    "self": "Completion for shells, the version, and a demonstration",
}
_MODULES = {  # of commands that are not called like their module
    "try": "try_",
    "image verify": "verify_image",
    "stack import": "collect",
    "export dockerfile": "render",
    "export target": "target",
}
_EXAMPLES = """\
examples:
  # a project with training and serving, in ./churn
  lockstitch new churn
  # pin everything, then build all images
  lockstitch lock && lockstitch build
"""
_HELP = {"-h", "--help"}
_KEPT = 50_000  # objects that are made before Python looks for garbage: modules, which stay


_PLACES = {
    errno.EACCES,
    errno.EBADF,
    errno.EIO,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 no, 2 wrong use, 130 stopped."""
    if argv is None:
        gc.set_threshold(_KEPT)
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None or sys.stderr is None:
        return _closed()
    try:
        code = _run(words)
        sys.stdout.flush()  # not at exit, where a reader that went away is a traceback
    except SystemExit:  # argparse: help, version, wrong use
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            return _reader_went()
        except OSError as error:
            return _os_error(error)
        raise
    except LockstitchError as error:
        for problem in error.everything():
            _complain(problem.message, problem.hint)
        return max(problem.exit_code for problem in error.everything())
    except KeyboardInterrupt:
        _complain("stopped; what was finished is kept", "run the same command again to go on")
        return 130
    except BrokenPipeError:
        return _reader_went()
    except OSError as error:
        return _os_error(error)
    finally:
        if argv is None:
            gc.freeze()  # the end of the process looks through no object for what can go
    return code


def _closed() -> int:
    """Say on the output that is there that the other is closed: a file would take its number."""
    for name, there in (("output", sys.stderr), ("error", sys.stdout)):
        if there is not None:
            with contextlib.suppress(OSError):
                there.write(f"error: the standard {name} is closed\n")
                there.flush()
    return 1


def _reader_went() -> int:
    # The reader has seen enough; nothing may be written at exit either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _os_error(error: OSError) -> int:
    where = f" `{error.filename}`" if error.filename else ""
    try:
        sys.stdout.flush()
    except OSError:  # what could not be written would be tried again at exit, and told once more
        _reader_went()
        _complain(f"the standard output cannot be written: {(error.strerror or 'failed').lower()}")
        return 1
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        message = f"no space left on the disk{f' for{where}' if where else ''}"
        hint = "free some space, or set LOCKSTITCH_CACHE to a folder on a larger disk"
        _complain(message, hint)
        return 1
    if error.errno in _PLACES:
        hint = "name one that exists" if error.errno == errno.ENOENT else "choose another place"
        _complain(f"{(error.strerror or 'failed').lower()}:{where}", hint)
        return 1
    raise error


def _complain(message: str, hint: str = "") -> None:
    from lockstitch import colour

    with contextlib.suppress(OSError):  # a full disk behind it: the exit code tells
        print(colour.line(f"error: {message}", sys.stderr), file=sys.stderr)
        if hint:
            print(colour.line(f"hint: {hint}", sys.stderr), file=sys.stderr)


def _run(words: list[str]) -> int:
    if not words or words[0] in _HELP or words == ["help"]:
        sys.stdout.write(_overview())
        return 0
    if words[0] == "help":
        return _run([*words[1:], "--help"])
    if words[0] in {"-V", "--version"}:
        sys.stdout.write(f"lockstitch {__version__}\n")
        return 0
    known = dict(COMMANDS)
    name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
    if name in GROUPS:
        if not words[1:] or words[1] in _HELP:
            sys.stdout.write(_overview(name))
            return 0
        _refuse(f"`lockstitch {name}` has no command `{words[1]}`", words[1], name)
    if name not in known:
        what = "option" if name.startswith("-") else "command"
        _refuse(f"`{name}` is no {what} of lockstitch", name)
    return _command(name, words[len(name.split()) :])


def _command(name: str, words: list[str]) -> int:
    if name == "build":
        from lockstitch.cli import unchanged

        code = unchanged.answer(words)
        if code is not None:
            return code
    from lockstitch.cli.options import COMMON_NAMES, Parser, add, missing

    module = module_of(name)
    parser = Parser(
        prog=f"lockstitch {name}",
        usage=getattr(module, "USAGE", None),
        description=(module.__doc__ or "").strip().replace(".\n", "\n", 1),
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    add(parser, module.OPTIONS)
    add(parser, missing(module.OPTIONS, COMMON_NAMES))
    # argparse loses words after `--` when options stand before them.
    cut = _program_words(words, module)
    options = parser.parse_args(words[:cut])
    options.command = name
    options.words = tuple(words)
    options.rest = tuple(words[cut + 1 :] if words[cut : cut + 1] == ["--"] else words[cut:])
    if options.verbose:
        from lockstitch import process

        process.show_commands()
    return module.run(options)


def _overview(group: str = "") -> str:
    """Return the help of all commands, or of a group."""
    lines = [f"usage: lockstitch {f'{group} ' if group else ''}[-h] COMMAND ...", ""]
    if group:
        lines += [GROUPS[group], "", "commands:"]
        rows = [(n.split()[1], line) for n, line in COMMANDS if n.startswith(f"{group} ")]
        lines += [f"  {name:<14}{line}" for name, line in rows]
        return "\n".join([*lines, "", f"`lockstitch help {group} COMMAND` says more", ""])
    lines += ["One locked environment, the same on a laptop, in CI and in an image.", ""]
    about = {**dict(COMMANDS), **GROUPS, "help": "Show the help of a command"}
    for title, names in _OVERVIEW:
        lines += [f"{title}:", *(f"  {name:<14}{about[name]}" for name in names), ""]
    lines += ["options:", "  -h, --help    show this help", "  -V, --version show the version"]
    return "\n".join([*lines, "", _EXAMPLES])


def _refuse(message: str, word: str, group: str = "") -> "NoReturn":
    """Say that a word is no command, with the nearest one, and leave with 2."""
    import difflib

    names = [*dict(COMMANDS), *GROUPS]
    if group:
        names = [name for name in names if name.startswith(f"{group} ")]
    by_word = {alias: name for name in reversed(names) for alias in (name, name.split()[-1])}
    near = difflib.get_close_matches(word, by_word, n=1)
    usage = f"lockstitch {group} [-h] COMMAND ..." if group else "lockstitch [-h] COMMAND ..."
    print(f"usage: {usage}", file=sys.stderr)
    hint = f"did you mean `lockstitch {by_word[near[0]]}`?" if near else f"lockstitch help {group}"
    _complain(message, hint.strip())
    raise SystemExit(2)


def _program_words(words: Sequence[str], module: "Module") -> int:
    """Return where the words for another program begin: at `--`, or where the command says.

    Of `lockstitch run`, at the first word after the image's name that is no option of ours.
    """
    from lockstitch.cli.options import values_of

    rest: str = getattr(module, "REST", "")
    takes_value = values_of(module.OPTIONS)
    named, at = False, 0
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


def _formatter(prog: str) -> "argparse.HelpFormatter":
    import argparse

    # With the width known, argparse does not load shutil and its compressors for it.
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        columns = 82
    return argparse.RawDescriptionHelpFormatter(prog, width=max(40, min(columns, 102) - 2))


def module_of(name: str) -> "Module":
    """Return the module of a command."""
    stem = _MODULES.get(name, name.rsplit(maxsplit=1)[-1])
    module: Module = importlib.import_module(f"lockstitch.cli.commands.{stem}")
    return module
