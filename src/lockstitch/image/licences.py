"""Licences of packages, as what they say of themselves has them."""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["of_copyright", "of_metadata"]

_LONGEST = 120  # characters; what is longer is the text of a licence and not its name
_CLASSIFIER = "License :: "
# Trove classifiers that mean one licence, as SPDX calls it.
_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zero-Clause BSD (0BSD)": "0BSD",
}
# Debian's short names that SPDX spells otherwise (copyright format 1.0, "Short name").
_DEBIAN: Final = {
    **{f"{name}-{n}": f"{name}-{n}.0-only" for name in ("GPL", "LGPL") for n in (1, 2, 3)},
    **{f"{name}-{n}+": f"{name}-{n}.0-or-later" for name in ("GPL", "LGPL") for n in (1, 2, 3)},
    "Artistic": "Artistic-1.0-Perl",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause",
    "Expat": "MIT",
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later",
    "Zlib": "Zlib",
}
# What older METADATA says instead of an expression.
_WORDS: Final = {
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "mit license": "MIT",
    "the mit license": "MIT",
}
_FIELD = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)


def of_metadata(data: bytes) -> tuple[str, ...]:
    """Return the licence that a wheel's METADATA names, its classifiers' when it names none.

    Source: core metadata 2.4, "License-Expression", "License", "Classifier".
    """
    from packaging.metadata import parse_email

    raw, _ = parse_email(data)
    said = raw.get("license_expression") or raw.get("license") or ""
    if 0 < len(said) <= _LONGEST and "\n" not in said and said.upper() != "UNKNOWN":
        return (_WORDS.get(said.lower(), said),)
    found = {_of_classifier(each) for each in raw.get("classifiers", [])}
    return tuple(sorted(found - {""}))


def _of_classifier(text: str) -> str:
    if not text.startswith(_CLASSIFIER):
        return ""
    name = text.rpartition(" :: ")[2]
    return "" if name in {"OSI Approved", _CLASSIFIER.strip(" :")} else _CLASSIFIERS.get(name, name)


def of_copyright(data: bytes) -> tuple[str, ...]:
    """Return the licences that a Debian copyright file names, sorted; none for free text.

    Source: Debian's machine-readable copyright file, format 1.0.
    """
    text = data.decode("utf-8", "replace")
    if not text.lstrip().startswith("Format"):
        return ()
    return tuple(sorted(set(_of_fields(text))))


def _of_fields(text: str) -> Iterator[str]:
    for match in _FIELD.finditer(text):
        name = " ".join(match[1].split())
        if len(name) <= _LONGEST:
            yield _DEBIAN.get(name, name)
