"""A stand-in for the Hugging Face hub on this machine: what pushing and pulling a model asks of it."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "hf_writer"


class Hub:
    """Repositories in memory: {OWNER/NAME: {path: bytes}}, each with its commits, and the requests that came in."""

    def __init__(self):
        self.repositories = {}
        self.private = set()
        self.commits = {}
        self.large_files = {}  # uploaded, and not yet part of a commit
        self.requests = []
        self.listed_sizes = {}  # false sizes to list
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def sha(self, repository):
        return hashlib.sha1(f"{repository} {len(self.commits.get(repository, []))}".encode()).hexdigest()


@contextlib.contextmanager
def hub_in_use(monkeypatch):
    """A hub that the client on this machine talks to, as somebody who may write."""
    from huggingface_hub import constants

    hub = Hub()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        hub.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args):
        pass

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, data=None, status=200, **headers):
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _writer(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _missing(self, code):
        self._answer({"error": "not found"}, 404, **{"X-Error-Code": code})

    def _handle(self):
        address = urlparse(self.path)
        path = unquote(address.path)
        query = parse_qs(address.query)
        self.hub.requests.append((self.command, path))
        body = self._body()
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            wish = json.loads(body)
            name = f"{wish.get('organization')}/{wish['name']}"
            if not self._writer():
                return self._answer({"error": "you may not"}, 403)
            if name in self.hub.repositories:
                return self._answer({"error": "exists", "url": f"{self.hub.address}/{name}"}, 409)
            self.hub.repositories[name] = {}
            if wish.get("private") or wish.get("visibility") == "private":
                self.hub.private.add(name)
            return self._answer({"url": f"{self.hub.address}/{name}"})
        if found := re.fullmatch(r"/upload/(\w+)", path):
            self.hub.large_files[found[1]] = body
            return self._answer({})
        for pattern, answer in (
            (r"/api/models/([^/]+/[^/]+)/preupload/main", self._preupload),
            (r"/api/models/([^/]+/[^/]+)/commit/main", self._commit),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self._tree),
            (r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", self._info),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        ):
            if found := re.fullmatch(pattern, path):
                repository, *rest = found.groups()
                if repository not in self.hub.repositories or (repository in self.hub.private and not self._writer()):
                    return self._missing("RepoNotFound")
                if rest and rest[0] not in (None, "main", self.hub.sha(repository)):
                    return self._missing("RevisionNotFound")
                return answer(repository, body, query, *rest[1:])
        return self._answer({"error": f"the stand-in does not know {path}"}, 501)

    do_GET = do_POST = do_PUT = do_HEAD = _handle

    def _preupload(self, repository, body, query):
        files = json.loads(body)["files"]
        answers = []
        for file in files:
            mode = "lfs" if file["path"].endswith((".safetensors", ".mp4")) else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
        self._answer({"files": answers})

    def _batch(self, repository, body, query):
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.hub.address}/upload/{wanted['oid']}"}}}
            for wanted in json.loads(body)["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, repository, body, query):
        files = self.hub.repositories[repository]
        commit = []
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large_files[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
            commit.append((entry["key"], value.get("path") or value.get("summary")))
        self.hub.commits.setdefault(repository, []).append(commit)
        sha = self.hub.sha(repository)
        self._answer({"commitUrl": f"{self.hub.address}/{repository}/commit/{sha}", "commitOid": sha, "success": True})

    def _info(self, repository, body, query):
        siblings = [{"rfilename": path} for path in self.hub.repositories[repository]]
        self._answer(
            {"id": repository, "sha": self.hub.sha(repository), "siblings": siblings, "tags": [], "private": False}
        )

    def _tree(self, repository, body, query):
        files = self.hub.repositories[repository]
        folders = {path.rsplit("/", i)[0] for path in files for i in range(1, path.count("/") + 1)}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40} for path in sorted(folders)]
        for path, content in files.items():
            size = self.hub.listed_sizes.get(path, len(content))
            entries.append({"type": "file", "path": path, "size": size, "oid": hashlib.sha1(content).hexdigest()})
        self._answer(entries)

    def _resolve(self, repository, body, query, path):
        content = self.hub.repositories[repository].get(path)
        if content is None:
            return self._missing("EntryNotFound")
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self._answer(content, ETag=etag, **{"X-Repo-Commit": self.hub.sha(repository)})
