"""Certificates: of the cluster's own authority, as time or a thief would leave them, and of other authorities."""
import datetime

from program import run

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

CA = """[ca]
default_ca = one
[one]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[node]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:%s
"""


def age_certificate(node, holder, directory):
    """The node's certificate as it will be when little of its life is left, for the same key."""
    (directory / "index").write_text("")
    (directory / "serial").write_text("01\n")
    (directory / "ca.conf").write_text(CA % node.address)
    pki = node.directory / "pki"
    uuid = node.identity()["node"]
    now = datetime.datetime.now(datetime.timezone.utc)
    span = [(now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (-90, 10)]
    for command in (["req", "-new", "-key", pki / "node.key", "-subj", f"/CN={uuid}", "-out", "request"],
                    ["ca", "-batch", "-config", "ca.conf", "-extensions", "node", "-startdate", span[0], "-enddate",
                     span[1], "-cert", holder.directory / "pki" / "ca.crt", "-keyfile",
                     holder.directory / "pki" / "ca.key", "-notext", "-in", "request", "-out", "aged"]):
        done = run(["openssl", *command], cwd=directory)
        assert done.returncode == 0, done.stderr
    text = (directory / "aged").read_text()
    (pki / "node.crt").write_text(text)
    return text


class Authority:
    """An authority of somebody's own, outside the cluster, and the certificates that it gives."""

    def __init__(self, directory, name):
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        (self.directory / "index").write_text("")
        (self.directory / "serial").write_text("01\n")
        (self.directory / "ca.conf").write_text(CA % "127.0.0.1")
        self._openssl("req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", f"/CN={name}")
        self.certificate = self.directory / "ca.crt"

    def _openssl(self, *words):
        done = run(["openssl", *words], cwd=self.directory)
        assert done.returncode == 0, done.stderr

    def issue(self, name, days=(-1, 10)):
        """Options of libpq to log in with a certificate of this name, good from and until so many days from now."""
        at = len(list(self.directory.glob("*.crt")))
        key, crt = f"{at}.key", f"{at}.crt"
        now = datetime.datetime.now(datetime.timezone.utc)
        span = [(now + datetime.timedelta(days=one)).strftime("%Y%m%d%H%M%SZ") for one in days]
        self._openssl("req", "-new", *NEW_KEY, "-keyout", key, "-subj", f"/CN={name}", "-out", "request")
        self._openssl("ca", "-batch", "-config", "ca.conf", "-extensions", "node", "-startdate", span[0], "-enddate", span[1],
                      "-cert", "ca.crt", "-keyfile", "ca.key", "-notext", "-in", "request", "-out", crt)
        return {"sslcert": str(self.directory / crt), "sslkey": str(self.directory / key), "sslmode": "require"}
