"""Keys on the curve P-256: signing and checking, by the `openssl` program.

No private key is ever in an argument, a variable or a message of ours: the program reads the file.
"""

import base64
import binascii
import re
import tempfile
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.values import frozen

_PASSWORD = "LOCKSTITCH_KEY_PASSWORD"  # noqa: S105 -- the variable's name
_INSTALL = "apt-get install -y openssl"
_MAKE = "openssl ecparam -name prime256v1 -genkey -noout -out lockstitch.key"
_PEM = regex(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
# A SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1, uncompressed (RFC 5480).
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_SIZE = len(_P256) + 64
_LONGEST = 1 << 16


@frozen
class Key:
    """A public key, and the file of its private half where there is one."""

    pem: str
    private: Path | None = None

    def sign(self, data: bytes) -> bytes:
        """Return an ECDSA signature with SHA-256 as DER; LockstitchError without a key."""
        if self.private is None:
            message = "a public key signs nothing"
            raise LockstitchError(message, hint="--key FILE with the private key")
        words: list[str | Path] = [
            _openssl(),
            "dgst",
            "-sha256",
            *_unlocked(),
            "-sign",
            self.private,
        ]
        return process.pipe(words, data, env=environ.child())

    def checks(self, data: bytes, signature: bytes) -> bool:
        """Return whether a signature is this key's; raises LockstitchError without openssl."""
        with tempfile.TemporaryDirectory() as folder:
            key, signed = Path(folder) / "key", Path(folder) / "signature"
            key.write_text(self.pem)
            signed.write_bytes(signature)
            words: list[str | Path] = [_openssl(), "dgst", "-sha256", "-verify", key]
            words += ["-signature", signed]
            try:
                process.pipe(words, data, env=environ.child())
            except LockstitchError:
                return False
        return True


def read(path: Path) -> Key:
    """Return the key of a PEM file, private or public; LockstitchError unless it is on P-256.

    The password of a private key that has one is in LOCKSTITCH_KEY_PASSWORD.
    """
    kind = _kind(path)
    if "SIGSTORE" in kind or "COSIGN" in kind:
        message = f"`{path}` is encrypted in cosign's own way, which lockstitch does not read"
        raise LockstitchError(message, hint=f"make a key that both read: {_MAKE}")
    if kind == "PUBLIC KEY":
        return Key(pem=_checked(files.read_text(path), path))
    words: list[str | Path] = [_openssl(), "pkey", *_unlocked(), "-in", path, "-pubout"]
    done = process.run(words, check=False)
    if done.code != 0:
        message = f"`{path}` is no private key that openssl reads"
        raise LockstitchError(message, hint=f"set {_PASSWORD} when it has a password")
    return Key(pem=_checked(done.stdout, path), private=path)


def _kind(path: Path) -> str:
    with path.open("rb") as handle:
        text = handle.read(_LONGEST).decode("ascii", "replace")
    # openssl writes the curve's name before an EC key.
    kinds = [match[1] for match in _PEM.finditer(text) if "PARAMETERS" not in match[1]]
    if not kinds:
        raise LockstitchError(f"`{path}` has no key in PEM form", hint=_MAKE)
    return kinds[0]


def _checked(text: str, path: Path) -> str:
    """Return the PEM form of a public key on P-256."""
    match = _PEM.search(text)
    try:
        data = base64.b64decode("".join((match[2] if match else "").split()), validate=True)
    except binascii.Error:
        data = b""
    if len(data) != _SIZE or not data.startswith(_P256):
        raise LockstitchError(f"the key of `{path}` is not on the curve P-256", hint=_MAKE)
    return text[match.start() : match.end()] + "\n" if match else ""


def _unlocked() -> list[str]:
    # Without it, openssl would ask on the terminal in the middle of our output.
    return ["-passin", f"env:{_PASSWORD}"] if environ.flag(_PASSWORD) else ["-passin", "pass:"]


def _openssl() -> Path:
    return process.find("openssl", hint=_INSTALL)
