"""MCP servers that want OAuth, and their authorization servers, on one port: NAME's MCP server is
/NAME/mcp, its authorization server is /as/NAME. Each behaves as its entry in BEHAVIOUR says, and
what was asked of it is kept."""
import base64
import collections
import dataclasses
import http.server
import json
import threading
import urllib.parse

import jwt

ID, SECRET = "the-client", "s3cret-of-the-client"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclasses.dataclass
class Behaviour:
    """What differs from a plain server; `None` leaves a thing out."""
    methods: tuple = ("client_secret_basic",)
    public_key: str = None          # of private_key_jwt
    seconds: int = 3600             # a token's life, as it is told
    uses: int = 1 << 30             # how often a token is taken
    needs: str = "mcp:list"         # the scope of everything
    call_needs: str = None          # of tools/call, in addition
    never_enough: bool = False      # 403 whatever the token has
    no_token: bool = False          # every token is refused
    resource: str = None            # what the metadata calls itself
    issuer: str = None              # what the metadata points to
    said_issuer: str = None         # what the authorization server calls itself
    token_url: str = None
    metadata: str = "json"          # or "redirect", "huge", "deep", "error"
    token: str = "json"             # likewise
    repeats: bool = False           # what it was sent, in the error of a call
    error: str = None               # of the token endpoint
    challenge: str = None           # the whole WWW-Authenticate


Request = collections.namedtuple("Request", "method path headers body")


class Servers:
    def __init__(self, **behaviours):
        self.behaviours = behaviours
        self.asked = collections.defaultdict(list)
        self.tokens = {}
        self.used = {}
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"servers": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def url(self, name):
        return f"{self.base}/{name}/mcp"

    def issuer(self, name):
        return f"{self.base}/as/{name}"

    def asked_of(self, name, path):
        """The requests for one path of NAME's two servers."""
        with self.lock:
            return [request for request in self.asked[name] if request.path.startswith(path)]

    def token_requests(self, name):
        return [dict(urllib.parse.parse_qsl(request.body))
                for request in self.asked_of(name, f"/as/{name}/token")]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    servers = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def do_DELETE(self):
        self.serve()

    def serve(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        path = urllib.parse.urlparse(self.path).path
        name = next((part for part in path.split("/") if part in self.servers.behaviours), None)
        with self.servers.lock:
            self.servers.asked[name].append(
                Request(self.command, path, dict(self.headers.items()), body))
        if name is None:
            self.answer(404, {"detail": "nothing is here"})
            return
        behaviour = self.servers.behaviours[name]
        if path == f"/.well-known/oauth-protected-resource/{name}/mcp":
            self.document(behaviour.metadata, {
                "resource": behaviour.resource or self.servers.url(name),
                "authorization_servers": [behaviour.issuer or self.servers.issuer(name)],
                "scopes_supported": [behaviour.needs]})
        elif path == f"/.well-known/oauth-authorization-server/as/{name}":
            self.document("json", {
                "issuer": behaviour.said_issuer or self.servers.issuer(name),
                "token_endpoint": behaviour.token_url or f"{self.servers.issuer(name)}/token",
                "token_endpoint_auth_methods_supported": list(behaviour.methods),
                "grant_types_supported": ["client_credentials"]})
        elif path == f"/as/{name}/token":
            self.token(name, behaviour, body)
        elif path == f"/{name}/mcp":
            self.mcp(name, behaviour, body)
        else:
            self.answer(404, {"detail": "not here"})

    def answer(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def document(self, how, content):
        if how == "redirect":
            self.answer(302, {}, Location=f"{self.servers.base}/internal")
        elif how == "huge":
            self.answer(200, {**content, "padding": "x" * (1 << 20)})
        elif how == "deep":
            self.answer(200, b'{"resource":' + b"[" * 20000 + b"]" * 20000 + b"}")
        elif how == "error":
            self.answer(500, {})
        else:
            self.answer(200, content)

    def who(self, behaviour, form, name):
        """The method by which the client has shown who it is; None: it has not."""
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            pair = base64.b64decode(basic[6:]).decode().split(":")
            good = [urllib.parse.unquote(part) for part in pair] == [ID, SECRET]
            return "client_secret_basic" if good else None
        if form.get("client_assertion_type") == ASSERTION:
            claims = jwt.decode(form["client_assertion"], behaviour.public_key,
                                algorithms=["ES256", "RS256"], audience=self.servers.issuer(name))
            return "private_key_jwt" if claims["iss"] == claims["sub"] == ID else None
        if form.get("client_secret") == SECRET and form.get("client_id") == ID:
            return "client_secret_post"
        return None

    def token(self, name, behaviour, body):
        form = dict(urllib.parse.parse_qsl(body))
        if behaviour.token != "json":
            self.document(behaviour.token, {})
        elif behaviour.error:
            self.answer(400, {"error": behaviour.error, "error_description": f"no, {SECRET}"})
        elif self.who(behaviour, form, name) not in behaviour.methods:
            self.answer(401, {"error": "invalid_client"})
        elif form.get("grant_type") != "client_credentials" \
                or form.get("resource") != self.servers.url(name):
            self.answer(400, {"error": "invalid_target"})
        else:
            token = f"token-{len(self.servers.tokens)}-of-{name}"
            scopes = form.get("scope", "").split()
            self.servers.tokens[token] = (name, scopes)
            self.servers.used[token] = 0
            self.answer(200, {"access_token": token, "token_type": "Bearer",
                              "expires_in": behaviour.seconds, "scope": " ".join(scopes)})

    def refuse(self, status, name, behaviour, scope, error):
        where = f"{self.servers.base}/.well-known/oauth-protected-resource/{name}/mcp"
        self.answer(status, {"error": error}, WWW_Authenticate=behaviour.challenge or (
            f'Bearer resource_metadata="{where}", scope="{scope}", error="{error}"'))

    def mcp(self, name, behaviour, body):
        message = json.loads(body) if body else {}
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        owner, scopes = self.servers.tokens.get(token, (None, []))
        good = kind == "Bearer" and owner == name and not behaviour.no_token \
            and self.servers.used[token] < behaviour.uses
        if good:
            self.servers.used[token] += 1
        else:
            self.refuse(401, name, behaviour, behaviour.needs, "invalid_token")
            return
        needed = [behaviour.needs]
        if message.get("method") == "tools/call" and behaviour.call_needs:
            needed.append(behaviour.call_needs)
        if behaviour.never_enough or not set(needed) <= set(scopes):
            self.refuse(403, name, behaviour, needed[-1], "insufficient_scope")
            return
        if behaviour.repeats and message.get("method") == "tools/call":
            self.answer(500, {"message": f"I do not like {self.headers['Authorization']}"})
            return
        self.speak(name, message)

    def speak(self, name, message):
        """MCP itself, 2025-11-25."""
        tool = {"name": "echo", "description": "Says it again", "inputSchema": {
            "type": "object", "properties": {"text": {"type": "string"}}}}
        results = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                           "serverInfo": {"name": name, "version": "1"}},
            "tools/list": {"tools": [tool]},
        }
        method = message.get("method")
        if self.command != "POST" or method == "server/discover":
            self.answer(405 if self.command != "POST" else 400, {"detail": "an older server"})
        elif method == "tools/call":
            text = message["params"].get("arguments", {}).get("text", "")
            self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": {
                "content": [{"type": "text", "text": f"{name} says {text}"}]}})
        elif method in results:
            self.answer(200, {"jsonrpc": "2.0", "id": message["id"], "result": results[method]})
        else:
            self.answer(202, b"")
