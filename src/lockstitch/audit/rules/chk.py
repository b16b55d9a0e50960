"""CHK: the comments that suppress findings of the others; engine.py looks at them in the end."""

from lockstitch.audit.rule import Rule


class CHK001(Rule):
    """A comment suppresses a finding without a reason, or names no rule.

    Why: the next reader cannot tell whether the finding was understood or only silenced. Without
    a reason the comment does nothing.

    Bad:
        # lockstitch: ignore IMG012
        FROM python:3.11-slim

    Good:
        # lockstitch: ignore IMG012 -- the platform sets a user of its own
        FROM python:3.11-slim

    Fix: write ` -- ` and why the finding is right here, or delete the comment.
    """


class CHK002(Rule):
    """A comment suppresses no finding.

    Why: when the finding comes back, the comment hides it, with a reason that was given for another
    one.

    Bad:
        # lockstitch: ignore STK001 -- pinned elsewhere
        image: postgres:17.2@sha256:…

    Good:
        image: postgres:17.2@sha256:…

    Fix: delete the comment.
    """
