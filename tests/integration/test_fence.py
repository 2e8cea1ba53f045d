"""The fence inside PostgreSQL, opened and shut by real agents."""
import pathlib
import re
import signal
import subprocess
import threading

import psycopg

import processes
import program
from waiting import NotYet, wait_for

INSERT = "INSERT INTO ledger VALUES (4711, %s)"


def test_every_node_says_that_its_fence_is_whole(three):
    three.wait_whole()
    for node in three.data_nodes():
        three.wait_status(node, lambda status: status["fence"] == "full", f"the fence of {node.name}")


def test_row_31_postgresql_started_by_hand(three):
    """Somebody starts a stopped node's PostgreSQL as a primary, with pg_ctl: it must not acknowledge a single write."""
    three.wait_whole()
    node = three.standbys()[0]
    node.terminate()
    data = node.directory / "data"
    (data / "standby.signal").unlink()
    with open(three.root / "by_hand.log", "wb") as log:
        command = program.as_server_user([str(program.postgres_bin() / "postgres"), "-D", str(data)])
        by_hand = subprocess.Popen([*three.network.command(node.host), *command],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        wait_for(node.is_admin_primary, 30, "it runs as a primary", (three.root / "by_hand.log").read_text)
        try:
            node.admin("CREATE TABLE split_brain ()", "audit")
            raise AssertionError("a server that was started by hand took a write")
        except NotYet as refused:
            assert "may not accept writes" in str(refused), refused
    finally:
        by_hand.send_signal(signal.SIGQUIT)
        by_hand.wait(30)
    # It committed nothing, but wrote WAL (of what was rolled back, checkpoints) on the leader's own timeline, and is no
    # copy any more: taken back as it is, it would acknowledge commits that it has not.
    three.wait_whole(90)
    assert "cloning" in (three.root / f"{node.name}.log").read_text()


def signal_was_taken(pid, number):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    pending = [int(mask, 16) for mask in re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)", text, re.MULTILINE)]
    return all(mask & (1 << (number - 1)) == 0 for mask in pending)


def test_row_32_client_cancels_during_the_sync_wait(three):
    """PostgreSQL answers such a client with success, and the row is on the primary alone. Here it goes on waiting."""
    primary = three.wait_whole()
    notices, errors = [], []
    connection = primary.connect()
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    pid = connection.info.backend_pid

    def insert():
        try:
            connection.execute(INSERT, [three.next_writer()])
        except psycopg.Error as error:
            errors.append(error)

    clients, stopped = [], set()

    def commit_waits():
        """Not the walsenders: one that is stopped while it holds a lock of the primary would hold up more than this."""
        for node in three.data_nodes():
            for receiver in node.backends("walreceiver"):  # a standby may just have got a new one
                if receiver not in stopped and processes.send(receiver, signal.SIGSTOP):
                    stopped.add(receiver)
        if not clients or not clients[-1].is_alive():
            clients.append(threading.Thread(target=insert))
            clients[-1].start()
        return primary.admin(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "SyncRep"

    try:
        wait_for(commit_waits, 20, "the commit waits for a standby", three.describe)
        connection.cancel()
        processes.send(pid, signal.SIGTERM)
        wait_for(lambda: signal_was_taken(pid, signal.SIGTERM), 20, "the signals were taken")
    finally:
        for receiver in stopped:
            processes.send(receiver, signal.SIGCONT)
    clients[-1].join(30)
    assert not clients[-1].is_alive() and errors == [], errors
    assert not any("synchronous replication" in notice for notice in notices), notices
    found = "SELECT count(*) FROM ledger WHERE id = 4711"  # one for each try
    for node in three.data_nodes():
        wait_for(lambda: node.value(found) == len(clients), 30, f"the row on {node.name}", three.describe)


def test_row_4_all_of_pgkeel_hangs_on_the_primary(own_cluster):
    """Agent, guardian and their parent are stopped: nobody is left who could kill PostgreSQL, and it shuts itself."""
    cluster = own_cluster(3, mode="async")
    old = cluster.primary()
    stopped = [old.inner("agent"), old.inner("guardian"), old.root_pid()]
    connection = old.connect()
    connection.execute("CREATE TEMP TABLE ours (id int)")
    try:
        for pid in stopped:
            processes.send(pid, signal.SIGSTOP)

        def refused():
            try:
                connection.execute("INSERT INTO ours VALUES (1)")
            except psycopg.errors.ReadOnlySqlTransaction as error:
                return "may not accept writes" in str(error)
            return False

        wait_for(refused, 30, "the old primary refuses commits", cluster.describe)

        def another_leads():
            return any(node.get("/primary")[0] == 200 for node in cluster.data_nodes() if node is not old)

        wait_for(another_leads, 60, "another primary", cluster.describe)
        assert refused(), "two primaries take writes"
    finally:
        for pid in stopped:
            processes.send(pid, signal.SIGCONT)
    cluster.wait_whole(90)
