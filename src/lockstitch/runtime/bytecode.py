"""Compiles the modules of wheels to unchecked-hash bytecode (PEP 552).

Runs on the interpreter of the image's base: `python -I -S -B bytecode.py`, and forks for each
wheel, since CPython's output depends on what the process compiled before (cpython#129724), and on
which names it knows: whether a string is marked as shared in bytecode is a matter of who else
holds it. So no name may be new in this file that nothing it imports has. Standard library only.

stdin: a JSON list of objects {"root": folder or zip, "files": [[name in root, path in the image]]},
each line one. stdout: for each file, 4 bytes of length and the .pyc; length 0 for what does not
compile. Four bytes more, all ones, end the answer to a line.
"""

import importlib.util
import json
import marshal
import os
import struct
import sys
import zipfile

_UNCHECKED_HASH = 1


def compiled(source, path):
    """Return the .pyc of a module whose path in the image is `path`, or b"" when it is none."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b""
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED_HASH)
    return head + importlib.util.source_hash(source) + marshal.dumps(code)


def main():
    """Compile what each line of stdin names, in the order it names them."""
    for data in sys.stdin.buffer:
        for job in json.loads(data):
            if os.fork():
                code = os.wait()[1]
                if code:
                    sys.exit(1)
                continue
            if os.path.isdir(job["root"]):

                def read(name, job=job):
                    with open(os.path.join(job["root"], name), "rb") as handle:
                        return handle.read()
            else:
                read = zipfile.ZipFile(job["root"]).read
            for name, path in job["files"]:
                code = compiled(read(name), path)
                sys.stdout.buffer.write(struct.pack("<I", len(code)) + code)
            sys.stdout.flush()
            os._exit(0)
        sys.stdout.buffer.write(b"\xff\xff\xff\xff")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
