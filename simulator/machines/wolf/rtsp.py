"""As much of RTSP as a readiness check needs."""

from __future__ import annotations

import asyncio
import contextlib
import re

HEAD_LIMIT_S = 30.0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer OPTIONS; the answer to all other methods is that there is no session."""
    try:
        while True:
            async with asyncio.timeout(HEAD_LIMIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(_answer(head.decode(errors="replace")))
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _answer(head: str) -> bytes:
    method = head.partition(" ")[0]
    sequence = re.search(r"(?im)^CSeq:\s*(\d+)", head)
    status = "200 OK" if method == "OPTIONS" else "454 Session Not Found"
    public = "Public: OPTIONS, DESCRIBE, SETUP, ANNOUNCE, PLAY\r\n" if method == "OPTIONS" else ""
    return f"RTSP/1.0 {status}\r\nCSeq: {sequence[1] if sequence else 0}\r\n{public}\r\n".encode()
