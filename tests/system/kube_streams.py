"""The small API server of kube_server.py as real ones speak: HTTP/2, all requests of a client over one connection."""
import io
import random
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings

from kube_server import Ask


class Stream:
    """What Ask wants of a handler; the answer is kept."""

    def __init__(self, headers, body):
        named = {name.decode(): value.decode() for name, value in headers}
        self.method, self.path = named[":method"], named[":path"]
        self.headers = {name.title(): value for name, value in named.items() if not name.startswith(":")} | {"Content-Length": str(len(body))}
        self.rfile, self.wfile, self.answer = io.BytesIO(body), io.BytesIO(), []

    def send_response(self, status):
        self.answer.append((":status", str(status)))

    def send_header(self, name, value):
        self.answer.append((name.lower(), value))

    def end_headers(self):
        pass


class Streams:
    """At the port of `server`'s objects, but over HTTP/2. Its first answers wait for `together` requests; then their frames leave mixed, in
    one piece, as many at once as lie in the client's buffers. Nothing is streamed: for whoever lists once."""

    def __init__(self, server, together, seed=0):
        self.random = random.Random(seed)
        self.server, self.together, self.connections = server, together, 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(server.pki / "server.pem", server.pki / "server.key")
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as secure:
                self._talk(secure)
        except OSError:  # the client went
            pass

    def _talk(self, secure):
        link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=False))
        link.initiate_connection()
        secure.sendall(link.data_to_send())
        headers, bodies, whole, together = {}, {}, [], self.together
        while data := secure.recv(65536):
            for event in link.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers[event.stream_id], bodies[event.stream_id] = event.headers, b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    whole.append(event.stream_id)
            if len(whole) >= together:
                self._mix(link, {number: self._answer(link, number, Stream(headers[number], bodies[number])) for number in whole})
                whole, together = [], 1
            secure.sendall(link.data_to_send())

    def _answer(self, link, number, stream):
        ask = Ask(stream, stream.method)
        self.server.asked.append(ask)
        self.server._answer(ask)
        link.send_headers(number, stream.answer)
        return stream.wfile.getvalue()

    def _mix(self, link, left):
        while left:
            number = self.random.choice(list(left))
            size = min(len(left[number]), self.random.choice([100, 5000, 16384, 16384]))
            link.send_data(number, left[number][:size])
            left[number] = left[number][size:]
            if not left[number]:
                link.end_stream(number)
                del left[number]
