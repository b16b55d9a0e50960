"""The machine an image is for, whatever this one is."""

import os
import platform
import sys
import sysconfig
from typing import NoReturn

import pytest
from packaging import tags

from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.11.2", glibc="2.18")

# PEP 425, PEP 600: best first. (interpreter and ABI) x (platforms), in this order.
PLATFORMS = (
    *("manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "linux_aarch64",
)
WITH_PLATFORM = (
    *("cp311-cp311", "cp311-abi3", "cp311-none"),
    *("cp310-abi3", "cp39-abi3", "cp38-abi3", "cp37-abi3", "cp36-abi3"),
    *("cp35-abi3", "cp34-abi3", "cp33-abi3", "cp32-abi3"),
    *("py311-none", "py3-none", "py310-none", "py39-none", "py38-none", "py37-none"),
    *("py36-none", "py35-none", "py34-none", "py33-none", "py32-none", "py31-none", "py30-none"),
)
WITHOUT = (
    *("cp311", "py311", "py3", "py310", "py39", "py38", "py37", "py36", "py35", "py34"),
    *("py33", "py32", "py31", "py30"),
)
GOLDEN = [f"{one}-{two}" for one in WITH_PLATFORM for two in PLATFORMS]
GOLDEN += [f"{one}-none-any" for one in WITHOUT]


def test_the_tags_are_these_and_in_this_order() -> None:
    assert [str(tag) for tag in ARM.tags()] == GOLDEN


def test_the_platforms_of_an_ordinary_base() -> None:
    found = [str(tag).rpartition("-")[2] for tag in AMD.tags() if str(tag).startswith("cp311-cp")]
    newer = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)]
    middle = [f"manylinux_2_{minor}_x86_64" for minor in range(16, 11, -1)]
    older = [f"manylinux_2_{minor}_x86_64" for minor in range(11, 4, -1)]
    assert found == [
        *(*newer, "manylinux2014_x86_64"),
        *(*middle, "manylinux2010_x86_64"),
        *(*older, "manylinux1_x86_64"),
        "linux_x86_64",
    ]


def test_musl_has_tags_of_its_own() -> None:
    target = Target(platform="linux/arm64", python="3.12.1", musl="1.2")
    platforms = dict.fromkeys(tag.platform for tag in target.tags())
    assert list(platforms) == [
        *("musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "musllinux_1_0_aarch64"),
        *("linux_aarch64", "any"),
    ]


def test_the_host_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [str(tag) for tag in AMD.tags()], AMD.markers()

    def asked(*_: object, **__: object) -> NoReturn:
        pytest.fail("asks the host")

    for module, name in (
        *((platform, each) for each in ("machine", "system", "python_version", "libc_ver")),
        *((sysconfig, each) for each in ("get_platform", "get_config_var", "get_config_vars")),
        *((os, each) for each in ("uname", "confstr")),
        *((tags, each) for each in ("platform_tags", "interpreter_name", "interpreter_version")),
    ):
        monkeypatch.setattr(module, name, asked)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ([str(tag) for tag in AMD.tags()], AMD.markers()) == wanted


def test_the_markers_are_those_of_the_target() -> None:
    assert ARM.markers() == {
        "implementation_name": "cpython",
        "implementation_version": "3.11.2",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": "3.11.2",
        "python_version": "3.11",
        "sys_platform": "linux",
    }


def test_every_marker_of_the_standard_is_there() -> None:
    from packaging.markers import default_environment

    assert set(AMD.markers()) == set(default_environment())


def test_the_names_of_a_target() -> None:
    assert (AMD.machine, AMD.minor, ARM.machine) == ("x86_64", "3.11", "aarch64")
