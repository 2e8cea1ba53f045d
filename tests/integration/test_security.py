"""Who may do what, and what nobody may see: hostile objects, roles between nodes, secrets, tokens, certificates."""
import json
import os
import re
import threading

import psycopg
import pytest

import processes
import program
from network import PORTS
from program import run
from waiting import NotYet, wait_for

# Functions that our statements use, and whose results decide who leads.
USED = ["pg_is_in_recovery", "pg_last_wal_replay_lsn", "pg_last_wal_receive_lsn", "pg_current_wal_flush_lsn",
        "pg_current_wal_insert_lsn", "pg_walfile_name", "pg_last_xact_replay_timestamp", "pg_size_bytes", "substr",
        "current_setting", "pg_database_size", "pg_promote", "concat_ws", "pg_reload_conf", "now", "clock_timestamp"]

TRAPS = """
DO $do$
DECLARE f record;
BEGIN
    FOR f IN SELECT proname, pg_get_function_identity_arguments(oid) AS arguments, format_type(prorettype, NULL) AS type
             FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
               AND provariadic = 0 AND proallargtypes IS NULL AND proname = ANY ('{%s}')
    LOOP
        EXECUTE format($$CREATE FUNCTION public.%%I(%%s) RETURNS %%s LANGUAGE plpgsql AS $body$
            BEGIN RAISE LOG 'TRAP %%s was called by <%%%%>', pg_catalog.current_setting('application_name');
            RETURN NULL; END $body$ $$, f.proname, f.arguments, f.type, f.proname);
    END LOOP;
END $do$;
CREATE FUNCTION public.trap(what text) RETURNS boolean LANGUAGE plpgsql AS $body$
    BEGIN RAISE LOG 'TRAP %% was called by <%%>', what, pg_catalog.current_setting('application_name');
    RETURN true; END $body$;
CREATE VIEW public.pg_stat_activity AS SELECT * FROM pg_catalog.pg_stat_activity WHERE public.trap('activity');
CREATE VIEW public.pg_stat_replication AS SELECT * FROM pg_catalog.pg_stat_replication WHERE public.trap('senders');
CREATE VIEW public.pg_replication_slots AS SELECT * FROM pg_catalog.pg_replication_slots WHERE public.trap('slots');
CREATE VIEW public.pg_database AS SELECT * FROM pg_catalog.pg_database WHERE public.trap('databases');
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
""" % ",".join(USED)

SEARCH_PATHS = [f"ALTER {of} SET search_path = public, pg_catalog"
                for of in ("DATABASE postgres", "ROLE pgkeel_monitor", "ROLE pgkeel_rewind", "ROLE pgkeel_replicator")]


def test_hostile_functions_are_not_called(three):
    """Somebody who may create functions puts his own in front of PostgreSQL's, and waits for a superuser to call them.

    Our connections watch, switch over, cut, rewind and clone meanwhile, and fall into none of the traps.
    """
    primary = three.wait_whole()
    primary.admin(TRAPS)
    for statement in SEARCH_PATHS:
        primary.admin(statement)
    primary.admin("SELECT pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_activity)")

    def called():
        text = "".join(path.read_text(errors="replace") for node in three.nodes for path in node.logs())
        return set(re.findall(r"TRAP (\S+) was called by <(.*?)>", text))

    def armed():
        if not {("pg_is_in_recovery", "psql"), ("activity", "psql")} <= called():
            raise NotYet(f"called: {called()}")
        return True

    wait_for(armed, 10, "the traps work", three.describe)
    primary.ok("switchover", "--yes", seconds=90)
    victim = three.primary(other_than=primary)
    three.wait_whole()
    victim.diverge()
    three.primary(other_than=victim)
    three.wait_whole(90)  # with a rewind
    assert list((victim.directory / "quarantine").glob("*/lost.txt")), victim.describe()
    cloned = three.standbys()[0]
    inode = (cloned.directory / "data").stat().st_ino
    cloned.ok("reinit", cloned.name, "--yes")
    wait_for(lambda: (cloned.directory / "data").stat().st_ino != inode, 60, "a new data directory", three.describe)
    primary = three.wait_whole(90)
    ours = {(what, by) for what, by in called() if by != "psql"}
    assert not ours, f"called: {ours}"
    for of in ("DATABASE postgres", "ROLE pgkeel_monitor", "ROLE pgkeel_rewind", "ROLE pgkeel_replicator"):
        primary.admin(f"ALTER {of} RESET search_path")
    primary.admin("DROP SCHEMA public CASCADE")
    primary.admin("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")


