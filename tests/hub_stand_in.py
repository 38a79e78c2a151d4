"""A hub on this machine, spoken to by the hub's own client: repositories, commits, large files, tokens, and faults."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

WRITES = "hf_writesWRITESwrites0123"
READS = "hf_readsREADSreads4567890"
OWNERS = ("me", "lab", "ORG")
"""Whom the tokens may write for."""
LARGE = (".safetensors", ".onnx", ".png", ".bin")
_MODEL = re.compile(
    r"/api/models/(?P<name>[^/]+/[^/]+)(?:/(?P<verb>revision|preupload|commit|branch)/(?P<rev>[^/]+))?$"
)
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)$")

Tree = dict[str, bytes]


@dataclass
class Repository:
    """Branches, and what each commit holds."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Tree] = field(default_factory=dict)

    def commit(self, tree: Tree, branch: str = "main") -> str:
        hashes = (f"{name}{hashlib.sha256(tree[name]).hexdigest()}" for name in sorted(tree))
        told = f"{len(self.commits)}" + "".join(hashes)
        sha = hashlib.sha1(told.encode()).hexdigest()
        self.commits[sha] = dict(tree)
        self.branches[branch] = sha
        return sha


class Hub:
    """What it holds, and what it was asked."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fault: str | None = None
        """``status:N`` answers every question about a model so; ``drop`` closes the connection at a commit. Of the
        student's own file ``cut`` sends half, ``other`` sends other bytes, and ``stall`` sends half and holds on, as it
        does with large files that come."""

    def put(self, name: str, tree: Tree, **facts: Any) -> Repository:
        """Make a repository with one commit."""
        self.repositories[name] = Repository(**facts)
        self.repositories[name].commit(tree)
        return self.repositories[name]

    def tree(self, name: str, branch: str = "main") -> Tree:
        """Return what a branch holds."""
        repository = self.repositories[name]
        return repository.commits[repository.branches[branch]]


@contextmanager
def serving(cache: Path) -> Iterator[Hub]:
    """Run a hub, and have the client ask it without a token; cache: folder of what is fetched."""
    from huggingface_hub import constants

    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with pytest.MonkeyPatch.context() as patched, ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        patched.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
        patched.setenv("no_proxy", "127.0.0.1")
        patched.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patched.setattr(constants, "HF_HUB_CACHE", str(cache))
        patched.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        patched.setattr(constants, "HF_STORED_TOKENS_PATH", str(cache / "tokens"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "KDCLI_OFFLINE", "HF_HUB_OFFLINE"):
            patched.delenv(name, raising=False)
        yield hub
        http.shutdown()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.token not in (None, WRITES, READS):
            self._error(401, None, "Invalid credentials in Authorization header")
        elif path == "/api/whoami-v2":
            self._who()
        elif path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/large/"):
            self._hold()
            self.hub.stored[hashlib.sha256(body).hexdigest()] = body
            self._json({})
        elif (found := _MODEL.match(path)) is not None:
            self._model(found, body)
        elif (found := _FILE.match(path)) is not None:
            self._file(found)
        else:
            self._error(404, None, "no such page")

    def _hold(self) -> None:
        while self.hub.fault == "stall":
            time.sleep(0.05)

    def _who(self) -> None:
        if self.token is None:
            return self._error(401, None, "Invalid username or password.")
        role = "write" if self.token == WRITES else "read"
        self._json({"name": "me", "type": "user", "orgs": [{"name": "lab"}],
                    "auth": {"type": "access_token", "accessToken": {"role": role}}})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if self.token != WRITES or asked["organization"] not in OWNERS:
            return self._error(403, None, "You don't have the rights to create a model under this namespace")
        private = asked.get("private", False) or asked.get("visibility") == "private"
        self.hub.put(name, {".gitattributes": b"*.onnx filter=lfs\n"}, private=private)
        self._json({"url": f"http://{self.headers['Host']}/{name}"})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**one} if one["oid"] in self.hub.stored else
            {**one, "actions": {"upload": {"href": f"http://{self.headers['Host']}/large/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        self._json({"objects": objects, "transfer": "basic"})

    def _seen(self, name: str) -> Repository | None:
        """Return a repository that the token opens; answer otherwise."""
        if (self.hub.fault or "").startswith("status:"):
            self._error(int((self.hub.fault or "").partition(":")[2]), None, "as asked")
            return None
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and self.token is None):
            self._error(401 if self.token is None else 404, "RepoNotFound", "Repository not found")
            return None
        if repository.gated and self.token is None:
            self._error(401, "GatedRepo", f"Access to model {name} is restricted.")
            return None
        return repository

    def _model(self, found: re.Match[str], body: bytes) -> None:
        name, verb, rev = found["name"], found["verb"], found["rev"] or "main"
        if (repository := self._seen(name)) is None:
            return
        if verb == "branch":
            known = rev in repository.branches
            repository.branches.setdefault(rev, repository.branches["main"])
            return self._error(409, None, "branch exists") if known else self._json({})
        sha = repository.branches.get(rev, rev)
        if sha not in repository.commits:
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        tree = repository.commits[sha]
        if verb == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                 "shouldIgnore": False, "oid": None}
                for one in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        if verb == "commit":
            if self.hub.fault == "drop":
                self.close_connection = True
                return self.connection.close()
            new = self._changed(tree, body)
            sha = repository.commit(new, rev)
            return self._json({"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{sha}", "commitOid": sha})
        self._json({
            "_id": "0", "id": name, "modelId": name, "sha": sha, "private": repository.private,
            "gated": "auto" if repository.gated else False, "tags": [], "downloads": 0,
            "siblings": [_listed(path, tree[path]) for path in sorted(tree)],
        })

    def _changed(self, tree: Tree, body: bytes) -> Tree:
        new = dict(tree)
        for line in filter(None, body.splitlines()):
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "file":
                new[value["path"]] = base64.b64decode(value["content"])
            elif told["key"] == "lfsFile":
                new[value["path"]] = self.hub.stored[value["oid"]]
            elif told["key"] == "deletedFile":
                del new[value["path"]]
        return new

    def _file(self, found: re.Match[str]) -> None:
        if (repository := self._seen(found["name"])) is None:
            return
        sha = repository.branches.get(found["rev"], found["rev"])
        if found["path"] not in repository.commits.get(sha, {}):
            return self._error(404, "EntryNotFound", "Entry not found")
        content = repository.commits[sha][found["path"]]
        tag = hashlib.sha256(content).hexdigest()
        begin = 0
        if (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")) is not None:
            begin = int(asked[1])
        student = found["path"] == "student.safetensors"
        if self.hub.fault == "other" and student:
            content = bytes(len(content))
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", sha)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.fault == "stall" and student:
            self.wfile.write(content[begin : begin + (len(content) - begin) // 2])
            self.wfile.flush()
            self._hold()
            self.close_connection = True
            return
        if self.hub.fault == "cut" and student:
            self.wfile.write(content[begin : begin + (len(content) - begin) // 2])
            self.close_connection = True
            return
        self.wfile.write(content[begin:])

    def _json(self, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _error(self, code: int, name: str | None, message: str) -> None:
        content = json.dumps({"error": message}).encode()
        self.send_response(code)
        if name is not None:
            self.send_header("X-Error-Code", name)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _listed(path: str, content: bytes) -> dict[str, Any]:
    sha = hashlib.sha256(content).hexdigest()
    told: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": sha[:40]}
    return {**told, "lfs": {"sha256": sha, "size": len(content), "pointerSize": 130}} if path.endswith(LARGE) else told
