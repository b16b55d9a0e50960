"""Virtual environments with tiny packages in them, made in milliseconds and without a program."""

import base64
import hashlib
import io
import sys
import zipfile
from pathlib import Path

__all__ = ["make", "packages", "put"]


def make(folder: Path, *built: tuple[str, bytes]) -> Path:
    """Make an environment of this Python with these wheels, and return its folder."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir(parents=True)
    base = Path(sys.base_prefix, "bin", f"python{minor}")
    (folder / "bin" / "python").symlink_to(base)
    settings = f"home = {base.parent}\ninclude-system-site-packages = false\n"
    (folder / "pyvenv.cfg").write_text(settings)
    packages(folder).mkdir(parents=True)
    for each in built:
        put(folder, each)
    return folder


def packages(folder: Path) -> Path:
    """Return where the packages of an environment are."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / f"python{minor}" / "site-packages"


def put(folder: Path, built: tuple[str, bytes], *, installer: str = "tests") -> None:
    """Install a wheel as installers do: its files, and a RECORD with what they add."""
    site = packages(folder)
    with zipfile.ZipFile(io.BytesIO(built[1])) as wheel:
        wheel.extractall(site)
        record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
    info = site / record.rpartition("/")[0]
    (info / "INSTALLER").write_text(f"{installer}\n")
    program = folder / "bin" / info.name.partition("-")[0]
    program.write_text(f"#!{folder}/bin/python\n")
    # A program's row has the hash of what the installer wrote, with its own path in it.
    digest = base64.urlsafe_b64encode(hashlib.sha256(program.read_bytes()).digest())
    added = [f"{info.name}/INSTALLER,,"]
    added += [f"../../../bin/{program.name},sha256={digest.rstrip(b'=').decode()},9"]
    if installer == "pip":
        (info / "REQUESTED").touch()
        added += [f"{info.name}/REQUESTED,,", f"{program.name}/__pycache__/__init__.pyc,,"]
    lines = [*(site / record).read_text().splitlines(), *added]
    (site / record).write_text("".join(f"{line}\n" for line in sorted(lines)))
