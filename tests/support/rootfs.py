"""A root file system with this machine's own CPython in /usr/local, as docker-library has one."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from support import projects

__all__ = ["DOCKERFILE", "make"]

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
DOCKERFILE = f"""\
FROM scratch
ADD root /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
RUN ["/usr/local/bin/python{MINOR}", "-c", "import os; os.symlink('python{MINOR}', \
'/usr/local/bin/python3'); os.remove('/usr/local/lib/python{MINOR}/this.py')"]
CMD ["python3"]
"""
_STATUS = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n"
_SKIPPED = ("site-packages", "test", "tests", "idlelib", "ensurepip", "__pycache__", "config-*")
# What manylinux wheels expect of a system (PEP 600).
_LOOSE = (
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
)


def make(folder: Path) -> None:
    """Write a Dockerfile and the root that it adds: CPython and what it is linked with."""
    root = folder / "root"
    base = Path(sys.base_prefix)
    local = root / "usr" / "local"
    (local / "bin").mkdir(parents=True)
    program = local / "bin" / f"python{MINOR}"
    shutil.copy(base / "bin" / f"python{MINOR}", program)
    shutil.copytree(
        base / "lib" / f"python{MINOR}",
        local / "lib" / f"python{MINOR}",
        ignore=shutil.ignore_patterns(*_SKIPPED),
    )
    name = str(sysconfig.get_config_var("INSTSONAME"))
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        library = Path(str(sysconfig.get_config_var("LIBDIR")), name)
        shutil.copy(library, local / "lib" / name)
    linked = [program, *(local / "lib").rglob("*.so*")]
    for path in sorted(_libraries(linked) | _loose()):
        if not path.startswith(os.fspath(base / "lib")) or base == Path("/usr"):
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    files = {
        "etc/ld.so.conf": "/usr/local/lib\n",
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n",
        "var/lib/dpkg/status": _STATUS,
    }
    projects.write_files(root, files)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    subprocess.run(["/sbin/ldconfig", "-r", root], check=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)


def _libraries(programs: list[Path]) -> set[str]:
    """Return the paths of all that programs are linked with, the loader too."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE))


def _loose() -> set[str]:
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = set()
    for name in _LOOSE:
        found |= set(re.findall(rf"{re.escape(name)} \(libc6,x86-64\) => (\S+)", said.stdout)[:1])
    return found
