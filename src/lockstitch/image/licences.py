"""Licences of packages, as their own metadata names them. What SPDX calls them: licences.toml."""

import re
from functools import cache

from lockstitch.patterns import regex
from lockstitch.resources import load_table

_LONGEST = 120  # characters; what is longer is the text of a licence and not its name
_CLASSIFIER = "License :: "
_FIELD = regex(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)


@cache
def _names(table: str) -> dict[str, str]:
    return dict(load_table(__package__, "licences.toml")[table])


def of_metadata(data: bytes) -> tuple[str, ...]:
    """Return the licence that a wheel's METADATA names, its classifiers' when it names none.

    Source: core metadata 2.4, "License-Expression", "License", "Classifier".
    """
    from packaging.metadata import parse_email

    raw, _ = parse_email(data)
    name = raw.get("license_expression") or raw.get("license") or ""
    if 0 < len(name) <= _LONGEST and "\n" not in name and name.upper() != "UNKNOWN":
        return (_names("words").get(name.lower(), name),)
    names = {_of_classifier(classifier) for classifier in raw.get("classifiers", [])}
    return tuple(sorted(names - {""}))


def _of_classifier(text: str) -> str:
    if not text.startswith(_CLASSIFIER):
        return ""
    name = text.rpartition(" :: ")[2]
    unclear = name in {"OSI Approved", _CLASSIFIER.strip(" :")}
    return "" if unclear else _names("classifiers").get(name, name)


def of_copyright(data: bytes) -> tuple[str, ...]:
    """Return the licences that a Debian copyright file names, sorted; none for free text.

    Source: Debian's machine-readable copyright file, format 1.0.
    """
    text = data.decode("utf-8", "replace")
    if not text.lstrip().startswith("Format"):
        return ()
    names = (" ".join(match[1].split()) for match in _FIELD.finditer(text))
    return tuple(sorted({_names("debian").get(n, n) for n in names if len(n) <= _LONGEST}))
