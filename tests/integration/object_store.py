"""A real S3 server for the tests: Debian's Swift (object_store_server.py), with a certificate of an authority of its own."""
import datetime
import hashlib
import hmac
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.parse
import urllib.request

import processes
import program
from network import free_port
from waiting import NotYet, wait_for

REGION = "eu-test-1"
KEYS = {"pgkeel:admin": ("the-secret", ".admin"), "pgkeel:guest": ("guests-secret", "")}


class Swift:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pgkeel-swift-"))
        self.root.chmod(0o755)
        self.port = free_port()
        self.endpoint = f"https://localhost:{self.port}"
        self.ca_file = self.certify("authority")
        self.certify("server", signed_by="authority")
        self.log = self.root / "server.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/python3", str(program.ROOT / "tests/integration/object_store_server.py"), str(self.root), str(self.port),
                 str(self.root / "server.crt"), str(self.root / "server.key")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            for key, (secret, groups) in KEYS.items():
                self.process.stdin.write(f"{key} {secret} {groups}\n")
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            if self.process.stdout.readline() != "ready\n":
                raise AssertionError(f"Swift does not start:\n{self.log.read_text()[-3000:]}")
            self.credentials = self.write_key("key", "pgkeel:admin", KEYS["pgkeel:admin"][0])
            self.make_bucket("archive")
        except BaseException:
            self.close()
            raise

    def certify(self, name, signed_by=None):
        base = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-addext", "subjectAltName=DNS:localhost,DNS:archive.localhost", "-keyout", self.root / f"{name}.key",
                "-out", self.root / f"{name}.crt"]
        if signed_by:
            base += ["-CA", self.root / f"{signed_by}.crt", "-CAkey", self.root / f"{signed_by}.key",
                     "-addext", "basicConstraints=critical,CA:FALSE"]
        done = program.run(base)
        assert done.returncode == 0, done.stderr
        return self.root / f"{name}.crt"

    def write_key(self, name, access_key, secret):
        """A file as the node's user may have it."""
        path = self.root / name
        path.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n")
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, program.SERVER_USER)
        return path

    def settings(self, prefix):
        """The section [backup] of a node."""
        return {"repository": f"s3://archive/{prefix}", "s3_endpoint": self.endpoint, "s3_region": REGION,
                "s3_credentials_file": str(self.credentials), "s3_ca_file": str(self.ca_file)}

    def options(self, prefix, **changed):
        """The same for a command line."""
        settings = self.settings(prefix) | changed
        return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]

    def limit(self, bucket, size):
        """A quota in bytes, or "none"."""
        self.process.stdin.write(f"pgkeel {bucket} {size}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "204\n"

    # ---- another client than ours ---------------------------------------------------------------------------------
    def request(self, method, path, body=b""):
        path, _, query = path.partition("?")
        path = urllib.parse.quote(path)
        query = "&".join(sorted(word if "=" in word else word + "=" for word in query.replace("/", "%2F").split("&") if word))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": f"localhost:{self.port}", "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
                   "x-amz-date": now}
        names = ";".join(headers)
        canonical = "\n".join([method, f"/{path}", query, *(f"{name}:{value}" for name, value in headers.items()), "", names,
                               headers["x-amz-content-sha256"]])
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + KEYS["pgkeel:admin"][0]).encode()
        for word in [*scope.split("/"), text]:
            key = hmac.digest(key, word.encode(), "sha256")
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential=pgkeel:admin/{scope},SignedHeaders={names},"
                                    f"Signature={key.hex()}")
        url = f"{self.endpoint}/{path}?{query}"
        asked = urllib.request.Request(url, data=body if method == "PUT" else None, headers=headers, method=method)
        with urllib.request.urlopen(asked, timeout=20, context=ssl.create_default_context(cafile=self.ca_file)) as answer:
            return answer.read()

    def make_bucket(self, name):
        self.request("PUT", name)

    def change(self, name, change):
        """Replaces an object's bytes by what change(bytes) gives; the old ones."""
        before = self.request("GET", f"archive/{name}")
        self.request("PUT", f"archive/{name}", change(before))
        return before

    # ---- faults ---------------------------------------------------------------------------------------------------
    def hang(self):
        processes.send(self.process.pid, signal.SIGSTOP)
        def stopped():
            if processes.state(self.process.pid) != "T":
                raise NotYet("Swift runs")
            return True
        wait_for(stopped, 10, "Swift hangs")

    def go_on(self):
        processes.send(self.process.pid, signal.SIGCONT)

    def close(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()
        shutil.rmtree(self.root, ignore_errors=True)
