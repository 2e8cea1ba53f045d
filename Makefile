# Commands for people. `make` alone lists them; HACKING.md explains them.
.DEFAULT_GOAL := help
.NOTPARALLEL:
JOBS ?= $(shell nproc)
SEEDS ?= 100000
MINUTES ?=
ROWS ?=
MODE ?=
SEED ?=
ARGS ?=

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

deps:  ## install what is needed (Debian packages; says which and why)
	@tools/setup

demo:  ## three nodes, load, kill the primary, report; ARGS=--stay leaves them running
	@tools/setup program
	@tools/build dev pgkeel
	@build/dev/pgkeel demo $(ARGS)

build:  ## the program, in build/dev
	@tools/setup program
	@tools/build dev pgkeel

release:  ## the program, optimised, in build/release
	@tools/setup program
	@tools/build release pgkeel

ext: deps  ## the PostgreSQL extension, in build/ext/<major>
	@tools/ext

install: ext  ## the extension into PostgreSQL's own directories (DESTDIR= before them); as root
	@tools/ext install

check: deps  ## every test: tidy, unit, models, simulator, fuzz, extension, integration
	@tools/check

unit: deps  ## unit tests only
	@tools/check build tidy unit

model: deps  ## the models of the rules, with spin; ARGS=sync for one
	@tools/model $(ARGS)

sim: deps  ## the simulator: SEEDS=100000
	@tools/build release pgkeel_sim
	@tools/check --seeds $(SEEDS) --preset release sim

asan: deps  ## unit tests and simulator under AddressSanitizer and UBSan
	@tools/check --preset asan --seeds 300 build unit sim

tsan: deps  ## unit tests under ThreadSanitizer, but for the simulator, which is one thread
	@tools/check --preset tsan build unit

fuzz: deps  ## fuzz every parser of foreign bytes: MINUTES=1 for all of them together
	@tools/fuzz --minutes $(or $(MINUTES),1)

bench: deps  ## the figures: outage, memory, rejoin, scrape, dashboard, alert (half an hour; prints its conditions)
	@tools/build release pgkeel
	@/usr/bin/python3 tests/bench/bench.py --binary build/release/pgkeel $(ARGS)

chaos: deps  ## the failure matrix on real nodes (root): ROWS=6,9 MODE=async; SEED=7 MINUTES=10: random faults
	@tools/build dev pgkeel
	@tools/ext
	@/usr/bin/python3 tests/chaos/chaos.py $(if $(ROWS),--rows $(ROWS)) $(if $(MODE),--mode $(MODE)) \
		$(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

bench-failover: deps  ## the matrix's outages, median and worst of 20 (root, hours): ROWS=1,6 MODE=async ARGS="--repeat 5"
	@tools/build release pgkeel
	@tools/ext
	@/usr/bin/python3 tests/bench/failover.py --binary build/release/pgkeel $(if $(ROWS),--rows $(ROWS)) \
		$(if $(MODE),--mode $(MODE)) $(ARGS)

postgres-suite: deps  ## PostgreSQL's own regression and isolation tests through the proxy (minutes); ARGS="--only regress"
	@tools/build dev pgkeel
	@PGKEEL_BINARY=build/dev/pgkeel /usr/bin/python3 tests/postgres/suite.py $(ARGS)

bench-ext: deps  ## what the extension costs a transaction (minutes)
	@tools/ext
	@/usr/bin/python3 tests/bench/bench_ext.py $(ARGS)

bench-proxy: deps  ## the proxy beside PgBouncer and HAProxy (20 minutes); ARGS="--rounds 3 load latency"
	@tools/setup peers
	@tools/build release pgkeel
	@tools/ext
	@/usr/bin/python3 tests/bench/bench_proxy.py $(ARGS)

bench-backup: deps  ## backups, restores and WAL beside pg_basebackup and pgBackRest (minutes); ARGS="--rounds 5 --scale 100"
	@tools/setup peers
	@tools/build release pgkeel
	@/usr/bin/python3 tests/bench/bench_backup.py $(ARGS)

format: deps  ## clang-format over the tree
	@tools/lint --format

lint: deps  ## clang-tidy over src/; ARGS=<path> for one folder
	@tools/lint $(ARGS)

clean:  ## remove every build
	rm -rf build

.PHONY: help deps demo build release ext install check unit model sim asan tsan fuzz bench chaos bench-failover postgres-suite bench-ext bench-proxy bench-backup format lint clean
