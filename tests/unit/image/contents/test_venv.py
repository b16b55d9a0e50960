"""The virtual environment's own layer."""

import pytest
from support.images import check_golden, layer, listing, members

from lockstitch.image.contents import venv


def test_layer_golden(pytestconfig: pytest.Config) -> None:
    made = layer(venv.entries("3.11.2", "/usr/bin/python3.11"))
    config = members(made.data)["app/.venv/pyvenv.cfg"][1].decode()
    check_golden(pytestconfig, "venv/layer.txt", f"{listing(made)}\n{config}")


def test_programs_lead_to_the_base_s_python() -> None:
    found = members(layer(venv.entries("3.13.1", "/usr/local/bin/python3.13")).data)
    links = {path: member.linkname for path, (member, _) in found.items() if member.issym()}
    assert links == {
        f"app/.venv/bin/{name}": "/usr/local/bin/python3.13"
        for name in ("python", "python3", "python3.13")
    }
    assert found["app/.venv/lib/python3.13/site-packages"][0].isdir()
    assert found["app/.venv/pyvenv.cfg"][1] == (
        b"home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.13.1\n"
    )
