"""Servers that take alerts in the tests: HTTP, a Bot API with its limits, SMTP. Real sockets on loopback."""
import collections
import email
import email.header
import email.policy
import http.server
import json
import socketserver
import threading
import time


class Server:
    """Serves in a thread of its own until closed."""

    def __init__(self, server):
        self.server = server
        self.port = server.server_address[1]
        self.thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Http(Server):
    """Keeps the bodies that it has taken. `answer(path, body)` gives status, headers and body."""

    def __init__(self):
        outer = self
        self.taken, self.seen, self.refuse_with, self.hang = [], [], None, threading.Event()
        self.hang.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.path, dict(self.headers), body))
                outer.hang.wait(60)
                status, headers, answer = outer.answer(self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        super().__init__(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.server.daemon_threads = True

    def answer(self, path, body):
        if self.refuse_with:
            return self.refuse_with
        self.taken.append(json.loads(body))
        return 200, {}, b""

    def lines(self):
        return [line for message in self.taken for line in message["alerts"]]

    def texts(self):
        return [message["text"] for message in self.taken]


class BotApi(Http):
    """sendMessage: one message a second to a chat, twenty a minute, and nothing while `retry_after` runs."""

    TOKEN = "4711:AbCdEf-secret"

    def __init__(self):
        self.sent, self.violations, self.closed_until = collections.deque(), [], 0.0
        super().__init__()

    def is_free(self):
        return time.monotonic() - self.sent[-1] > 1

    def ask_to_wait(self, seconds):
        self.pending_wait = seconds

    pending_wait = 0

    def answer(self, path, body):
        now = time.monotonic()
        if path != f"/bot{self.TOKEN}/sendMessage":
            return 404, {}, json.dumps({"ok": False, "error_code": 404, "description": "Not Found"}).encode()
        if self.pending_wait:
            self.closed_until, self.pending_wait = now + self.pending_wait, 0
            return self.too_many(now)
        if now < self.closed_until:
            self.violations.append("a request before retry_after was over")
            return self.too_many(now)
        recent = [at for at in self.sent if now - at < 60]
        if len(recent) >= 20 or (recent and now - recent[-1] < 1):
            self.violations.append("more than one a second, or twenty a minute")
            self.closed_until = now + 5
            return self.too_many(now)
        message = json.loads(body)
        if not message["text"] or len(message["text"]) > 4096 or "parse_mode" in message:
            return 400, {}, json.dumps({"ok": False, "error_code": 400, "description": "Bad Request"}).encode()
        self.sent.append(now)
        self.taken.append(message)
        return 200, {}, json.dumps({"ok": True, "result": {"message_id": len(self.taken)}}).encode()

    def too_many(self, now):
        after = max(1, round(self.closed_until - now))
        return 429, {}, json.dumps({"ok": False, "error_code": 429, "parameters": {"retry_after": after},
                                    "description": f"Too Many Requests: retry after {after}"}).encode()


class Smtp(Server):
    """Takes mail without TLS."""

    def __init__(self):
        outer = self
        self.taken = []

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text):
                self.wfile.write(text.encode() + b"\r\n")

            def handle(self):
                self.say("220 test ESMTP")
                receivers = []
                while line := self.rfile.readline():
                    verb = line.split()[0].upper() if line.split() else b""
                    if verb == b"EHLO":
                        self.say("250-test\r\n250 8BITMIME")
                    elif verb == b"RCPT":
                        receivers.append(line.decode().strip()[len("RCPT TO:"):])
                        self.say("250 ok")
                    elif verb == b"DATA":
                        self.say("354 go on")
                        self.take(receivers)
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def take(self, receivers):
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    assert line.endswith(b"\r\n"), line
                    lines.append(line[1:] if line.startswith(b"..") else line)
                message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                outer.taken.append((receivers, str(message["subject"]), message.get_content()))
                self.say("250 queued")

        super().__init__(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
        self.server.daemon_threads = True

    def texts(self):
        return [body for _, _, body in self.taken]
