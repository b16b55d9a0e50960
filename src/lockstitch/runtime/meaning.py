"""Prints what files mean, not how they are written: `python meaning.py` reads names from stdin.

Runs on the project's own interpreter, in its locked environment, on what its own training wrote
a moment ago; never on files of others: reading a pickle runs code. Prints JSON: for each file its
sha256, how it was read, and a digest and a size for each part of it (an array, a parameter, the
predictions on a fixed probe), so that a difference can be named.
"""

import gzip
import hashlib
import io
import json
import math
import os
import pickle
import struct
import sys
import zipfile
import zlib

_MOST_PARTS = 20_000
_DEEPEST = 30
_LONGEST = 1000  # items of a list that are parts of their own
# What an object keeps of its process and not of the model (CountVectorizer: an address).
_PASSING = {"_stop_words_id", "_id", "__warningregistry__"}


class Parts:
    """Collects the parts of one value: a path in it, a digest, and a number to compare by."""

    def __init__(self):
        self.found = {}
        self._open = set()

    def put(self, path, data, size=None):
        if len(self.found) >= _MOST_PARTS:
            raise ValueError("more than %d parts" % _MOST_PARTS)
        self.found[path or "."] = [hashlib.sha256(data).hexdigest(), size]

    def walk(self, value, path, depth=0):
        if depth > _DEEPEST or id(value) in self._open:
            return self.put(path, b"...")
        self._open.add(id(value))
        try:
            self._walk(value, path, depth)
        finally:
            self._open.discard(id(value))
        return None

    def _walk(self, value, path, depth):
        if value is None or isinstance(value, (bool, int, str, bytes)):
            self.put(path, repr(value).encode())
        elif isinstance(value, float):
            self.put(path, struct.pack("<d", value), _number(value))
        elif _is_array(value):
            self._array(value, path, depth)
        elif isinstance(value, dict):
            for key in sorted(value, key=repr):
                if key not in _PASSING:
                    self.walk(value[key], "%s.%s" % (path, key) if path else str(key), depth + 1)
        elif isinstance(value, (list, tuple)):
            if len(value) > _LONGEST:
                self.put(path, repr(value).encode())
            else:
                for number, item in enumerate(value):
                    self.walk(item, "%s[%d]" % (path, number), depth + 1)
        elif isinstance(value, (set, frozenset)):
            self.put(path, repr(sorted(map(repr, value))).encode())
        elif callable(value) and hasattr(value, "__qualname__"):
            self.put(path, ("%s.%s" % (value.__module__, value.__qualname__)).encode())
        else:
            self._object(value, path, depth)

    def _array(self, value, path, depth):
        import numpy

        array = numpy.asarray(value)
        if array.dtype.hasobject:
            self.put(path + "#shape", repr(array.shape).encode())
            return self.walk(array.tolist(), path, depth + 1)
        if array.dtype.names:  # padding between fields is whatever was in memory
            for name in array.dtype.names:
                self._array(array[name], "%s.%s" % (path, name), depth)
            return None
        head = repr((array.dtype.str, array.shape)).encode()
        size = None
        if array.dtype.kind in "fiu" and array.size:
            size = _number(float(numpy.abs(array.astype("float64")).sum()))
        return self.put(path, head + numpy.ascontiguousarray(array).tobytes(), size)

    def _object(self, value, path, depth):
        kind = type(value)
        self.put(path + "#type", ("%s.%s" % (kind.__module__, kind.__qualname__)).encode())
        state = _state(value)
        if isinstance(state, dict):
            state = {key: value for key, value in state.items() if key not in _PASSING}
        self.walk(state, path, depth + 1)
        self._predictions(value, path)

    def _predictions(self, value, path):
        """Add the predictions of a fitted model on a fixed probe, where it takes numbers."""
        wanted = getattr(value, "n_features_in_", None)
        name = "predict_proba" if hasattr(value, "predict_proba") else "predict"
        if not isinstance(wanted, int) or not hasattr(value, name) or "." in path:
            return
        import numpy

        rows = numpy.arange(64 * wanted, dtype="float64").reshape(64, wanted)
        try:
            answer = numpy.asarray(getattr(value, name)(numpy.sin(rows) * 3))
        except Exception:  # noqa: BLE001 -- it wants other columns: its parameters say enough
            return
        self._array(answer, "%s#predictions" % path, 0)


