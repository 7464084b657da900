"""The metadata server that gives programs on Google's machines their token."""

from __future__ import annotations

from aiohttp import web

from simulator.google.service_account import email_of

TOKEN = "simulated-google-token"  # noqa: S105 - opens nothing but this simulator
TOKEN_LIVES_S = 3599
PROJECT_PATH = "/computeMetadata/v1/project/project-id"
ACCOUNT_PATH = "/computeMetadata/v1/instance/service-accounts/default"


class MetadataApi:
    def __init__(self, project: str) -> None:
        self._project = project

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self._ping)
        router.add_get(PROJECT_PATH, self._project_id)
        router.add_get(f"{ACCOUNT_PATH}/token", self._token)
        router.add_get(f"{ACCOUNT_PATH}/email", self._email)
        router.add_get(f"{ACCOUNT_PATH}/", self._account)

    async def _ping(self, request: web.Request) -> web.Response:
        return _flavoured(request, web.Response(text="computeMetadata/\n"))

    async def _project_id(self, request: web.Request) -> web.Response:
        return _flavoured(request, web.Response(text=self._project))

    async def _token(self, request: web.Request) -> web.Response:
        token = {"access_token": TOKEN, "expires_in": TOKEN_LIVES_S, "token_type": "Bearer"}
        return _flavoured(request, web.json_response(token))

    async def _email(self, request: web.Request) -> web.Response:
        return _flavoured(request, web.Response(text=email_of(self._project)))

    async def _account(self, request: web.Request) -> web.Response:
        account = {"email": email_of(self._project), "scopes": [], "aliases": ["default"]}
        return _flavoured(request, web.json_response(account))


def _flavoured(request: web.Request, response: web.Response) -> web.Response:
    """Return a handler that refuses requests without Google's header, which a redirected browser does not send."""
    if request.headers.get("Metadata-Flavor") != "Google":
        response = web.Response(status=403, text="Missing Metadata-Flavor:Google header.")
    response.headers["Metadata-Flavor"] = "Google"
    return response
