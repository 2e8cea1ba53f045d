-- What people in psql want to see of a node. CREATE EXTENSION runs this with the schema pgkeel first in the search path;
-- every name is qualified all the same, and a view keeps what its names meant when it was made.
\echo Use "CREATE EXTENSION pgkeel" to load this file. \quit

-- The commit gate of this server. deadline_remaining_ms is negative when the lease is over, NULL when there is none.
CREATE FUNCTION pgkeel.fence(
    OUT open boolean, OUT deadline_remaining_ms bigint, OUT epoch bigint, OUT recheck boolean, OUT floor text,
    OUT logins boolean, OUT unmask boolean, OUT refused bigint, OUT held bigint, OUT library_version text, OUT problem text)
RETURNS record LANGUAGE c VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'keel_fence';
COMMENT ON FUNCTION pgkeel.fence() IS 'whether this server may acknowledge commits, and why not';

-- One row per standby. Bytes are what the standby lacks of this server's WAL; seconds are what PostgreSQL last measured,
-- and NULL once the standby has everything: then caught_up is true.
CREATE VIEW pgkeel.replication_monitor AS
SELECT
    s.application_name AS standby,
    s.client_addr,
    s.state,
    s.sync_state,
    here.lsn OPERATOR(pg_catalog.=) s.replay_lsn AS caught_up,
    pg_catalog.pg_wal_lsn_diff(here.lsn, s.sent_lsn) AS sent_lag_bytes,
    pg_catalog.pg_wal_lsn_diff(here.lsn, s.write_lsn) AS write_lag_bytes,
    pg_catalog.pg_wal_lsn_diff(here.lsn, s.flush_lsn) AS flush_lag_bytes,
    pg_catalog.pg_wal_lsn_diff(here.lsn, s.replay_lsn) AS replay_lag_bytes,
    EXTRACT(epoch FROM s.write_lag) AS write_lag_seconds,
    EXTRACT(epoch FROM s.flush_lag) AS flush_lag_seconds,
    EXTRACT(epoch FROM s.replay_lag) AS replay_lag_seconds,
    EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) s.backend_start) AS uptime_seconds,
    CASE
        WHEN s.replay_lsn IS NULL THEN 'UNKNOWN'
        WHEN pg_catalog.pg_wal_lsn_diff(here.lsn, s.replay_lsn) OPERATOR(pg_catalog.>) 100::numeric * 1024 * 1024 THEN 'HIGH'
        WHEN pg_catalog.pg_wal_lsn_diff(here.lsn, s.replay_lsn) OPERATOR(pg_catalog.>) 10::numeric * 1024 * 1024 THEN 'MEDIUM'
        ELSE 'LOW'
    END AS level
FROM pg_catalog.pg_stat_replication AS s,
     (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
                  ELSE pg_catalog.pg_current_wal_flush_lsn() END AS lsn) AS here;
COMMENT ON VIEW pgkeel.replication_monitor IS 'standbys of this server, and how far behind they are';

-- One row for the whole server; the counts are of all databases since their statistics were reset.
CREATE VIEW pgkeel.performance_monitor AS
SELECT
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type OPERATOR(pg_catalog.=) 'client backend')
        AS connections,
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
     WHERE backend_type OPERATOR(pg_catalog.=) 'client backend' AND state OPERATOR(pg_catalog.=) 'active') AS active,
    pg_catalog.sum(d.xact_commit) AS commits,
    pg_catalog.sum(d.xact_rollback) AS rollbacks,
    pg_catalog.sum(d.blks_hit) AS cache_hits,
    pg_catalog.sum(d.blks_read) AS disk_reads,
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication) AS replication_connections,
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication
     WHERE sync_state OPERATOR(pg_catalog.=) ANY ('{sync,quorum}'::text[])) AS sync_replicas,
    (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database) AS size_bytes
FROM pg_catalog.pg_stat_database AS d;
COMMENT ON VIEW pgkeel.performance_monitor IS 'connections, transactions, cache and size of this server';

REVOKE ALL ON FUNCTION pgkeel.fence() FROM PUBLIC;
GRANT USAGE ON SCHEMA pgkeel TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgkeel.fence() TO pg_monitor;
GRANT SELECT ON pgkeel.replication_monitor, pgkeel.performance_monitor TO pg_monitor;
