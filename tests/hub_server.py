"""A hub on this machine: the endpoints by which huggingface_hub makes a repository, commits to it, tags it and fetches from it; it refuses
to know what the client does not send."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

Files = dict[str, bytes]


@dataclass
class Repository:
    """commits: all files of each, by its hash. refs: branches and tags."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, revision: str) -> str:
        """A new commit on a branch; the same files as before are none."""
        text = json.dumps({name: hashlib.sha1(content).hexdigest() for name, content in sorted(files.items())})
        name = hashlib.sha1(f"{len(self.commits)}/{text}".encode()).hexdigest()
        self.commits[name] = files
        self.refs[revision] = name
        return name

    def at(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a hash means."""
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """Repositories by their id. requests: methods and paths, in order. refuse: a status for every commit, 0 for none."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuse: int = 0
    url: str = ""

    def app(self) -> FastAPI:
        """The endpoints."""
        app = FastAPI()

        @app.middleware("http")
        async def remember(request: Request, call_next: Any) -> Any:
            self.requests.append(f"{request.method} {request.url.path}")
            return await call_next(request)

        self._changing(app)
        self._reading(app)
        return app

    def _changing(self, app: FastAPI) -> None:
        @app.post("/api/repos/create")
        async def create(request: Request) -> Response:
            body = await request.json()
            name = "/".join(filter(None, (body.get("organization"), body["name"])))
            if name in self.repositories:
                return JSONResponse({"error": "there", "url": f"{self.url}/{name}"}, 409)
            private = body.get("private") or body.get("visibility") == "private"
            self.repositories[name] = Repository(bool(private))
            self.repositories[name].commit({".gitattributes": b"\n"}, "main")
            return JSONResponse({"url": f"{self.url}/{name}", "name": name, "id": name})

        @app.post("/api/validate-yaml")
        async def validate(request: Request) -> Response:
            assert (await request.json())["content"].startswith("---\n"), "a model card begins with its metadata"
            return JSONResponse({"errors": [], "warnings": []})

        @app.post("/api/models/{owner}/{name}/preupload/{revision}")
        async def preupload(owner: str, name: str, revision: str, request: Request) -> Response:
            repository = self.repositories[f"{owner}/{name}"]
            there = repository.commits[repository.at(revision) or ""]
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "regular",
                    "shouldIgnore": False,
                    "oid": _oid(there.get(each["path"])),
                }
                for each in (await request.json())["files"]
            ]
            return JSONResponse({"files": files})

        @app.post("/api/models/{owner}/{name}/commit/{revision}")
        async def commit(owner: str, name: str, revision: str, request: Request) -> Response:
            if self.refuse:
                return JSONResponse({"error": "You may not write here."}, self.refuse)
            repository = self.repositories[f"{owner}/{name}"]
            files = dict(repository.commits[repository.at(revision) or ""])
            for line in (await request.body()).splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "deletedFile":
                    files.pop(value["path"], None)
                else:
                    assert entry["key"] == "header", entry
            oid = repository.commit(files, revision)
            return JSONResponse(
                {"commitUrl": f"{self.url}/{owner}/{name}/commit/{oid}", "commitOid": oid, "success": True}
            )

        @app.post("/api/models/{owner}/{name}/tag/{revision}")
        async def tag(owner: str, name: str, revision: str, request: Request) -> Response:
            repository, tag_name = self.repositories[f"{owner}/{name}"], (await request.json())["tag"]
            if tag_name in repository.refs:
                return JSONResponse({"error": "there"}, 409)
            repository.refs[tag_name] = repository.at(revision) or ""
            return JSONResponse({})

        @app.delete("/api/models/{owner}/{name}/tag/{tag}")
        async def untag(owner: str, name: str, tag: str) -> Response:
            gone = self.repositories[f"{owner}/{name}"].refs.pop(tag, None)
            return JSONResponse({}, 200 if gone else 404, headers={} if gone else {"X-Error-Code": "RevisionNotFound"})

    def _reading(self, app: FastAPI) -> None:
        def of(owner: str, name: str, revision: str) -> tuple[str, Files] | Response:
            repository = self.repositories.get(f"{owner}/{name}")
            if repository is None:
                return JSONResponse({"error": "none"}, 404, headers={"X-Error-Code": "RepoNotFound"})
            commit = repository.at(revision)
            if commit is None:
                return JSONResponse({"error": "none"}, 404, headers={"X-Error-Code": "RevisionNotFound"})
            return commit, repository.commits[commit]

        @app.get("/api/models/{owner}/{name}")
        @app.get("/api/models/{owner}/{name}/revision/{revision}")
        async def info(owner: str, name: str, revision: str = "main") -> Any:
            known = of(owner, name, revision)
            if isinstance(known, Response):
                return known
            siblings = [{"rfilename": path} for path in known[1]]
            return {
                "id": f"{owner}/{name}",
                "modelId": f"{owner}/{name}",
                "sha": known[0],
                "siblings": siblings,
                "tags": [],
            }

        @app.get("/api/models/{owner}/{name}/tree/{revision}")
        async def tree(owner: str, name: str, revision: str) -> Any:
            known = of(owner, name, revision)
            if isinstance(known, Response):
                return known
            return [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                for path, content in known[1].items()
            ]

        @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
        async def resolve(owner: str, name: str, revision: str, path: str, request: Request) -> Any:
            known = of(owner, name, revision)
            if isinstance(known, Response):
                return known
            if path not in known[1]:
                return JSONResponse({"error": "none"}, 404, headers={"X-Error-Code": "EntryNotFound"})
            content = known[1][path]
            headers = {"X-Repo-Commit": known[0], "ETag": f'"{_oid(content)}"', "Content-Length": str(len(content))}
            return Response(b"" if request.method == "HEAD" else content, headers=headers)


def _oid(content: bytes | None) -> str | None:
    """As git names a file."""
    return None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextlib.contextmanager
def hub() -> Iterator[Hub]:
    """A hub on a free port, until the block ends."""
    here = Hub()
    server = uvicorn.Server(uvicorn.Config(here.app(), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    here.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield here
    finally:
        server.should_exit = True
        thread.join(20)
