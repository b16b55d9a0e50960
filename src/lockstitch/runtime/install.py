"""Installs lockstitch from a bundle, on a machine with Python and no network.

    tar -xf bundle.tar install.py && python3 install.py bundle.tar ~/lockstitch

Makes a virtual environment in a new folder and unpacks the wheels of the bundle into it, each held
against its digest. Standard library only; nothing is downloaded, and pip is not needed.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
import venv
import zipfile

PROGRAM = """#!{python}
import sys
from lockstitch.cli.main import main
if __name__ == "__main__":  # not in the processes that it starts
    sys.exit(main())
"""


def main(bundle, folder):
    """Install, and say where the program is."""
    if os.path.exists(folder):
        return refuse(f"`{folder}` is there already: name a new folder")
    wheels = []
    with tarfile.open(bundle, "r|") as archive:
        index = json.loads(content(archive, archive.next()))
        wanted = {
            file["digest"].split(":")[1]: file for file in index.get("tool", {}).get("files", ())
        }
        for member in archive:
            name = member.name.split("/")[-1]
            if name in wanted:
                data = content(archive, member)
                if hashlib.sha256(data).hexdigest() != name:
                    return refuse(
                        f"`{wanted[name]['name']}` of `{bundle}` is damaged: copy it again"
                    )
                wheels.append(data)
    if not wanted or len(wheels) != len(wanted):
        return refuse(f"`{bundle}` has {len(wheels)} of {len(wanted)} wheels of lockstitch")
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if index["tool"]["python"] != here:
        return refuse(f"the wheels are for Python {index['tool']['python']}, and this is {here}")
    venv.create(folder, symlinks=True)
    packages = os.path.join(folder, "lib", f"python{here}", "site-packages")
    programs = os.path.join(os.path.abspath(folder), "bin")
    for data in wheels:
        unpack(zipfile.ZipFile(io.BytesIO(data)), packages, programs)
    program = os.path.join(programs, "lockstitch")
    with open(program, "w", encoding="utf-8") as file:
        file.write(PROGRAM.format(python=os.path.join(programs, "python3")))
    os.chmod(program, 0o755)  # noqa: S103 -- a program
    print(program)
    return 0


def content(archive, member):
    """Return the bytes of a file of a bundle."""
    return archive.extractfile(member).read()


def unpack(wheel, packages, programs):
    """Unpack one wheel: packages into site-packages, programs beside the environment's Python."""
    for member in wheel.infolist():
        parts = member.filename.split("/")
        if ".." in parts or member.filename.startswith("/") or not parts[-1]:
            continue
        is_program = parts[0].endswith(".data") and parts[1] == "scripts"
        path = os.path.join(programs, parts[-1]) if is_program else os.path.join(packages, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(wheel.read(member))
        os.chmod(path, 0o755 if is_program else 0o644)


def refuse(reason):
    """Say why nothing is installed."""
    print(f"error: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python3 install.py BUNDLE FOLDER")
    sys.exit(main(*sys.argv[1:]))
