"""Prints the fingerprint of the interpreter that runs it, as JSON.

`python - < fingerprint.py`, on any CPython from 3.8: nothing is installed, nothing imported
from the environment, nothing written. Standard library only. The form is in
docs/reference/fingerprint.md. No host name, no time, no path, and of the variables only those
of `VARIABLES`. `lockstitch.fingerprint.contents` reads images by the same rules. An argument names
a file that ends with what was printed as `seen` before: what it knows by its stat is not hashed.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path and not sys.path[0]:
    del sys.path[0]  # `python -` puts the folder it stands in first, whatever is in there

import base64
import csv
import ctypes
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import time
from typing import Any

SCHEMA = 1
VARIABLES = (
    *("BLIS_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "LANG", "LC_ALL"),
    *("LC_COLLATE", "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"),
    *("MKL_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    *("NUMEXPR_MAX_THREADS", "NUMEXPR_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OMP_DYNAMIC"),
    *("OMP_NUM_THREADS", "OMP_SCHEDULE", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"),
    *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONUTF8", "SOURCE_DATE_EPOCH"),
    *("TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("TZ", "VECLIB_MAXIMUM_THREADS"),
)
# Rows of RECORD that say how a package was installed, and not what it is.
SKIPPED = (
    *("/RECORD", "/RECORD.jws", "/RECORD.p7s", "/INSTALLER", "/REQUESTED", "/direct_url.json"),
    *("/uv_cache.json", "/uv_build.json"),
)
# What a trimmed image leaves out: the same lists as image/contents.py, a test holds them together.
TESTS = ("tests",)
SUFFIXES = (
    *(".pyi", ".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hh", ".hpp", ".hxx"),
    *(".pxd", ".pxi", ".pyx", ".f", ".f90"),
)
PREFIXES = (
    *("onnx/backend/test/", "onnxruntime/capi/libonnxruntime.so.", "onnxruntime/quantization/"),
    *("onnxruntime/tools/", "onnxruntime/transformers/", "sklearn/datasets/data/"),
    *("sklearn/datasets/descr/", "sklearn/datasets/images/"),
)
KEPT = ("numpy/_core/tests/_natype.py",)
FEATURES = re.compile(
    r"(?:s?sse[34]?(?:_[12]|a)?|popcnt|f16c|fma4?|avx\w*|amx\w*|bmi[12]|"
    r"asimd\w*|sve\w*|bf16|i8mm|neon|vsx|vx)"
)
BLAS_NAMES = ("openblas", "mkl_rt", "mkl_core", "blis", "flexiblas", "armpl", "nvpl_blas")
BLAS = re.compile(
    r"(?:^|/)lib(?:scipy_)?(" + "|".join(BLAS_NAMES) + r")[^/]*\.(?:so|dylib|dll)[^/]*$"
)
CUDA, CUDNN = "usr/local/cuda/version.json", "usr/include/cudnn_version.h"
CODE = (".py", ".so", ".pyd", ".pth")
STEP = 2  # seconds in which a second write of a file may not show


def packages(distributions=None, seen=None, now=None):
    """Return the installed packages by name; of two on the path the first is the one imported.

    `seen` is what was found edited before, by name, with a mark of the files and their digests; it
    is read, and what is found now is put into `now`.
    """
    by_name, wanted = {}, {}
    roots: dict[str, list[tuple[str, list[tuple[str, str]]]]] = {}
    for distribution in (
        importlib.metadata.distributions() if distributions is None else distributions
    ):
        known = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name, version, requires = header(known)
        if name and name not in by_name:
            root = str(distribution.locate_file(""))
            listed = rows(distribution.read_text("RECORD") or "")
            notes = (
                distribution.read_text("WHEEL") or "",
                distribution.read_text("direct_url.json") or "",
            )
            mark = marked(root, listed)
            known, edited, sums = (seen or {}).get(name) or (None, (), {})
            if known != mark:
                edited, sums = verified(root, listed), digests(listed)
            if now is not None and mark:
                now[name] = [mark, [*edited], sums]
            package = {"name": name, "version": version, **described(sums, *notes)}
            by_name[name] = {**package, "edited": [*edited]}
            wanted[name] = requires
            roots.setdefault(os.path.realpath(root), []).append((name, listed))
    for root, owners in roots.items():
        overwritten({name: by_name[name]["edited"] for name, _ in owners}, owners)
        for name, path in added(root, owners):
            by_name[name]["edited"].append("added " + path)
    for name, package in by_name.items():
        package["needs"] = sorted({need for need in wanted[name] if need in by_name})
        package["edited"].sort()
    return [by_name[name] for name in sorted(by_name)]


def overwritten(
    edited: dict[str, list[str]], owners: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    """Take away what another package wrote over: a file that stands as that one's RECORD has it."""
    if not any(edited.values()):
        return
    sound = {
        "changed " + path
        for name, listed in owners
        for path, wanted in listed
        if wanted and "changed " + path not in edited[name]
    }
    for found in edited.values():
        found[:] = [what for what in found if what not in sound]


