"""Who vouches for a plan's machine code: HMAC-SHA256 with a key of this machine, or one the user trusts.

A key is 32 random bytes in a file only its owner may read. This machine's is made on first use in the configuration
folder (settings.home()); keys of others that plans may come from lie beside it, in `trusted/*.key`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import warnings
from collections.abc import Iterable
from pathlib import Path

from .. import settings
from ..errors import PlanError

KEY_BYTES = 32
_DOMAIN = b"tensorwright plan signature 1\0"


def sign(key: bytes, identity: bytes) -> dict[str, str]:
    return {"key": key_id(key), "hmac": hmac.new(key, _DOMAIN + identity, hashlib.sha256).hexdigest()}


def signer(signature: object, identity: bytes, keys: Iterable[bytes]) -> str | None:
    """Id of the key that made the signature, when it is one of keys and the signature is right."""
    if not isinstance(signature, dict):
        return None
    given = str(signature.get("hmac"))
    for key in keys:
        right = hmac.compare_digest(sign(key, identity)["hmac"].encode(), given.encode())
        if right and signature.get("key") == key_id(key):
            return key_id(key)
    return None


def key_id(key: bytes) -> str:
    """Names a key without giving it away."""
    return hashlib.sha256(b"tensorwright key id\0" + key).hexdigest()[:16]


def machine_key_path() -> Path:
    return settings.home() / "machine.key"


def machine_key(create: bool = True) -> bytes | None:
    """This machine's key; made when there is none. None, with a warning, when it cannot be kept."""
    path = machine_key_path()
    if _exists(path):
        return read_key(path)
    if not create:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, secrets.token_bytes(KEY_BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(temporary, path)                       # whoever is first wins; nobody sees half a key
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    except OSError as error:
        warnings.warn(f"tensorwright cannot keep a signing key in {path.parent}: {error.strerror}. Plans written now "
                      "are not signed and will be compiled again when they are loaded.", stacklevel=3)
        return None
    return read_key(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:                                       # a folder we may not look into
        return False


def read_key(path: str | os.PathLike[str]) -> bytes:
    """A key from its file. PlanError when it has the wrong size or others may read it."""
    path = Path(path)
    try:
        key, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise PlanError(f"cannot read the key: {error.strerror}", at=str(path)) from None
    if len(key) != KEY_BYTES:
        raise PlanError(f"a key has {KEY_BYTES} bytes, this file {len(key)}", at=str(path))
    if os.name == "posix" and mode & 0o077:
        raise PlanError(f"others may read this key (mode {mode & 0o777:o})", at=str(path), try_=f"chmod 600 {path}")
    return key


def trusted_keys() -> list[bytes]:
    """This machine's key, and those of `trusted/*.key` beside it."""
    own = machine_key(create=False)
    try:
        others = sorted((settings.home() / "trusted").glob("*.key"))
    except OSError:
        others = []
    return [*([own] if own else []), *(read_key(p) for p in others)]
