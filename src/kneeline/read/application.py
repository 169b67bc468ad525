"""The served page: each answer is in a file before the page is told that it is kept.

The address holds a random token; requests that name another host (a page of another site that reached here by a changed
name) or come from another site's page are refused. Nothing is read but the files of the package, by names known
beforehand. Needs FastAPI, so only `serve` imports this module, when it serves.
"""

import json
import secrets
import sys
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from kneeline.read.journal import Journal, check_answers

MOST_BYTES = 65_536  # of one case's answers; a whole form with a comment takes about 2 000
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def make_app(folder: Path, index: dict, journal: Journal, token: str, port: int):
    """The application: the page, its cases, and `answers`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    cases = {case["id"] for case in index["cases"]}
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    def refuse(request: Request, given: str) -> Response | None:
        if request.headers.get("host") not in hosts or not origins.issuperset(request.headers.getlist("origin")):
            return Response("not from here", 403, _HEADERS)
        if not secrets.compare_digest(given.encode(), token.encode()):
            return Response("no such page", 404, _HEADERS)
        return None

    @app.get("/{given}/")
    def page(request: Request, given: str):
        return refuse(request, given) or Response(
            (folder / "index.html").read_bytes(), 200, _HEADERS, "text/html; charset=utf-8"
        )

    @app.get("/{given}/cases/{name}.js")
    def case_script(request: Request, given: str, name: str):
        no = refuse(request, given)
        if no or name not in cases:
            return no or Response("no such case", 404, _HEADERS)
        script = (folder / "cases" / f"{name}.js").read_bytes()
        return Response(script, 200, _HEADERS, "text/javascript; charset=windows-1252")

    @app.get("/{given}/answers")
    def answers(request: Request, given: str):
        # In ASCII: half of an emoji, as a comment cut at its longest ends in, has no UTF-8.
        return refuse(request, given) or Response(json.dumps(journal.answers), 200, _HEADERS, "application/json")

    @app.post("/{given}/answers/{case}")
    async def keep(request: Request, given: str, case: str):
        no = refuse(request, given)
        if no or case not in cases:
            return no or Response("no such case", 404, _HEADERS)
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    return Response("too long", 413, _HEADERS)
        except ClientDisconnect:
            return Response("cut off", 400, _HEADERS)
        try:
            given_answers = check_answers(json.loads(body))
        except (ValueError, RecursionError) as error:
            return Response(f"not kept: {error}", 422, _HEADERS)
        try:
            journal.keep(case, given_answers)
        except OSError as error:
            print(f"kneeline: an answer could not be kept: {error}", file=sys.stderr)
            return Response("not kept: the disk", 507, _HEADERS)
        return Response(None, 204, _HEADERS)

    return app