# ---- the roles between nodes ----------------------------------------------------------------------------------------

def must_not(connection, statements):
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
            pytest.fail(f"{connection.info.user} may: {statement}")


FORBIDDEN_TO_ALL = [
    "SELECT rolpassword FROM pg_authid", "SELECT * FROM pg_shadow", "CREATE ROLE more SUPERUSER",
    "ALTER ROLE postgres PASSWORD 'x'", "CREATE DATABASE theirs", "ALTER SYSTEM SET work_mem = '1GB'",
    "SELECT pg_reload_conf()", "SELECT pg_promote()", "SELECT pg_switch_wal()", "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/pgkeel-never'", "COPY (SELECT 1) TO PROGRAM 'true'",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS 'x', 'y'", "CREATE EXTENSION pageinspect",
    "SET SESSION AUTHORIZATION postgres", "SET ROLE postgres", "CREATE TABLE public.theirs (id int)",
    "SELECT pg_create_physical_replication_slot('theirs')", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE usename = 'postgres'", "SELECT * FROM public.secrets"]


def test_roles_between_nodes_may_do_their_work_and_nothing_else(three):
    """A node's certificate was stolen: what the three roles that it opens may do, tried on the primary."""
    primary = three.wait_whole()
    other = three.standbys()[0]
    primary.admin("CREATE TABLE public.secrets AS SELECT 1 AS id")
    with primary.connect_as_peer(other, "pgkeel_monitor", dbname="postgres") as monitor:
        assert monitor.execute("SELECT sum(pg_database_size(oid)) FROM pg_database").fetchone()[0] > 0
        assert monitor.execute("SELECT count(*) FROM pg_stat_replication WHERE state IS NOT NULL").fetchone()[0] == 2
        must_not(monitor, [*FORBIDDEN_TO_ALL, "SELECT pg_read_binary_file('PG_VERSION')",
                           "SELECT pg_stat_file('PG_VERSION', true)"])
    with primary.connect_as_peer(other, "pgkeel_rewind", dbname="postgres") as rewind:
        assert rewind.execute("SELECT count(*) FROM pg_ls_dir('.', true, false)").fetchone()[0] > 10
        assert rewind.execute("SELECT size FROM pg_stat_file('PG_VERSION', true)").fetchone()[0] > 0
        assert rewind.execute("SELECT pg_read_binary_file('PG_VERSION', 0, 2, true)").fetchone()[0]
        must_not(rewind, [*FORBIDDEN_TO_ALL, "SELECT pg_ls_waldir()", "SELECT pg_ls_logdir()"])
    for role, database in [("pgkeel_replicator", "postgres"), ("pgkeel_replicator", "audit"),
                           ("pgkeel_rewind", "audit"), ("pgkeel_monitor", "audit"), ("postgres", "postgres")]:
        with pytest.raises(psycopg.OperationalError, match="reject|no pg_hba|authentication failed|no password"):
            primary.connect_as_peer(other, role, dbname=database).close()
    # Streaming is what the replicator is for; a logical connection, which could read any database, it gets none.
    with pytest.raises(psycopg.OperationalError, match="reject|no pg_hba"):
        primary.connect_as_peer(other, "pgkeel_replicator", dbname="audit", replication="database").close()
    for role in ("pgkeel_replicator", "pgkeel_rewind", "pgkeel_monitor"):
        for options in ({"sslmode": "require"}, {"sslmode": "disable"}):
            with pytest.raises(psycopg.OperationalError):
                primary.connect(user=role, dbname="postgres", password="", **options).close()
    assert primary.admin("SELECT count(*) FROM pg_authid WHERE rolname LIKE 'pgkeel%' AND (rolsuper OR rolcreaterole "
                         "OR rolcreatedb OR rolbypassrls OR rolpassword IS NOT NULL "
                         "OR rolreplication <> (rolname = 'pgkeel_replicator'))") == "0"
    assert primary.admin("SELECT string_agg(member::regrole || ' ' || roleid::regrole, ',') FROM pg_auth_members "
                         "WHERE member::regrole::text LIKE 'pgkeel%'") == "pgkeel_monitor pg_monitor"
    assert primary.admin("SELECT count(*) FROM pg_proc WHERE has_function_privilege('pgkeel_rewind', oid, 'EXECUTE') "
                         "AND NOT has_function_privilege('auditor', oid, 'EXECUTE') "
                         "AND pronamespace = 'pg_catalog'::regnamespace") == "4"
    primary.admin("DROP TABLE public.secrets")


# ---- secrets --------------------------------------------------------------------------------------------------------

class Spy:
    """Reads, as any process of the machine can or a curious administrator would, what processes were started with."""

    def __init__(self, words, allowed):
        self.words, self.allowed, self.found, self.seen = words, allowed, set(), set()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def watch(self):
        while not self.stop.wait(0.05):
            for pid in processes.pids():
                arguments = processes.arguments(pid)
                try:
                    environment = (processes.PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
                except OSError:
                    environment = ""
                title = " ".join(arguments)
                self.seen.add(title)
                for word in self.words():
                    if word in title:
                        self.found.add(f"arguments of {title}")
                    if word in environment and not self.allowed(arguments):
                        self.found.add(f"environment of {title}")


def secret_of(token):
    return token.strip().split(".")[-1]


def test_no_secret_is_shown_anywhere(own_cluster):
    """A full life (init, joins by file and by environment, a switchover), watched; then every file is looked into."""
    cluster = own_cluster(2)
    anna = cluster["anna"]
    words = [secret_of(cluster.token)]
    contact = f"{anna.address}:{PORTS['api']}"

    def is_join(arguments):
        return len(arguments) > 1 and arguments[1] == "join"

    with Spy(lambda: list(words), is_join) as spy:
        by_file, token = cluster.add_node(), cluster.fresh_token()
        words.append(secret_of(token))
        path = cluster.root / "token"
        path.write_text(token)
        path.chmod(0o600)
        done = run(by_file.command("join", contact, "--token-file", path, *by_file.place_options()), 120)
        assert done.returncode == 0, done.stderr
        by_file.start()
        by_environment, token = cluster.add_node(), cluster.fresh_token()
        words.append(secret_of(token))
        done = run(by_environment.command("join", contact, *by_environment.place_options()), 120,
                   env=os.environ | {"PGKEEL_TOKEN": token})
        assert done.returncode == 0, done.stderr
        by_environment.start()
        cluster.wait_whole(90)
        anna.ok("switchover", "--yes", seconds=90)
        cluster.wait_whole(60)
    assert not spy.found, spy.found
    assert any("pg_basebackup" in title for title in spy.seen) and any("walsender" in title for title in spy.seen)
    keys = set()
    for node in cluster.nodes:
        for key in (node.directory / "pki").glob("*.key"):
            keys.add(key.read_text().splitlines()[1])
    assert len(keys) == 5, "one of each node, and the authority's"
    for node in cluster.nodes:
        check_files(node, words, keys)


def check_files(node, words, keys):
    for path in node.directory.rglob("*"):
        if path.is_symlink() or not path.exists():
            continue
        mode = path.stat().st_mode & 0o777
        if path.is_dir() or path.is_socket():
            assert not mode & 0o022 or path.is_socket(), f"{path} may be changed by others: {mode:o}"
            continue
        assert not mode & 0o022, f"{path} may be changed by others: {mode:o}"
        text = path.read_bytes().decode("latin-1")
        for word in words:
            assert word not in text, f"{path} has a token's secret in it"
        if "PRIVATE KEY" in text or any(key in text for key in keys):
            assert path.parent.name == "pki" and path.suffix == ".key" and mode == 0o600, f"{path}: {mode:o}"
        if mode & 0o007:
            assert path.name in ("node.toml", "ca.crt", "node.crt"), f"{path} is open to everybody: {mode:o}"
    assert (node.directory / "data").stat().st_mode & 0o777 == 0o700
    assert (node.directory / "pki").stat().st_mode & 0o777 == 0o700
    assert (node.directory / "run" / "agent.sock").stat().st_mode & 0o777 == 0o600
    own = (node.cluster.root / f"{node.name}.log").read_text(errors="replace")
    for word in [*words, *keys]:
        assert word not in own, f"the log of {node.name} has a secret in it"


# ---- who may ask for what -------------------------------------------------------------------------------------------

def test_roles_of_access_tokens(three, tmp_path):
    """A pipeline that may switch over, a dashboard that may look: what each can do from a machine that is no node."""
    primary = three.wait_whole()
    host = f"{primary.address}:{PORTS['api']}"
    files = {}
    for role in ("read", "operate", "admin"):
        files[role] = tmp_path / role
        files[role].write_text(primary.ok("access", "add", f"{role}er", "--role", role, "--bare"))
        files[role].chmod(0o600)

    def ask(role, *words, **options):
        """A command with nothing but the token: no node's directory is there."""
        return run([program.pgkeel(), *words, "--host", host, "--token-file", files[role], "--dir", tmp_path / "none"],
                   **options)

    for role in files:
        done = ask(role, "status", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["leader"] == primary.name
    done = ask("read", "pause")
    assert done.returncode == 1 and "needs the role operate; access token reader has the role read" in done.stderr
    assert "mend: " in done.stderr
    for command in (["pause"], ["resume"]):
        done = ask("operate", *command)
        assert done.returncode == 0, done.stderr
    for command in (["config", "set", "spare_grace_s", "61"], ["access", "list"], ["token", "create"],
                    ["failover", "--accept-data-loss", "--yes"]):
        done = ask("operate", *command)
        assert done.returncode != 0 and "needs the role admin" in done.stderr, f"{command}: {done.stdout}{done.stderr}"
    done = ask("admin", "config", "set", "spare_grace_s", "61")
    assert done.returncode == 0, done.stderr
    events = ask("read", "history").stdout
    assert "by access token operateer" in events and "by access token adminer" in events, events
    strangers = primary.get("/history")[1]
    assert "by access token operateer" in strangers and "spare_grace_s" not in strangers, strangers
    listed = primary.ok("access", "list")
    assert "reader" in listed and not any(secret_of(path.read_text()) in listed for path in files.values())
    done = run([program.pgkeel(), "status", "--host", host, "--dir", tmp_path / "none"],
               env=os.environ | {"PGKEEL_TOKEN": files["read"].read_text().strip()})
    assert done.returncode == 0, done.stderr
    primary.ok("access", "remove", "reader")
    done = ask("read", "status")
    assert done.returncode != 0 and "not known here" in done.stderr, done.stderr
    assert primary.get("/status", "https")[0] == 401 and primary.get("/health", "http")[0] == 200
    for node in three.nodes:
        for path in (node.directory / "state").iterdir():
            assert not any(secret_of(file.read_text()) in path.read_text(errors="replace") for file in files.values())
