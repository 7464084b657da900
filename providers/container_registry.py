"""Asks container registries which image a tag stands for, by the distribution API (OCI Distribution Specification 1.1).

HEAD on the manifest gives the digest; a registry that wants a token says in WWW-Authenticate where to get one, without
a log-in for public images. A mirror is asked in place of each image's own registry, which `ns` names, as containerd
does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, Reply, Request

_DOCKER_HUB: Final = "docker.io"
_HOSTS: Final = {_DOCKER_HUB: "registry-1.docker.io"}
_ACCEPT: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER: Final = re.compile(r'([a-z]+)="([^"]*)"')
_TIMEOUT_S: Final = 10.0
_LONGEST_WAIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image's name, read as container engines read it."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, image: str) -> ImageReference:
        """Names without a registry are Docker Hub's, names without a tag mean `latest`."""
        name, _, digest = image.partition("@")
        path, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            path, tag = name, ""
        registry, slash, rest = path.partition("/")
        if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
            registry, rest = _DOCKER_HUB, path if slash else f"library/{path}"
        return cls(registry, rest, tag or (None if digest else "latest"), digest or None)


class ContainerRegistry:
    """`mirror_url` is asked in place of each image's own registry."""

    def __init__(self, http: Http, mirror_url: str | None = None) -> None:
        self._http = http
        self._mirror_url = None if mirror_url is None else mirror_url.rstrip("/")
        self._schemes = {"https", urlsplit(mirror_url or "https://").scheme}

    async def digest(self, image: str) -> str:
        """Return the digest that an image's tag stands for now. One that names its digest has it.

        Raises ProviderRefusedError if the registry has no such image or shows it only to those who log in,
        ProviderBusyError if it does not answer, or limits us (`retry_after_s` says until when).
        """
        reference = ImageReference.parse(image)
        if reference.digest is not None:
            return reference.digest
        reply = await self._manifest(reference, {})
        if reply.status == 401:
            reply = await self._manifest(reference, await self._token(reply, reference))
        return _digest_in(reply, reference)

    async def _manifest(self, reference: ImageReference, headers: Mapping[str, str]) -> Reply:
        host = _HOSTS.get(reference.registry, reference.registry)
        base = f"https://{host}" if self._mirror_url is None else self._mirror_url
        query = "" if self._mirror_url is None else f"?{urlencode({'ns': reference.registry})}"
        url = f"{base}/v2/{quote(reference.repository)}/manifests/{quote(reference.tag or '')}{query}"
        return await self._http.send(Request("HEAD", url, {"Accept": _ACCEPT, **headers}, timeout_s=_TIMEOUT_S))

    async def _token(self, challenge: Reply, reference: ImageReference) -> Mapping[str, str]:
        """Fetch a token for pulling where the registry says, without a log-in."""
        scheme, _, rest = challenge.headers.get("www-authenticate", "").partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.get("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in self._schemes:
            raise ProviderRefusedError(f"{reference.registry} shows its images only to those who log in")
        query = {"scope": f"repository:{reference.repository}:pull"}
        if "service" in parameters:
            query["service"] = parameters["service"]
        joined = "&" if urlsplit(realm).query else "?"
        reply = await self._http.send(Request("GET", f"{realm}{joined}{urlencode(query)}", timeout_s=_TIMEOUT_S))
        token = _token_in(reply)
        if token is None:
            _raise_for(reply, reference)
            raise ProviderBusyError(f"{reference.registry} responded without a token")
        return {"Authorization": f"Bearer {token}"}


def _digest_in(reply: Reply, reference: ImageReference) -> str:
    if reply.status == 200:
        digest = reply.headers.get("docker-content-digest", "")
        if _DIGEST.fullmatch(digest):
            return digest
        raise ProviderBusyError(f"{reference.registry} responded without a digest")
    _raise_for(reply, reference)
    raise ProviderBusyError(f"{reference.registry} responded with status {reply.status}")


def _raise_for(reply: Reply, reference: ImageReference) -> None:
    """Raise what a status means, where it means something."""
    if reply.status == 429:
        raise ProviderBusyError(f"{reference.registry} allows no more requests for now", _retry_after_s(reply))
    if reply.status in {401, 403, 404}:
        raise ProviderRefusedError(
            f"{reference.registry} has no image {reference.repository}:{reference.tag}, or shows it only to those who "
            "log in"
        )


def _retry_after_s(reply: Reply) -> float | None:
    """Read Retry-After in seconds; None for a date or nothing."""
    text = reply.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isdecimal() else None


def _token_in(reply: Reply) -> str | None:
    try:
        answer = orjson.loads(reply.body) if reply.status == 200 else None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, dict):
        return None
    token = answer.get("token") or answer.get("access_token")
    return token if isinstance(token, str) and token.isprintable() and token else None
