"""`pgkeel recover`: one table as it was, beside the live one, out of the backups."""
import os
import signal
import subprocess

import processes
import pytest
from restoring import wait_archived, with_repository
from waiting import wait_for


@pytest.fixture
def archived(own_cluster):
    return with_repository(own_cluster(2))


def recover(node, *options, database="audit"):
    return node.keel("recover", "--database", database, *options, seconds=180)


def rows(node, table):
    return sorted(node.sql(f"SELECT * FROM {table}"))


def scratches(node):
    return [name for name in os.listdir(node.directory) if "recover" in name]


def test_a_table_comes_back_beside_the_live_one(archived):
    """Rows are deleted, a table is dropped: both come back as they were, the live ones stay as they are."""
    node = archived.primary()
    node.sql("CREATE SCHEMA shop")
    node.sql('CREATE TABLE shop."Users" (id int PRIMARY KEY, name text, added timestamptz DEFAULT now())')
    node.sql("CREATE TABLE shop.gone (id int GENERATED ALWAYS AS IDENTITY, what text)")
    node.sql("""INSERT INTO shop."Users" VALUES (1, 'ä "quoted" one'), (2, NULL)""")
    node.ok("backup", "create", seconds=120)
    node.sql("""INSERT INTO shop."Users" VALUES (3, 'after the backup')""")
    node.sql("INSERT INTO shop.gone (what) SELECT 'row ' || i FROM generate_series(1, 1000) i")
    before, gone = rows(node, 'shop."Users"'), rows(node, "shop.gone")
    moment = node.admin("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")
    node.sql("""DELETE FROM shop."Users" WHERE id <> 2""")
    node.sql("DROP TABLE shop.gone")
    wait_archived(archived, node.admin("SELECT pg_current_wal_flush_lsn()"))

    planned = recover(node, "--table", 'shop."Users"', "--at", moment, "--dry-run")
    assert planned.returncode == 0 and '"shop"."Users_at_' in planned.stdout, planned.stdout + planned.stderr
    assert node.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'") == [(1,)], "a dry run made something"

    done = recover(node, "--table", 'shop."Users"', "--at", moment, "--into", "users then")
    assert done.returncode == 0 and "3 rows" in done.stdout, done.stdout + done.stderr
    assert rows(node, 'shop."users then"') == before
    assert [row[0] for row in rows(node, 'shop."Users"')] == [2], "the live table was touched"
    owners = node.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'shop'")
    assert len(owners) == 1, f"the copy belongs to somebody else: {owners}"

    done = recover(node, "--table", "shop.gone", "--at", moment, "--into", "gone")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(node, "shop.gone") == gone
    assert not scratches(node), "the scratch server's directory was left behind"

    def refused(words, *options, node=node, **more):
        before = node.sql("SELECT count(*) FROM pg_class")
        done = recover(node, *options, **more)
        assert done.returncode != 0 and words in done.stderr, done.stdout + done.stderr
        assert node.sql("SELECT count(*) FROM pg_class") == before and not scratches(node)

    refused("is not schema.table", "--table", "gone", "--at", moment)
    refused("nothing is written over", "--table", "shop.gone", "--at", moment, "--into", "gone")
    refused("no schema nowhere", "--table", "nowhere.gone", "--at", moment)
    refused("there was no table", "--table", "shop.nobody", "--at", moment)
    refused("possible are:", "--table", "shop.gone", "--at", "2020-01-01 00:00:00Z")
    refused("is no target", "--table", "shop.gone", "--at", "yesterday")
    refused("--scratch /nonexistent", "--table", "shop.gone", "--at", moment, "--scratch", "/nonexistent")
    refused("is a standby", "--table", "shop.gone", "--at", moment,
            node=next(one for one in archived.data_nodes() if one is not node))


def test_an_interrupted_one_leaves_nothing(archived):
    """Ctrl-C while the scratch server works: it is down afterwards, and its directory gone."""
    node = archived.primary()
    node.sql("CREATE TABLE public.slow AS SELECT generate_series(1, 1000) AS id")
    node.ok("backup", "create", seconds=120)
    node.sql("INSERT INTO public.slow SELECT generate_series(1001, 200000)")
    wait_archived(archived, node.admin("SELECT pg_current_wal_flush_lsn()"))
    command = node.command("recover", "--dir", node.directory, "--database", "audit", "--table", "public.slow", "--at",
                           "latest", "--into", "slow_then")
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def server():
        for name in scratches(node):
            try:
                with open(os.path.join(node.directory, name, "data", "postmaster.pid"), encoding="ascii") as file:
                    return int(file.readline())
            except (OSError, ValueError):
                pass
        return None
    postmaster = wait_for(server, 90, "the scratch server", archived.describe)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0 and "interrupted" in said, said
    assert not processes.alive(postmaster), "the scratch server lives on"
    assert not scratches(node)
    assert node.sql("SELECT count(*) FROM pg_class WHERE relname = 'slow_then'") == [(0,)]
