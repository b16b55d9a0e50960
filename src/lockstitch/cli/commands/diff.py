"""Show what changed between two environments or more, ordered by effect on results.

A, B and further ones are any of: an environment, a container, another host, a lock, a git
revision, an image, a fingerprint, a run record; the help of `lockstitch fingerprint` has the forms.
They are compared by meaning: a fact that one side lacks is no difference, and two locks with
different bytes may be the same. Of more than two it is shown what most of them have, and which are
the odd ones out. Exit code 1: something differs that can change results.

examples:
  # what an upgrade changed
  lockstitch diff uv.lock@HEAD~1 uv.lock
  # what trained the model, and what serves it
  lockstitch diff models/train.run.json serve
  # does this environment match the lock, file by file
  lockstitch diff uv.lock .venv
  # which of these is the odd one out
  lockstitch diff container:a container:b container:c ssh:gpu1
  # what differed between the nodes of a cluster
  lockstitch diff models/train.run.json --ranks
  # for a pull request
  lockstitch diff main HEAD --markdown >> "$GITHUB_STEP_SUMMARY"
"""

import argparse
import sys
from pathlib import Path

from lockstitch.cli.options import COMMON, TARGET, flag, group, operand
from lockstitch.cli.session import patience, print_json
from lockstitch.drift import compare, source, text
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.progress import say
from lockstitch.store import Store, default_root
from lockstitch.table import first_of

OPTIONS = (
    operand("before", "A", "an environment, a lock, an image, …"),
    operand("others", "B", "what it is compared with; more than one is possible", nargs="*"),
    flag("--ranks", "show what differed between the ranks of the run record A"),
    group(
        "output",
        flag("--all", "list also what is not known to change results"),
        flag("--markdown", "print tables for a pull request"),
    ),
    TARGET,
    COMMON,
)


def run(options: argparse.Namespace) -> int:
    if options.ranks:
        return _ranks(options)
    if not options.others:
        message = f"`{options.before}` is compared with nothing: B is missing"
        raise UsageError(message, hint=f"lockstitch diff {options.before} .venv")
    where = source.context(
        options.project, image=options.image, platform=options.platform, python=options.python
    )
    return _several(options, where) if len(options.others) > 1 else _two(options, where)


def _two(options: argparse.Namespace, where: source.Context) -> int:
    from lockstitch.image import startup

    words = (options.before, *options.others)
    with patience(options, f"compare {words[0]} and {words[1]}"):
        before, after = (source.read_whole(word, where) for word in words)
        differences = source.differences(before, after, where)
        started, unread = _started(before, after)
    if options.json:
        document = text.document(before, after, differences)
        document |= {"startup": started} if started else {}
        print_json(document | ({"startup-unknown": unread} if unread else {}))
    elif options.markdown:
        sys.stdout.write(text.markdown(words[0], words[1], differences))
    elif differences:
        sys.stdout.write(text.listing(differences, everything=options.all))
    else:
        say("no difference")
    for sentence in startup.sentences(started):
        say(f"warning: {sentence}")
    if unread:
        names = first_of([f"`{name}`" for name in unread], 3)
        say(f"code at each start of Python: not known of {names}, whose wheels were not read here")
    return int(compare.matters(differences))


def _several(options: argparse.Namespace, where: source.Context) -> int:
    """Show what most environments have, and the odd ones out."""
    from lockstitch.drift import several

    words = [options.before, *options.others]
    if options.markdown:
        message = f"--markdown compares two sources, and here are {len(words)}"
        raise UsageError(message, hint=f"lockstitch diff {' '.join(words[:2])} --markdown")
    names = several.named(words)
    with patience(options, f"compare {len(words)} sources"):
        prints = [source.read_whole(word, where) for word in words]
        facts = several.compared(names, prints, where)
    if options.json:
        print_json(several.document(names, prints, facts))
    elif facts:
        sys.stdout.write(several.listing(names, facts, everything=options.all))
    else:
        say("no difference")
    return int(any(fact.strongest.effect.matters for fact in facts))


def _started(before: Fingerprint, after: Fingerprint) -> tuple[dict[str, list[str]], list[str]]:
    """Return the code run at each start of Python in B and not in A, and the unknown packages.

    Known are those of which a wheel is in the store, or was read when it was locked here.
    """
    from lockstitch.image import startup

    was, now = (
        {package.name: package.artifacts for package in side.packages} for side in (before, after)
    )
    changed = {name: wheels for name, wheels in now.items() if wheels and wheels != was.get(name)}
    if not any(was.values()):
        return {}, []
    store = Store(default_root())
    unread = [
        name
        for name, wheels in sorted(changed.items())
        if all(startup.known(wheel, store) is None for wheel in wheels)
    ]
    return startup.between(was, changed, store), unread


def _ranks(options: argparse.Namespace) -> int:
    """Show what differed between the ranks of a run; none of it stopped the run."""
    from lockstitch.run import record

    if options.others:
        message = "--ranks compares the ranks of one run record"
        raise UsageError(message, hint=f"lockstitch diff {options.before} --ranks")
    ranks = record.read(Path(options.before)).ranks
    if not ranks:
        message = f"`{options.before}` is the record of a run without ranks"
        raise LockstitchError(message, hint="lockstitch run IMAGE --on TARGET records them")
    names = sorted({name for rank in ranks for name in rank["facts"]})
    if options.json:
        print_json({"ranks": [dict(rank) for rank in ranks], "differ": names})
        return 0
    nodes = len({rank["node"] for rank in ranks})
    say(f"{len(ranks)} ranks on {nodes} node{'s' * (nodes != 1)}")
    if not names:
        say("no difference")
    for name in names:
        values: dict[str, list[str]] = {}
        for rank in ranks:
            place = f"rank {rank['rank']} ({rank['node']})"
            values.setdefault(rank["facts"].get(name, "missing"), []).append(place)
        sys.stdout.write(f"{name}\n")
        for value, places in values.items():
            sys.stdout.write(f"  {value}: {first_of(places, 4)}\n")
    return 0
