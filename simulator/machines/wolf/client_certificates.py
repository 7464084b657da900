"""TLS client certificates, requested and accepted whatever they are, as Wolf does: it looks for the owner afterwards.

Python's ssl module either requests none or refuses those that no authority signed, and Moonlight's are self-signed. So
this file sets the callback of the context's OpenSSL itself. Where the interpreter hides its OpenSSL, no certificate is
requested, and every client counts as not paired.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys

VERIFY_PEER = 0x01
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


def _accept(_: int, __: int) -> int:
    return 1


_ACCEPT = _CALLBACK(_accept)  # OpenSSL keeps the address: it must live as long as the process


def ask_for_any(context: ssl.SSLContext) -> bool:
    """Request any certificate, and return whether that worked.

    The first field of an SSLContext after Python's own head is OpenSSL's context.
    """
    try:
        set_verify = ctypes.CDLL(_ssl.__file__).SSL_CTX_set_verify
    except (AttributeError, OSError):
        return False
    set_verify.argtypes = (ctypes.c_void_p, ctypes.c_int, _CALLBACK)
    set_verify.restype = None
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    set_verify(pointer, VERIFY_PEER, _ACCEPT)
    return sys.implementation.name == "cpython"
