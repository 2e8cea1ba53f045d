"""What tests of backups do: look into the repository, restore, and ask the restored server."""
import contextlib
import json

import program
from program import run
from waiting import NotYet, wait_for

# Several blocks and parts of an upload, in more than one file: it does not compress.
BULK = ("CREATE TABLE bulk AS SELECT i, (SELECT string_agg(sha512((i * 16 + j)::text::bytea), ''::bytea) "
        "FROM generate_series(1, 16) j) AS noise FROM generate_series(1, 10000) i")


def configure(cluster, **settings):
    """Writes the section [backup] of every node, and restarts them; waits for the first WAL."""
    for node in cluster.nodes:
        for key, value in settings.items():
            node.edit_config("backup", key, f'"{value}"')
        node.terminate()
    cluster.wait_whole(90)
    # The clock may say half past: whoever counts backups wants none that come by themselves.
    cluster.primary().ok("config", "set", "backup_incremental=off")
    wait_for(lambda: facts(cluster)["wal"], 30, "WAL in the repository", cluster.describe)
    return cluster


def with_repository(cluster, **settings):
    """A directory on this machine."""
    cluster.repository = cluster.root / "repository"
    cluster.repository.mkdir()
    run(["chown", program.SERVER_USER, cluster.repository])
    return configure(cluster, repository=cluster.repository, **settings)


def key_file(cluster, name, digits):
    """A key for encryption, as the node's user has it."""
    path = cluster.root / name
    path.write_text(digits + "\n")
    path.chmod(0o600)
    run(["chown", program.SERVER_USER, path])
    return path


def facts(cluster):
    done = cluster.any_running().keel("backup", "list", "--json")
    if done.returncode != 0:
        raise NotYet(done.stderr)
    return json.loads(done.stdout)


def number(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def wait_archived(cluster, lsn):
    """Until the WAL up to there is in the repository without a hole."""
    def there():
        found = facts(cluster)
        if len(found["wal"]) != 1 or number(found["wal"][0]["to"]) < number(lsn):
            raise NotYet(f"{found['wal']} has not {lsn}")
        return found
    return wait_for(there, 60, f"the archive has {lsn}", cluster.describe)


def restore(cluster, name, *options):
    place = cluster.root / "restores"
    place.mkdir(exist_ok=True)
    run(["chown", program.SERVER_USER, place])
    to = place / name
    done = cluster.any_running().keel("restore", "--to", to, "--postgres-bin", program.postgres_bin(), *options,
                                      seconds=180)
    return to, done


@contextlib.contextmanager
def server_of(cluster, data):
    """The restored server, running; gives a function that asks it."""
    socket = cluster.root / "restored-socket"
    socket.mkdir(exist_ok=True)
    run(["chown", program.SERVER_USER, socket])
    control = [program.postgres_bin() / "pg_ctl", "-D", data, "-w"]
    done = run(program.as_server_user([*control, "-l", data / "again.log", "-o",
                                       f"-p 5432 -c unix_socket_directories={socket} -c listen_addresses=", "start"]), 60,
               cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr

    def ask(text):
        answer = run(program.as_server_user([program.postgres_bin() / "psql", "-XAtq", "-h", socket, "-p", "5432", "-U", "postgres",
                                             "-d", "audit", "-c", text]), cwd="/")
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.split()
    try:
        yield ask
    finally:
        run(program.as_server_user([*control, "-m", "immediate", "stop"]), 60, cwd="/")


def check_rows(load, rows, minimum=100):
    """Every acknowledged row is there, and none that nobody wrote."""
    stored = [int(row) for row in rows]
    acknowledged = {row for writer in load.writers for row in writer.ledger.acknowledged}
    unknown = {row for writer in load.writers for row in writer.ledger.unknown}
    assert len(acknowledged) >= minimum
    assert not acknowledged - set(stored), f"lost: {sorted(acknowledged - set(stored))[:20]}"
    assert set(stored) <= acknowledged | unknown and len(stored) == len(set(stored))


def change_byte(path):
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