def described(sums: dict[str, str], wheel: str, direct_url: str) -> dict[str, Any]:
    """Return digests of a package's files, its tags, where it came from: RECORD, WHEEL, PEP 610."""
    package: dict[str, Any] = {"tags": sorted(set(re.findall(r"(?m)^Tag: *(\S+)", wheel)))}
    package.update(origin(direct_url))
    # An editable install has paths of this machine in it.
    return package if package.get("origin") == "editable" else {**package, **sums}


def digests(listed: list[tuple[str, str]]) -> dict[str, str]:
    """Return the digest of what was installed, and of what an image has of it, if trimmed."""
    kept = [row for row in listed if not left_out(row[0])]
    return {"record": digest(listed), "code": digest(kept)} if listed else {}


def header(text: str) -> tuple[str, str, list[str]]:
    """Return name, version, and the names that are required without an extra, of a METADATA."""
    known: dict[str, str] = {}
    requires = []
    for line in text.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        if key == "Requires-Dist" and not re.search(r"\bextra\b", value):
            requires.append(normal(re.split(r"[^A-Za-z0-9._-]", value.strip())[0]))
        known.setdefault(key, value.strip())
    return normal(known.get("Name", "")), known.get("Version", ""), requires


def normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def rows(record: str) -> list[tuple[str, str]]:
    """Return the rows of a RECORD: path, hash."""
    return [(row[0], row[1]) for row in csv.reader(record.splitlines()) if len(row) > 1]


def digest(listed: list[tuple[str, str]]) -> str:
    """Return the digest of what was installed, equal for pip and uv."""
    kept = sorted(",".join(row) for row in listed if is_content(row[0]))
    return "sha256:" + hashlib.sha256("\n".join(kept).encode()).hexdigest()


def is_content(path: str) -> bool:
    """Return whether a path of RECORD is content: no program, no bytecode, no installer's note."""
    inside = not path.startswith(("../", "/"))
    return inside and not path.endswith(SKIPPED) and not path.endswith(".pyc")


def left_out(path: str) -> bool:
    """Return whether a trimmed image leaves a file out."""
    if path in KEPT:
        return False
    if os.path.splitext(path)[1] in SUFFIXES or path.startswith(PREFIXES):
        return True
    return any(part in TESTS for part in path.split("/")[1:-1])


def origin(text: str) -> dict[str, Any]:
    """Return the origin of a package that came from no index (PEP 610), without addresses."""
    try:
        document = json.loads(text or "{}")
        if "vcs_info" in document:
            info = document["vcs_info"]
            return {"origin": info["vcs"] + " " + info["commit_id"]}
        if "dir_info" in document:
            editable = document["dir_info"].get("editable")
            return {"origin": "editable" if editable else "folder"}
        if "archive_info" in document:
            info = document["archive_info"]
            known = (info.get("hashes") or {}).get("sha256", "")
            known = known or (info.get("hash") or "").replace("sha256=", "")
            return {"origin": "archive", "artifacts": ["sha256:" + known] if known else []}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"origin": "unknown"}
    return {}


