"""Who may do what, and what nobody may see."""
import re

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
