#include "config/postgres_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace keel::config {

namespace {

using Owned = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kTls = "the nodes authenticate each other with the cluster's own certificates";
constexpr std::string_view kTarget = "a standby follows the newest timeline of the cluster";
constexpr std::string_view kDurable = "a primary that may lose its own WAL breaks every promise";
constexpr std::string_view kFast = "a failover below a second rests on its value";
constexpr std::string_view kPlace = "the place is the node's directory";

constexpr std::array<Owned, 43> kOwned = {
    Owned{"archive_cleanup_command", "WAL is kept and dropped by pgkeel"},
    Owned{"data_directory", kPlace},
    Owned{"external_pid_file", "the server is found through its postmaster.pid"},
    Owned{"fsync", kDurable},
    Owned{"full_page_writes", kDurable},
    Owned{"hba_file", kPlace},
    Owned{"hot_standby", "standbys are asked for their position through a connection"},
    Owned{"ident_file", kPlace},
    Owned{"ignore_invalid_pages", kDurable},
    Owned{"listen_addresses", "it comes from node.toml, [postgres] listen"},
    Owned{"pgkeel.gate_file", "it names the words that this node's agent writes"},
    Owned{"port", "it comes from node.toml, [postgres] port"},
    Owned{"primary_conninfo", "the cluster decides who streams from whom"},
    Owned{"primary_slot_name", "every member has a slot of its own on every other"},
    Owned{"promote_trigger_file", "only a granted epoch promotes a server"},
    Owned{"recovery_end_command", "only a granted epoch promotes a server"},
    Owned{"recovery_min_apply_delay", "it comes from the member's tag delayed_s"},
    Owned{"recovery_target", kTarget},
    Owned{"recovery_target_action", kTarget},
    Owned{"recovery_target_inclusive", kTarget},
    Owned{"recovery_target_lsn", kTarget},
    Owned{"recovery_target_name", kTarget},
    Owned{"recovery_target_time", kTarget},
    Owned{"recovery_target_timeline", kTarget},
    Owned{"recovery_target_xid", kTarget},
    Owned{"restart_after_crash", "a primary that crashed comes back through an election"},
    Owned{"ssl", kTls},
    Owned{"ssl_ca_file", kTls},
    Owned{"ssl_cert_file", kTls},
    Owned{"ssl_crl_dir", kTls},
    Owned{"ssl_crl_file", kTls},
    Owned{"ssl_key_file", kTls},
    Owned{"ssl_passphrase_command", kTls},
    Owned{"synchronous_standby_names", "the cluster's mode and quorum decide it; set those instead"},
    Owned{"unix_socket_directories", kPlace},
    Owned{"unix_socket_permissions", kPlace},
    Owned{"wal_level", "replication and rewinding rest on it"},
    Owned{"wal_log_hints", "rewinding a former primary rests on it"},
    Owned{"wal_receiver_create_temp_slot", "every member has a slot of its own on every other"},
    Owned{"wal_receiver_timeout", kFast},
    Owned{"wal_retrieve_retry_interval", kFast},
    Owned{"wal_sender_timeout", kFast},
    Owned{"zero_damaged_pages", kDurable},
};

constexpr std::array<std::string_view, 50> kRestart = {"archive_mode",
                                                       "autovacuum_freeze_max_age",
                                                       "autovacuum_max_workers",
                                                       "autovacuum_multixact_freeze_max_age",
                                                       "autovacuum_worker_slots",
                                                       "bonjour",
                                                       "bonjour_name",
                                                       "cluster_name",
                                                       "commit_timestamp_buffers",
                                                       "data_sync_retry",
                                                       "dynamic_shared_memory_type",
                                                       "event_source",
                                                       "huge_page_size",
                                                       "huge_pages",
                                                       "io_max_combine_limit",
                                                       "io_max_concurrency",
                                                       "io_method",
                                                       "jit_provider",
                                                       "logging_collector",
                                                       "max_active_replication_origins",
                                                       "max_connections",
                                                       "max_files_per_process",
                                                       "max_locks_per_transaction",
                                                       "max_logical_replication_workers",
                                                       "max_notify_queue_pages",
                                                       "max_pred_locks_per_transaction",
                                                       "max_prepared_transactions",
                                                       "max_replication_slots",
                                                       "max_wal_senders",
                                                       "max_worker_processes",
                                                       "min_dynamic_shared_memory",
                                                       "multixact_member_buffers",
                                                       "multixact_offset_buffers",
                                                       "notify_buffers",
                                                       "old_snapshot_threshold",
                                                       "reserved_connections",
                                                       "serializable_buffers",
                                                       "shared_buffers",
                                                       "shared_memory_type",
                                                       "shared_preload_libraries",
                                                       "subtransaction_buffers",
                                                       "summarize_wal",
                                                       "superuser_reserved_connections",
                                                       "track_activity_query_size",
                                                       "track_commit_timestamp",
                                                       "transaction_buffers",
                                                       "unix_socket_group",
                                                       "wal_buffers",
                                                       "wal_decode_buffer_size",
                                                       "wal_keep_segments"};

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

bool is_parameter_name(std::string_view text) {
    if (text.empty() || text.size() > 126 || std::isdigit(static_cast<unsigned char>(text.front())) != 0) return false;
    return std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
}

}  // namespace

std::string why_owned(std::string_view parameter) {
    auto const found = std::ranges::find(kOwned, std::string_view(lower(parameter)), &Owned::first);
    return found == kOwned.end() ? std::string() : std::string(found->second);
}

bool needs_restart(std::string_view parameter) {
    return std::ranges::find(kRestart, std::string_view(lower(parameter))) != kRestart.end();
}

std::vector<std::string> restart_parameters() { return {kRestart.begin(), kRestart.end()}; }

Status check_parameter(std::string_view name, std::string_view value) {
    if (!is_parameter_name(name)) {
        return fail(Code::invalid, fmt::format("\"{}\" is not the name of a PostgreSQL parameter", name),
                    "names are letters, digits, '_' and '.', as in work_mem or auto_explain.log_min_duration");
    }
    if (auto const why = why_owned(name); !why.empty()) {
        return fail(Code::invalid, fmt::format("{} is set by pgkeel itself: {}", name, why), "remove it");
    }
    if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) {
        return fail(Code::invalid, fmt::format("the value of {} has a line break in it", name), "write it in one line");
    }
    std::string const low = lower(value);
    if (lower(name) == "synchronous_commit" && (low == "off" || low == "local" || low == "false" || low == "0")) {
        return fail(Code::invalid,
                    fmt::format("synchronous_commit = {} would acknowledge commits that no standby has", value),
                    "set it in single sessions, or choose mode async for the whole cluster");
    }
    return {};
}

}  // namespace keel::config
