"""Opens a page of Streamlit as a browser does, since its script runs only for one who looks.

A page is asked for through a WebSocket (RFC 6455): one message, `BackMsg` with an empty
`rerun_script`, starts the script, and a `ForwardMsg` with `script_finished` ends it.
"""

import base64
import contextlib
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from posixpath import basename

from lockstitch import clock

_PATHS = ("/_stcore/stream", "/stream")  # the second one before Streamlit 1.19
_RERUN = b"\x5a\x00"  # field 11 of BackMsg, an empty message
_FINISHED = 6  # the field of ForwardMsg
_KEY = base64.b64encode(b"lockstitch try..").decode()
_BINARY, _PONG, _MASKED, _CLOSED, _PING = 0x82, 0x8A, 0x80, 8, 9
_LENGTHS = {126: ">H", 127: ">Q"}  # of a message whose size needs more than 7 bits
_LARGEST = 64 << 20  # bytes of a message
# By Streamlit's words, or by the box that Rich draws where it is installed.
_RAISED = re.compile(r"Uncaught app ex(?:ception|ecution)|─(?:\x1b\[[\d;]*m| )+Traceback ")


def is_page(command: Sequence[str]) -> bool:
    """Return whether a command serves a page of Streamlit."""
    words = [basename(word) for word in command[:4]]
    return "streamlit" in words and "run" in words


def raised(output: str) -> bool:
    """Return whether a Streamlit server printed that its page ended with an error."""
    return _RAISED.search(output) is not None


def visit(port: int, seconds: float) -> None:
    """Open the page of a server on this machine, and wait until its script ends or time is over."""
    end = clock.monotonic() + seconds
    for path in _PATHS:
        with contextlib.suppress(OSError, struct.error):
            with socket.create_connection(("127.0.0.1", port), timeout=max(1, seconds)) as opened:
                if not _upgraded(opened, path, port):
                    continue
                opened.sendall(bytes([_BINARY, _MASKED | len(_RERUN), *bytes(4)]) + _RERUN)
                while clock.monotonic() < end:
                    opened.settimeout(max(0.1, end - clock.monotonic()))
                    kind, data = _message(opened)
                    if kind == _PING:  # who does not answer in a second is hung up on
                        opened.sendall(bytes([_PONG, _MASKED | len(data), *bytes(4)]) + data)
                    elif kind == _CLOSED or _FINISHED in _fields(data):
                        return
            return


def _upgraded(opened: socket.socket, path: str, port: int) -> bool:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    opened.sendall(request.encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and (byte := opened.recv(1)):
        answer += byte
    return answer.partition(b"\r\n")[0].split()[1:2] == [b"101"]


def _message(opened: socket.socket) -> tuple[int, bytes]:
    """Return the opcode and the content of the next frame."""
    first, size = _exactly(opened, 2)
    if size in _LENGTHS:
        form = _LENGTHS[size]
        (size,) = struct.unpack(form, _exactly(opened, struct.calcsize(form)))
    if size > _LARGEST:
        raise OSError(f"a message of {size} bytes")
    return first & 15, _exactly(opened, size)


def _exactly(opened: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = opened.recv(min(size - len(data), 1 << 20))
        if not part:
            raise OSError("the server closed the connection")
        data += part
    return bytes(data)


def _fields(data: bytes) -> Iterator[int]:
    """Yield the numbers of the fields of a message of protocol buffers."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return value

    while at < len(data):
        tag = varint()
        yield tag >> 3
        match tag & 7:
            case 0:
                varint()
            case 1:
                at += 8
            case 2:
                size = varint()
                at += size
            case 5:
                at += 4
            case _:
                return
