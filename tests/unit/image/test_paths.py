"""Paths that images of every layout version share."""

from lockstitch.image import paths


def test_paths_are_those_of_a_virtual_environment_below_app() -> None:
    assert paths.bin_folder() == "app/.venv/bin"
    assert paths.site_packages("3.12") == "app/.venv/lib/python3.12/site-packages"
    assert f"{paths.VENV}/".startswith(f"{paths.APP}/")
