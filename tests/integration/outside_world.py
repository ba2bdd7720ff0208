"""The outside as a company's network shows it: names that nothing resolves but a CONNECT proxy, and
behind them TLS servers whose certificates a private authority has signed.

    with World(folder, {"model.test": sandbox_port, …}) as world:
        … {"HTTPS_PROXY": world.proxy_url, "CA_BUNDLE": world.ca}
        world.connected        # the names that were asked for, in order
"""
import base64
import contextlib
import selectors
import socket
import ssl
import subprocess
import threading

USER, PASSWORD = "bus", "hunter2"


def make_authority(folder, names):
    """(The authority's certificate, a server's, its key), as files that everyone may read."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=Tests' authority", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    (folder / "names").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", "names", "-out", "server.pem")
    (folder / "ca.pem").chmod(0o644)
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"


def relay(a, b):
    """Until either end is done. TLS may hold bytes that no selector sees, so all are taken."""
    with selectors.DefaultSelector() as ready:
        ready.register(a, selectors.EVENT_READ, b)
        ready.register(b, selectors.EVENT_READ, a)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)
                while isinstance(key.fileobj, ssl.SSLSocket) and key.fileobj.pending():
                    data += key.fileobj.recv(65536)
                if not data:
                    return
                key.data.sendall(data)


class Door:
    """A listener; each connection has a thread that runs serve(socket)."""

    def __init__(self, serve):
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                threading.Thread(target=self.run, args=(one,), daemon=True).start()

    def run(self, one):
        with contextlib.suppress(OSError), one:
            self.serve(one)

    def close(self):
        self.listener.close()


class World:
    def __init__(self, folder, backends):
        self.backends = backends  # {name: port of a plain server on this host}
        self.connected, self.refused = [], []
        self.ca, certificate, key = make_authority(folder, list(backends))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.sni_callback = self.on_name
        self.names = {}
        self.tls = Door(self.serve_tls)
        self.proxy = Door(self.serve_proxy)
        self.proxy_url = f"http://{USER}:{PASSWORD}@127.0.0.1:{self.proxy.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.close()
        self.tls.close()

    def on_name(self, one, name, _):
        one.asked = name

    def serve_tls(self, one):
        with self.context.wrap_socket(one, server_side=True) as inner, \
                socket.create_connection(("127.0.0.1", self.backends[inner.asked])) as outer:
            relay(inner, outer)

    def serve_proxy(self, one):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = one.recv(4096)
            if not piece or len(head) > 65536:
                return
            head += piece
        line, *headers = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
        method, target, _ = line.split(" ")
        name, _, port = target.rpartition(":")
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if f"proxy-authorization: basic {known}".lower() not in [h.lower() for h in headers]:
            self.refused.append(line)
            one.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                        b"Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        elif method != "CONNECT" or port != "443" or name not in self.backends:
            self.refused.append(line)
            one.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            self.connected.append(name)
            with socket.create_connection(("127.0.0.1", self.tls.port)) as onward:
                one.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                relay(one, onward)
