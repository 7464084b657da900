"""Serves the files of a page that Vite has built: compressed files with a hash in their names, and a manifest."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".ttf": "font/ttf"}


class BuiltFiles:
    """The files of one page's `dist` folder. They are read once and kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Return the manifest that the build wrote: names of the first script and of the style sheets."""
        manifest: dict[str, Any] = json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def response(self, request: Request, headers: dict[str, str]) -> Response:
        """Return the file that the path names, compressed if the client accepts gzip.

        Browsers may keep it, because another content has another name. Raise 404 for unknown names.
        """
        name = request.path_params["name"]
        compressed = self._files.get(name)
        if compressed is None:
            raise HTTPException(404)
        headers = {**headers, "Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        media_type = _MEDIA_TYPES[Path(name).suffix]
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(gzip.decompress(compressed), media_type=media_type, headers=headers)
        return Response(compressed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})

    @cached_property
    def _files(self) -> dict[str, bytes]:
        return {file.name.removesuffix(".gz"): file.read_bytes() for file in self._folder.glob("*.gz")}
