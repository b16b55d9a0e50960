"""Licences, as METADATA and Debian's copyright files name them."""

import pytest

from lockstitch.image import licences

OSI = "Classifier: License :: OSI Approved"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other", ("MIT OR Apache-2.0",)),
        ("License: Apache 2.0", ("Apache-2.0",)),
        ("License: as is, in French", ("as is, in French",)),
        (f"License: UNKNOWN\n{OSI} :: MIT License\n{OSI}", ("MIT",)),
        (
            f"License: {'the whole text ' * 20}\n{OSI} :: BSD License\n{OSI} :: ISC License (ISCL)",
            ("BSD License", "ISC"),
        ),
        ("Summary: none", ()),
    ],
)
def test_a_wheel_says_it_in_one_of_three_fields(fields: str, wanted: tuple[str, ...]) -> None:
    text = f"Metadata-Version: 2.4\nName: a\nVersion: 1\n{fields}\n\nLicense: of the text\n"
    assert licences.of_metadata(text.encode()) == wanted


def test_debian_names_every_licence_of_a_package() -> None:
    text = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        "Files: *\nLicense: Expat\n Text\n\nFiles: b\nLicense: GPL-2+ or  Artistic\n"
        "\nLicense: Expat\n of the text\n\nFiles: c\nLicense: LGPL-2.1+\n"
    )
    wanted = ("GPL-2+ or Artistic", "LGPL-2.1-or-later", "MIT")
    assert licences.of_copyright(text.encode()) == wanted
    assert licences.of_copyright(b"This is free text.\nLicense: none\n") == ()
    assert licences.of_copyright(b"\xff") == ()