def marked(root, listed):
    """Return a digest of RECORD and of the stat of its files, "" while one may change unseen."""
    until = (time.time() - STEP) * 1e9
    parts = [root, repr((SKIPPED, TESTS, SUFFIXES, PREFIXES, KEPT))]  # which decide the digests
    for path, wanted in listed:
        if path.endswith(".pyc"):
            continue
        try:
            facts = os.stat(root + "/" + path)
        except OSError:
            parts.append(f"{path} {wanted}")
            continue
        if facts.st_mtime_ns > until or facts.st_ctime_ns > until:
            return ""
        times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
        parts.append(f"{path} {wanted} {facts.st_size} {times} {facts.st_ino}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def verified(root, listed):
    """Return the files that differ from RECORD, as `changed PATH` or `missing PATH`."""
    wrong = []
    for path, wanted in listed:
        algorithm, _, value = wanted.partition("=")
        if not value or path.endswith(".pyc") or algorithm not in hashlib.algorithms_guaranteed:
            continue
        try:
            with open(os.path.join(root, path), "rb") as handle:
                hasher = hashlib.new(algorithm)
                for chunk in iter(lambda: handle.read(1 << 20), b""):
                    hasher.update(chunk)
        except OSError:
            wrong.append("missing " + path)
            continue
        actual = base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode()
        if value.rstrip("=") not in {actual, hasher.hexdigest()}:
            wrong.append("changed " + path)
    return wrong


def added(root, owners):
    """Yield (package, path) of each module in a package's folder that no RECORD lists."""
    known = set()
    folders: dict[str, str] = {}
    for name, known_of in owners:
        for path, _ in known_of:
            known.add(path)
            folder = path.rpartition("/")[0]
            if folder and not folder.startswith(".."):
                folders.setdefault(folder, name)
    for folder, name in sorted(folders.items()):
        try:
            there = sorted(os.listdir(os.path.join(root, folder)))
        except OSError:
            continue
        for file in there:
            path = folder + "/" + file
            if file.endswith(CODE) and path not in known:
                yield name, path


def python():
    """Return the build of the interpreter."""
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "compiler": platform.python_compiler(),
        "build": ", ".join(part for part in platform.python_build() if part),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    }


def machine(root="/"):
    """Return system, processor, C library and release."""
    return {
        "system": sys.platform,
        "machine": platform.machine(),
        "libc": libc(root),
        "release": release(text(root, "etc/os-release")) or " ".join(platform.mac_ver()[:1]),
    }


def libc(root="/"):
    """Return the C library, as in `glibc 2.36`."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError, AttributeError):
        musl = [n for n in listed(os.path.join(root, "lib")) if n.startswith("ld-musl")]
        return "musl" if musl else ""


def release(text: str) -> str:
    """Return the distribution that an os-release names, as in `debian 12`."""
    known = dict(re.findall(r'(?m)^(ID|VERSION_ID)="?([^"\n]*)', text))
    return " ".join(known[key] for key in ("ID", "VERSION_ID") if known.get(key))


def system(root="/"):
    """Return the packages of the system, name to version: dpkg's, distroless images' and apk's."""
    texts = [text(root, "var/lib/dpkg/status")]
    folder = os.path.join(root, "var/lib/dpkg/status.d")
    texts += [text(folder, name) for name in listed(folder) if not name.endswith(".md5sums")]
    return {**dpkg("\n\n".join(texts)), **apk(text(root, "lib/apk/db/installed"))}


def dpkg(text: str) -> dict[str, str]:
    """Return the packages of dpkg's status, or of several such files joined."""
    versions = {}
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Version|Status): *(.*)$", block))
        if "Package" in fields and "not-installed" not in fields.get("Status", ""):
            versions[fields["Package"]] = fields.get("Version", "")
    return versions


def apk(text: str) -> dict[str, str]:
    """Return the packages of apk's list of installed ones."""
    blocks = [dict(re.findall(r"(?m)^(P|V):(.*)$", block)) for block in text.split("\n\n")]
    return {fields["P"]: fields.get("V", "") for fields in blocks if "P" in fields}


def cpu(root="/"):
    """Return the processor's name, the cores this process may use, and its vector features."""
    info = text(root, "proc/cpuinfo")
    flags = re.search(r"(?m)^(?:flags|Features)\s*: *(.*)$", info)
    name = re.search(r"(?m)^(?:model name|Processor)\s*: *(.*)$", info)
    model = name.group(1).strip() if name else ""
    words = flags.group(1).split() if flags else []
    if sys.platform == "darwin":
        model = output(["sysctl", "-n", "machdep.cpu.brand_string"])
        words = output(["sysctl", "-n", "machdep.cpu.features"]).lower().replace(".", "_").split()
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 0
    features = sorted({word for word in words if FEATURES.fullmatch(word)})
    return {"model": model, "cores": cores, "features": features}


