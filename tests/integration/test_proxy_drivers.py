"""Everyday work of applications through the proxy, with the libraries that they use: drivers/README.md says what it is."""
import os
import pathlib
import sys

import pytest

from network import PROXY_PORTS
from program import ROOT, run

HERE = pathlib.Path(__file__).parent / "drivers"
NODE_MODULES = ROOT / "build" / "drivers" / "node_modules"
JDBC = pathlib.Path("/usr/share/java/postgresql.jar")
# 1..20 prepared, 101 and 102 in a transaction, 1001..2000 copied; 100, 103 and a second 1 were taken back.
EXPECTED = sorted([(row, f"word {row}") for row in range(1, 21)] + [(row, "yes") for row in (101, 102)] +
                  [(row, "copied") for row in range(1001, 2001)])


def psycopg2(_):
    return [sys.executable, HERE / "psycopg2_driver.py"]


def psql(_):
    return [HERE / "psql_driver.sh"]


def jdbc(_):
    assert JDBC.exists(), f"no {JDBC}. mend: make deps"
    return ["java", "-cp", JDBC, HERE / "JdbcDriver.java"]


def node(_):
    assert (NODE_MODULES / "pg").exists(), f"no {NODE_MODULES}/pg. mend: make deps"
    return ["node", HERE / "node_driver.js"]


def pqxx(scratch):
    made = run(["clang++-19", "-std=c++17", HERE / "pqxx_driver.cc", "-o", scratch / "driver", "-lpqxx", "-lpq"], 300)
    assert made.returncode == 0, made.stderr
    return [scratch / "driver"]


@pytest.mark.parametrize("endpoint", ["auto", "read-write"])
@pytest.mark.parametrize("driver", [psycopg2, psql, jdbc, node, pqxx], ids=lambda driver: driver.__name__)
def test_everyday_work(three, driver, endpoint, tmp_path):
    primary = three.wait_whole()
    table = f"driven_{driver.__name__}_{endpoint.replace('-', '_')}"
    primary.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, word text)")
    host = three.standbys()[0].address
    environment = os.environ | {"PGPASSWORD": three.password, "NODE_PATH": str(NODE_MODULES)}
    done = run([*driver(tmp_path), host, PROXY_PORTS[endpoint], table], 120, env=environment)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{three.describe()}"
    assert done.stdout.strip() == "1022", f"{done.stdout}{done.stderr}"
    assert sorted(primary.sql(f"SELECT id, word FROM {table}")) == EXPECTED
