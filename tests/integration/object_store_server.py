"""OpenStack Swift with its S3 interface over HTTPS, whole in one process. Objects are in memory, accounts and containers
in SQLite. It checks signatures, hashes and permissions as a server in the cloud does, and lists ten names a page.

Arguments: a directory, a port, a certificate, its key. Standard input: a line "access_key secret groups" for each key, an
empty line; then, at any time, "account bucket bytes" sets a quota, and "none" for the bytes takes it away.
"""
import pathlib
import sys

import eventlet

eventlet.monkey_patch()

from eventlet import tpool, wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

# Before the other parts are loaded: they would read /etc/swift.
utils.HASH_PATH_SUFFIX = b"test"
utils.validate_configuration = lambda: None

from swift.common import storage_policy  # noqa: E402
from swift.common.swob import Request  # noqa: E402
from swift.common.wsgi import ConfigString, loadapp  # noqa: E402

storage_policy._POLICIES = storage_policy.StoragePolicyCollection([storage_policy.StoragePolicy(0, "only", True)])

HOST = "127.0.0.1"
SERVER = """[DEFAULT]
devices = {root}/devices
mount_check = false
swift_dir = {root}
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{egg}
replication_server = false
"""
PROXY = """[DEFAULT]
swift_dir = {root}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors proxy-logging cache s3api tempauth copy container-quotas slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = {host}:1
error_suppression_limit = 1
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
auth_pipeline_check = false
location = eu-test-1
max_bucket_listing = 10
min_segment_size = 1048576
allow_multipart_uploads = true
storage_domain = localhost
[filter:tempauth]
use = egg:swift#tempauth
{users}
[filter:copy]
use = egg:swift#copy
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:slo]
use = egg:swift#slo
"""


def write_ring(path, port):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": HOST, "port": port, "device": "disk",
                     "meta": "", "replication_ip": HOST, "replication_port": port})
    builder.rebalance()
    builder.get_ring().save(str(path))


def serve(socket, conf):
    app = loadapp(ConfigString(conf))
    eventlet.spawn(wsgi.server, socket, app, log_output=False, socket_timeout=60)
    return app


def limit(app, account, bucket, size):
    """Sets a bucket's quota, past every permission check."""
    request = Request.blank(f"/v1/AUTH_{account}/{bucket}", method="POST",
                            headers={"X-Container-Meta-Quota-Bytes": "" if size == "none" else size})
    request.environ["swift.authorize_override"] = True
    request.environ["swift.authorize"] = lambda _: None
    return request.get_response(app).status_int


def main():
    root, port, certificate, key = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    (root / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    users = "\n".join("user_{0}_{1} = {2} {3}".format(*line.split(" ")[0].split(":"), *line.split(" ", 2)[1:]).rstrip()
                      for line in iter(sys.stdin.readline, "\n") for line in [line.rstrip("\n") + " "])
    for kind, egg in (("account", "account"), ("container", "container"), ("object", "mem_object")):
        socket = eventlet.listen((HOST, 0))
        write_ring(root / f"{kind}.ring.gz", socket.getsockname()[1])
        serve(socket, SERVER.format(root=root, kind=kind, egg=egg))
    front = eventlet.wrap_ssl(eventlet.listen((HOST, int(port))), certfile=certificate, keyfile=key, server_side=True)
    app = serve(front, PROXY.format(root=root, host=HOST, users=users))
    print("ready", flush=True)
    for line in iter(lambda: tpool.execute(sys.stdin.readline), ""):
        print(limit(app, *line.split()), flush=True)


main()
