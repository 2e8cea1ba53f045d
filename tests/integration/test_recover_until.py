"""A delayed standby goes back to just before an accident, while the others go on; and follows again afterwards."""
import contextlib

import program
from program import run
from waiting import NotYet, wait_for

MOMENT = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'"


def delay_of(node):
    return node.admin("SELECT setting::bigint / 1000 FROM pg_settings WHERE name = 'recovery_min_apply_delay'")


def set_delay(cluster, node, seconds):
    cluster.primary().ok("tag", node.name, f"delayed_s={seconds}")

    def there():
        if delay_of(node) != str(seconds):
            raise NotYet(delay_of(node))
        return True
    wait_for(there, 60, f"{node.name} replays {seconds} s late", cluster.describe)


def delayed_in(cluster, seconds=3600):
    primary = cluster.primary()
    node = next(one for one in cluster.nodes if one is not primary)
    primary.sql("INSERT INTO ledger VALUES (1, 1)")

    def there():
        with contextlib.suppress(NotYet):
            if node.admin("SELECT count(*) FROM ledger", "audit") == "1":
                return True
        raise NotYet("not replayed")
    wait_for(there, 30, "the standby has the first row", cluster.describe)
    set_delay(cluster, node, seconds)
    return primary, node


def follow_again(cluster, node, rows):
    """It is started, and its delay taken away; then it streams, and comes to what the primary has. (With a delay PostgreSQL
    streams only when it has replayed what it has.)
    """
    node.start()
    wait_for(lambda: delay_of(node) == "3600" or None, 60, "it is up, and as late as before", cluster.describe)
    set_delay(cluster, node, 0)
    cluster.wait_whole(90)

    def there():
        found = node.admin("SELECT id FROM ledger ORDER BY id", "audit").split()
        if found != rows:
            raise NotYet(str(found[:5]))
        return True
    wait_for(there, 60, f"it has {rows}", cluster.describe)


def ask(node, text):
    done = run(program.as_server_user([program.postgres_bin() / "psql", "-XAtq", "-h", node.directory / "run/until", "-p",
                                       "5432", "-U", "postgres", "-d", "audit", "-c", text]), cwd="/")
    return done.stdout.split() if done.returncode == 0 else done.stderr


def refused(node, words, *options):
    done = node.keel("recover", *options)
    assert done.returncode != 0 and words in done.stderr, done.stdout + done.stderr


def wait_received(cluster, node, end):
    def received():
        if node.admin(f"SELECT pg_last_wal_receive_lsn() >= '{end}'") != "t":
            raise NotYet("not yet")
        return True
    wait_for(received, 30, "it has received the row", cluster.describe)


def test_back_to_just_before_an_accident_and_on_again(own_cluster):
    """Rows come, then all of them are deleted. The delayed node shows them as they were between, cannot be written, and
    does not start as a member; the others go on. After the end it follows, and comes to the deletion in its turn.
    """
    cluster = own_cluster(3)
    early = cluster.primary().admin(MOMENT)
    primary, node = delayed_in(cluster)
    primary.sql("INSERT INTO ledger SELECT i, i FROM generate_series(2, 500) AS i")
    moment = primary.admin(MOMENT)
    primary.sql("DELETE FROM ledger")
    primary.sql("INSERT INTO ledger VALUES (-1, -1)")
    refused(primary, "is not a delayed standby", "--until", moment)
    refused(next(one for one in cluster.nodes if one not in (primary, node)), "is not a delayed standby", "--until", moment)
    refused(node, "has replayed", "--until", early)
    refused(node, "has not come yet", "--until", "2120-01-01 00:00:00Z")
    refused(node, "needs a time", "--until", "latest")
    refused(node, "--until", "--until", moment, "--table", "public.ledger")
    refused(node, "nothing was recovered", "--end")
    refused(node, "--table, --database and --at are needed", "--table", "public.ledger")
    assert node.admin("SELECT pg_get_wal_replay_pause_state()") == "not paused"
    assert "Now stop the node" in node.ok("recover", "--until", moment)
    assert "goes on" in node.ok("recover", "--end")
    assert node.admin("SELECT pg_get_wal_replay_pause_state()") == "not paused"
    node.ok("recover", "--until", moment)
    assert node.admin("SELECT pg_get_wal_replay_pause_state()") in ("paused", "pause requested")
    node.terminate()
    said = node.ok("recover", "--until", moment)
    assert f"-h {node.directory}/run/until" in said
    assert ask(node, "SELECT id FROM ledger ORDER BY id") == [str(row) for row in range(1, 501)]
    assert "read-only" in ask(node, "INSERT INTO ledger VALUES (0, 0)")
    refused(node, "PostgreSQL runs in", "--until", moment)
    primary.sql("INSERT INTO ledger VALUES (-2, -2)")
    node.start()
    assert node.process.wait(60) != 0, "a node does not start over it"
    node.process = None
    assert "pgkeel recover --end" in node.story()
    assert ask(node, "SELECT count(*) FROM ledger") == ["500"]
    assert "follows again" in node.ok("recover", "--end")
    follow_again(cluster, node, ["-2", "-1"])


def test_without_a_later_commit_nothing_is_claimed(own_cluster):
    """The node was never told of a commit after that time, so whether it has all before is not known; it says so, and goes
    on as before. Nor does it begin when it was stopped without a pause.
    """
    cluster = own_cluster(3)
    primary, node = delayed_in(cluster)
    primary.sql("INSERT INTO ledger VALUES (2, 2)")
    end = primary.admin("SELECT pg_current_wal_flush_lsn()")
    moment = primary.admin(MOMENT)
    wait_received(cluster, node, end)
    node.ok("recover", "--until", moment)
    node.terminate()
    refused(node, "has received no commit after that time", "--until", moment)
    assert "No such file" in ask(node, "SELECT 1"), "its server is down again"
    node.ok("recover", "--end")
    refused(node, "was not paused before it was stopped", "--until", moment)
    follow_again(cluster, node, ["1", "2"])


def test_who_promotes_it_by_hand_harms_nobody(own_cluster):
    """Somebody has the paused server resume, which PostgreSQL takes for the end of its recovery: it stays alone, can be
    written, and after the end its node gives up what was written there, and follows.
    """
    cluster = own_cluster(3)
    primary, node = delayed_in(cluster)
    moment = primary.admin(MOMENT)
    primary.sql("INSERT INTO ledger VALUES (2, 2)")
    end = primary.admin("SELECT pg_current_wal_flush_lsn()")
    wait_received(cluster, node, end)
    node.ok("recover", "--until", moment)
    node.terminate()
    node.ok("recover", "--until", moment)
    ask(node, "SELECT pg_wal_replay_resume()")
    wait_for(lambda: ask(node, "SELECT pg_is_in_recovery()") == ["f"], 60, "its recovery has ended", cluster.describe)
    ask(node, "INSERT INTO ledger VALUES (-3, -3)")
    assert "was promoted by somebody" in node.ok("recover", "--end")
    primary.sql("INSERT INTO ledger VALUES (3, 3)")
    follow_again(cluster, node, ["1", "2", "3"])