def _number(value):
    return None if math.isnan(value) or math.isinf(value) else value


def _is_array(value):
    # A framework that is not loaded has made no array.
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def _state(value):
    getstate = getattr(type(value), "__getstate__", None)
    try:
        if getstate is not None:
            state = value.__getstate__()
            if state is not None:
                return state
        reduced = value.__reduce_ex__(2)
    except Exception:  # noqa: BLE001 -- no value that can be written down
        return repr(type(value))
    return reduced if isinstance(reduced, str) else list(reduced[1:3])


def _pickle(data, parts):
    try:
        import joblib
    except ImportError:
        parts.walk(pickle.loads(data), "")  # noqa: S301 -- what the training wrote just now
    else:
        parts.walk(joblib.load(io.BytesIO(data)), "")
    return "object"


def _npy(data, parts):
    import numpy

    parts.walk(numpy.load(io.BytesIO(data), allow_pickle=False), "")
    return "array"


def _npz(data, parts):
    import numpy

    with numpy.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in sorted(arrays.files):
            parts.walk(arrays[name], name)
    return "arrays"


def _zip(data, parts):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in sorted(archive.namelist()):
            parts.put(name, archive.read(name))
    return "members"


def _gzip(data, parts):
    parts.put("", gzip.decompress(data))
    return "content"


def _json(data, parts):
    parts.walk(json.loads(data), "")
    return "values"


def _png(data, parts):
    at, pixels = 8, []
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind in (b"IHDR", b"PLTE"):
            parts.put(kind.decode(), body)
        if kind == b"IDAT":
            pixels.append(body)
        at += 12 + size
    parts.put("pixels", zlib.decompress(b"".join(pixels)))
    return "pixels"


def _onnx(data, parts):
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(data)
    for number, node in enumerate(model.graph.node):
        node.doc_string = ""
        parts.put(
            "node[%d] %s" % (number, node.op_type), node.SerializeToString(deterministic=True)
        )
    for tensor in model.graph.initializer:
        parts.walk(numpy_helper.to_array(tensor), "initializer %s" % tensor.name)
    for tensor in (*model.graph.input, *model.graph.output):
        parts.put(tensor.name, tensor.SerializeToString(deterministic=True))
    parts.put("opset", repr([(o.domain, o.version) for o in model.opset_import]).encode())
    return "graph"


_BY_NAME = {
    ".json": _json,
    ".npy": _npy,
    ".npz": _npz,
    ".pkl": _pickle,
    ".pickle": _pickle,
    ".joblib": _pickle,
    ".gz": _gzip,
    ".png": _png,
    ".onnx": _onnx,
    ".pt": _zip,
    ".pth": _zip,
    ".zip": _zip,
    ".keras": _zip,
    ".skops": _zip,
}


def read(path):
    """Return the digest of a file, and the digest and size of each part of its meaning."""
    with open(path, "rb") as handle:
        data = handle.read()
    result = {"bytes": hashlib.sha256(data).hexdigest(), "size": len(data)}
    reader = _BY_NAME.get(os.path.splitext(path)[1].lower())
    parts = Parts()
    how, problem = "bytes", ""
    if reader is not None:
        try:
            how = reader(data, parts)
        except Exception as error:  # noqa: BLE001 -- then only its bytes are compared
            parts, problem = Parts(), "%s: %s" % (type(error).__name__, error)
    if how == "bytes":
        parts.put("", data)
    return dict(result, how=how, problem=problem[:300], parts=parts.found)


if __name__ == "__main__":
    print(json.dumps({name: read(name) for name in json.load(sys.stdin)}))
