#!/usr/bin/python3
"""PostgreSQL's own regression and isolation tests through the proxy: their output against that of the same server alone.

usage: suite.py [--pool session] [--only regress] [--tests boolean,join] [--keep]

Each suite runs twice, first past the proxy, so what a version or a machine does differently is in both. What differs
must be in reviewed.toml, with its reason. Differences are left in build/postgres-suite/.
"""
import argparse
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

import program  # noqa: E402
from cluster import Cluster  # noqa: E402
from network import PORTS, PROXY_PORTS  # noqa: E402
from waiting import wait_for  # noqa: E402

SOURCE, WORK = ROOT / "build/postgres-source/src/test", ROOT / "build/postgres-suite"
PGXS = program.postgres_bin().parent / "lib/pgxs/src/test"
SETTINGS = {"max_connections": "200", "allow_in_place_tablespaces": "on"}


def ok(command, **options):
    done = program.run(command, 600, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def prepare():
    """The C functions that the tests load, where the server can read them; the tests' own text as well."""
    ok([ROOT / "tools/postgres_source"])
    shutil.rmtree(WORK, ignore_errors=True)
    libraries = WORK / "lib"
    libraries.mkdir(parents=True)
    config = program.postgres_bin() / "pg_config"
    include = ok([config, "--includedir-server"]).strip()
    ok(["clang-19", "-shared", "-fPIC", "-O1", "-w", f"-I{include}", f"-I{SOURCE}/regress", SOURCE / "regress/regress.c", "-o",
        libraries / "regress.so"])
    ok(["clang-19", "-shared", "-fPIC", "-O1", f"-I{ok([config, '--includedir']).strip()}", HERE / "backend_pid.c", "-o",
        libraries / "backend_pid.so"])
    for name in ("autoinc.so", "refint.so"):
        shutil.copy(pathlib.Path(ok([config, "--pkglibdir"]).strip()) / name, libraries)


def start(pool):
    cluster = Cluster(1, mode="async")
    node = cluster.primary()
    for key, value in (("pool", f'"{pool}"'), ("pool_size", 60)):
        node.edit_config("proxy", key, value)
    for name, value in SETTINGS.items():
        node.admin(f"ALTER SYSTEM SET {name} = '{value}'")
    node.terminate()
    node.start()
    node = cluster.wait_whole()
    node.admin(f"CREATE ROLE tester SUPERUSER LOGIN PASSWORD '{cluster.password}'")
    wait_for(lambda: node.proxy(user="tester", dbname="postgres").close() is None, 60, "its proxy serves", cluster.describe)
    # The server reads and writes the tests' files as the user that it is.
    base = cluster.root / "suite"
    for name in ("regress", "isolation"):
        shutil.copytree(SOURCE / name, base / name)
    shutil.copytree(WORK / "lib", base / "lib")
    ok(["chown", "-R", program.SERVER_USER, base])
    return cluster, node, base


def run_suite(name, node, base, where, args):
    """{test: its output} of one suite through one port."""
    # Some tests of isolation name their database.
    database, out = "regress_suite" if name == "regress" else "isolation_regression", base / f"{name}-{where}"
    node.admin(f"DROP DATABASE IF EXISTS {database}")
    node.admin(f"CREATE DATABASE {database} TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8'")
    for setting in ("lc_messages = 'C'", "timezone = 'PST8PDT'", "datestyle = 'Postgres, MDY'", "intervalstyle = 'postgres_verbose'",
                    "bytea_output = 'hex'", "timezone_abbreviations = 'Default'"):
        node.admin(f"ALTER DATABASE {database} SET {setting}")
    for folder in ("results", "sql", "expected", "testtablespace"):
        (out / folder).mkdir(parents=True)
    ok(["chown", "-R", program.SERVER_USER, out])
    runner = PGXS / ("regress/pg_regress" if name == "regress" else "isolation/pg_isolation_regress")
    schedule = base / name / ("parallel_schedule" if name == "regress" else "isolation_schedule")
    port = PORTS["postgres"] if where == "alone" else PROXY_PORTS["read-write"]
    tests = args.tests.split(",") if args.tests else [f"--schedule={schedule}", "--max-concurrent-tests=20"]
    if name == "regress" and args.tests:
        tests.insert(0, "test_setup")
    environment = os.environ | {"PGPASSWORD": node.cluster.password, "PGGSSENCMODE": "disable", "PGSSLMODE": "disable"}
    if name == "isolation":
        environment["LD_PRELOAD"] = str(WORK / "lib/backend_pid.so")
    done = program.run([runner, f"--host={node.address}", f"--port={port}", "--user=tester", f"--dbname={database}", "--use-existing",
                        f"--inputdir={base / name}", f"--outputdir={out}", f"--bindir={program.postgres_bin()}",
                        f"--dlpath={base / 'lib'}", "--max-connections=20" if name == "regress" else "--max-connections=1",
                        *tests], 3600, env=environment, cwd=out)
    (WORK / f"{name}-{where}.log").write_text(done.stdout + done.stderr)
    print(f"{name}, {where}: {done.stdout.strip().splitlines()[-4:]}", flush=True)
    return {path.stem: comparable(path.read_text(errors="replace"), out, port) for path in (out / "results").glob("*.out")}


def comparable(text, out, port):
    text = text.replace(str(out), "OUT").replace(f"port {port}", "port PORT")
    return re.sub(r"\b(?:pg_temp_|pg_toast_temp_|pg_toast_)\d+\b", "pg_temp_N", text)


def judge(name, alone, proxied, rules):
    """Prints what differs; how many tests do so without a reason."""
    bad = 0
    for test in sorted(alone.keys() | proxied.keys()):
        one, other = alone.get(test, "").splitlines(), proxied.get(test, "").splitlines()
        if one == other:
            continue
        lines = list(difflib.unified_diff(one, other, "alone", "through the proxy", n=1, lineterm=""))
        (WORK / f"{name}-{test}.diff").write_text("\n".join(lines) + "\n")
        left = [line for line in lines[2:] if line[0] in "+-" and not any(
            rule["suite"] == name and rule["test"] == test and re.search(rule["line"], line) for rule in rules)]
        bad += bool(left)
        print(f"{name}/{test}: {'DIFFERS' if left else 'as reviewed'}" + "".join(f"\n    {line}" for line in left[:6]))
    print(f"{name}: {len(alone)} tests, {bad} differ and are not in reviewed.toml")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default="session", choices=["session", "transaction"])
    parser.add_argument("--only", choices=["regress", "isolation"])
    parser.add_argument("--tests", help="names instead of the whole schedule")
    parser.add_argument("--keep", action="store_true", help="leave the cluster's files")
    args = parser.parse_args()
    prepare()
    rules = tomllib.loads((HERE / "reviewed.toml").read_text()).get("reviewed", [])
    rules = [rule for rule in rules if args.pool in rule.get("pools", ["session", "transaction"])]
    cluster, node, base = start(args.pool)
    bad = 0
    try:
        for name in [args.only] if args.only else ["regress", "isolation"]:
            found = [run_suite(name, node, base, where, args) for where in ("alone", "proxied")]
            bad += judge(name, *found, rules)
        cluster.failed = args.keep
    finally:
        cluster.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