def gpu(root="/"):
    """Return driver, CUDA, cuDNN and devices of NVIDIA, or None when there are none."""
    loaded = text(root, "proc/driver/nvidia/version")
    driver = re.search(r"Module(?: for \S+)?\s+(\d[\d.]+)", loaded)
    listing = "--query-gpu=name,driver_version,compute_cap"
    rows = [
        [cell.strip() for cell in line.split(",")]
        for line in output(["nvidia-smi", listing, "--format=csv,noheader"]).splitlines()
    ]
    devices = [" ".join((row[0], row[2])) for row in rows if len(row) == 3]
    if driver is None and not devices:
        return None
    toolkit = re.search(r'"cuda"[^}]*"version"\s*:\s*"([\d.]+)"', text(root, CUDA))
    cudnn = dict(re.findall(r"#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) (\d+)", text(root, CUDNN)))
    parts = [cudnn[key] for key in ("MAJOR", "MINOR", "PATCHLEVEL") if key in cudnn]
    return {
        "driver": driver.group(1) if driver else rows[0][1],
        "cuda": toolkit.group(1) if toolkit else "",
        "cudnn": ".".join(parts),
        "devices": sorted(devices),
    }


def blas(distributions=None):
    """Return each copy of a BLAS that packages bring: file, version, kernels, threads."""
    libraries = {}
    for distribution in (
        importlib.metadata.distributions() if distributions is None else distributions
    ):
        record = distribution.read_text("RECORD") or ""
        # To read its rows takes a hundred times as long as to look for the words.
        for path, _ in rows(record) if any(name in record for name in BLAS_NAMES) else ():
            kind = BLAS.search(path)
            if kind:
                owner, file = (
                    header(distribution.read_text("METADATA") or "")[0],
                    path.split("/")[-1],
                )
                facts = {"name": kind.group(1), "owner": owner, "file": file}
                facts.update(probed(str(distribution.locate_file(path))))
                libraries[owner, file] = facts
    return [libraries[key] for key in sorted(libraries)]


def probed(path):
    """Return the version of an OpenBLAS, the kernels that it chose, and its threads."""
    folder = os.path.dirname(path)
    near = [name for name in listed(folder) if re.match("lib(quadmath|gfortran)", name)]
    for name in (*sorted(near, reverse=True), path):  # each needs those before it
        try:
            library = ctypes.CDLL(os.path.join(folder, name), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            library = None
    if library is None:
        return {}
    for before in ("scipy_openblas_", "openblas_"):
        for after in ("64_", ""):
            if hasattr(library, before + "get_config" + after):
                said_by = {}
                for name in ("get_config", "get_corename"):
                    call = getattr(library, before + name + after)
                    call.restype = ctypes.c_char_p
                    said_by[name] = (call() or b"").decode("ascii", "replace")
                version = re.search(r"OpenBLAS (\S+)", said_by["get_config"])
                return {
                    "version": version.group(1) if version else "",
                    "kernels": said_by["get_corename"],
                    "threads": getattr(library, before + "get_num_threads" + after)(),
                }
    return {}


def listed(folder):
    """Return the names in a folder, sorted; none when it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def text(root, path):
    """Return the text of a file, or nothing when it cannot be read."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def output(words):
    """Return a program's output, empty where it is missing or fails."""
    if shutil.which(words[0]) is None:
        return ""
    try:
        done = subprocess.run(words, capture_output=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def fingerprint(seen=None, now=None):
    """Return everything, in the form of docs/reference/fingerprint.md."""
    return {
        "schema": SCHEMA,
        "kind": "environment",
        "python": python(),
        "platform": machine(),
        "cpu": cpu(),
        "gpu": gpu(),
        "blas": blas(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": packages(None, seen, now),
        "system": system(),
    }


def main(arguments):
    """Print the fingerprint, with what was seen of files when an argument names what was before."""
    now: dict[str, Any] = {}
    lines = text("", arguments[0]).splitlines() if arguments else []
    document = fingerprint(json.loads(lines[-1]) if lines else {}, now)
    if arguments:
        document["seen"] = now
    json.dump(document, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
