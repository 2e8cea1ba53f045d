#include "postgres/conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "postgres/names.h"
#include "postgres/setup.h"

namespace keel::postgres {

namespace {

constexpr std::string_view kInclude = "include 'pgkeel.conf'";
constexpr std::string_view kIncludeDefaults = "include 'pgkeel_defaults.conf'";
constexpr std::string_view kUpstream = "# upstream: ";

constexpr std::array<std::string_view, 43> kOwned = {"archive_cleanup_command",
                                                     "data_directory",
                                                     "external_pid_file",
                                                     "fsync",
                                                     "full_page_writes",
                                                     "hba_file",
                                                     "hot_standby",
                                                     "ident_file",
                                                     "ignore_invalid_pages",
                                                     "listen_addresses",
                                                     "pgkeel.gate_file",
                                                     "port",
                                                     "primary_conninfo",
                                                     "primary_slot_name",
                                                     "promote_trigger_file",
                                                     "recovery_end_command",
                                                     "recovery_min_apply_delay",
                                                     "recovery_target",
                                                     "recovery_target_action",
                                                     "recovery_target_inclusive",
                                                     "recovery_target_lsn",
                                                     "recovery_target_name",
                                                     "recovery_target_time",
                                                     "recovery_target_timeline",
                                                     "recovery_target_xid",
                                                     "restart_after_crash",
                                                     "ssl",
                                                     "ssl_ca_file",
                                                     "ssl_cert_file",
                                                     "ssl_crl_dir",
                                                     "ssl_crl_file",
                                                     "ssl_key_file",
                                                     "ssl_passphrase_command",
                                                     "synchronous_standby_names",
                                                     "unix_socket_directories",
                                                     "unix_socket_permissions",
                                                     "wal_level",
                                                     "wal_log_hints",
                                                     "wal_receiver_create_temp_slot",
                                                     "wal_receiver_timeout",
                                                     "wal_retrieve_retry_interval",
                                                     "wal_sender_timeout",
                                                     "zero_damaged_pages"};
static_assert(std::ranges::is_sorted(kOwned));

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > 63 * 2) return false;
    return std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; }) &&
           std::isdigit(static_cast<unsigned char>(text.front())) == 0;
}

// GUC_scanstr: '' and the C escapes.
std::string unquote(std::string_view text) {
    std::string out;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\'') {
            if (i + 1 >= text.size() || text[i + 1] != '\'') break;
            out += text[++i];
        } else if (text[i] == '\\' && i + 1 < text.size()) {
            char const c = text[++i];
            out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
        } else {
            out += text[i];
        }
    }
    return out;
}

template <class Use>
void each_line(std::string_view text, Use use) {
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        use(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::optional<Assignment> parse_line(std::string_view line) {
    auto const from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos || line[from] == '#') return std::nullopt;
    auto const name_end = line.find_first_of(" \t=", from);
    if (name_end == std::string_view::npos) return std::nullopt;
    Assignment out;
    out.name = lower(line.substr(from, name_end - from));
    auto at = line.find_first_not_of(" \t", name_end);
    if (at != std::string_view::npos && line[at] == '=') at = line.find_first_not_of(" \t", at + 1);
    if (!is_name(out.name) || at == std::string_view::npos) return std::nullopt;
    if (line[at] == '\'')
        out.value = unquote(line.substr(at));
    else
        out.value = line.substr(at, std::min(line.find_first_of(" \t\r#", at), line.size()) - at);
    return out;
}

// Good defaults for a replicated server; the user's parameters win over them.
Parameters defaults(Place const& place) {
    return {{"cluster_name", place.name},
            {"password_encryption", "scram-sha-256"},  // 13 still has md5 as default
            {"superuser_reserved_connections", "8"},   // the agent's, when clients take all others
            {"max_wal_senders", "20"},
            {"max_replication_slots", "20"},
            {"wal_keep_size", "512MB"},         // a member without a slot yet (just re-pointed) still finds its WAL
            {"max_slot_wal_keep_size", "8GB"},  // a member that is away cannot fill the disk; then it is cloned
            {"hot_standby_feedback", "on"},
            {"wal_receiver_status_interval", "1s"},
            {"wal_compression", "on"},
            {"log_line_prefix", "%m [%p] %q%u@%d "}};
}

Parameters owned(Place const& place, Settings const& settings, Wanted const& wanted) {
    std::string listen;
    for (auto const& address : place.listen_addresses) listen += (listen.empty() ? "" : ",") + address;
    std::string conninfo;
    if (!wanted.upstream.value.empty()) {
        conninfo = to_string(peer_conninfo(place, wanted.upstream_at, kReplicator, place.id.value));
    }
    return {{"listen_addresses", listen},
            {"port", std::to_string(place.port)},
            {"unix_socket_directories", place.run()},
            {"unix_socket_permissions", "0777"},
            {"ssl", "on"},
            {"ssl_cert_file", place.pki("node.crt")},
            {"ssl_key_file", place.pki("node.key")},
            {"ssl_ca_file", place.pki("ca.crt")},
            // logical rather than replica: the step between them needs a restart of the primary, and logical
            // replication and change capture start from a running cluster. The price is a little more WAL for updates
            // of tables without a primary key.
            {"wal_level", "logical"},
            {"hot_standby", "on"},
            {"fsync", "on"},
            {"full_page_writes", "on"},
            {"wal_log_hints", "on"},         // pg_rewind, should checksums ever be switched off
            {"restart_after_crash", "off"},  // a leader that crashed comes back through an election, as any other
            {"recovery_target_timeline", "latest"},
            {"recovery_min_apply_delay", std::to_string(std::max(0, settings.delayed_s)) + "s"},
            {"wal_retrieve_retry_interval", "100ms"},
            {"wal_sender_timeout", "5s"},
            {"wal_receiver_timeout", "5s"},
            {"primary_conninfo", conninfo},
            {"primary_slot_name", slot_name(place.id)},
            {"synchronous_standby_names", render_names(wanted.names)}};
}

}  // namespace

std::vector<Assignment> parse_conf(std::string_view text) {
    std::vector<Assignment> out;
    int number = 0;
    each_line(text, [&](std::string_view line) {
        ++number;
        if (auto one = parse_line(line)) {
            one->line = number;
            out.push_back(*std::move(one));
        }
    });
    return out;
}

std::string quote_conf(std::string_view value) {
    std::string out = "'";
    for (char const c : value) {
        if (c == '\'' || c == '\\') out += c;
        if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out + "'";
}

bool is_owned(std::string_view parameter) {
    return std::ranges::binary_search(kOwned, std::string_view(lower(parameter)));
}

std::vector<std::string> complaints(Parameters const& parameters, std::string const& origin) {
    std::vector<std::string> out;
    for (auto const& [name, value] : parameters) {
        if (!is_name(name)) {
            out.push_back(fmt::format("{}: \"{}\" is not the name of a parameter", origin, name));
        } else if (is_owned(name)) {
            out.push_back(fmt::format("{}: {} is set by pgkeel itself; remove it", origin, name));
        } else if (lower(name) == "synchronous_commit" &&
                   (lower(value) == "off" || lower(value) == "local" || lower(value) == "remote_write")) {
            out.push_back(fmt::format(
                "{}: synchronous_commit = {} would acknowledge commits that no standby has on disk; set the "
                "cluster's mode to async instead, or synchronous_commit in single sessions",
                origin, value));
        } else if (value.find('\0') != std::string::npos || value.find('\n') != std::string::npos) {
            out.push_back(fmt::format("{}: the value of {} has a line break in it", origin, name));
        }
    }
    return out;
}

std::string without_owned(std::string_view auto_conf, std::vector<std::string>& removed) {
    std::string out;
    each_line(auto_conf, [&](std::string_view line) {
        auto const one = parse_line(line);
        if (one && is_owned(one->name))
            removed.push_back(one->name);
        else
            out.append(line).append("\n");
    });
    return out;
}

std::string with_include(std::string_view postgresql_conf) {
    std::string out(kIncludeDefaults);
    out += "  # pgkeel's; your lines below win over them\n";
    each_line(postgresql_conf, [&](std::string_view line) {
        if (!line.starts_with(kInclude) && !line.starts_with(kIncludeDefaults)) out.append(line).append("\n");
    });
    return out.append(kInclude).append("  # pgkeel's; must stay the last line\n");
}

std::string render_conf(Place const& place, Settings const& settings, Wanted const& wanted) {
    std::string out =
        "# Written by pgkeel; edits are lost. Your own parameters belong into postgresql.conf, node.toml or\n"
        "# `pgkeel config set`.\n";
    if (!wanted.upstream.value.empty()) {
        out += fmt::format("{}{} {} {}\n", kUpstream, wanted.upstream.value, wanted.upstream_at.host,
                           wanted.upstream_at.port);
    }
    Parameters users = settings.cluster;
    for (auto const& [name, value] : settings.node) users[name] = value;
    out += "\n# settings of the cluster and of this node\n";
    for (auto const& [name, value] : users) out += fmt::format("{} = {}\n", name, quote_conf(value));
    out += "\n# pgkeel's own\n";
    for (auto const& [name, value] : owned(place, settings, wanted))
        out += fmt::format("{} = {}\n", name, quote_conf(value));
    return out;
}

std::string render_defaults(Place const& place) {
    std::string out =
        "# Written by pgkeel; edits are lost. Read before the lines of postgresql.conf, which win over these.\n";
    for (auto const& [name, value] : defaults(place)) out += fmt::format("{} = {}\n", name, quote_conf(value));
    return out;
}

Wanted parse_written(std::string_view pgkeel_conf) {
    Wanted out;
    each_line(pgkeel_conf, [&](std::string_view line) {
        if (line.starts_with(kUpstream)) {
            line.remove_prefix(kUpstream.size());
            auto const first = line.find(' ');
            auto const last = line.rfind(' ');
            if (first == std::string_view::npos || last <= first) return;
            out.upstream = NodeId{std::string(line.substr(0, first))};
            out.upstream_at.host = line.substr(first + 1, last - first - 1);
            out.upstream_at.port = static_cast<std::uint16_t>(std::atoi(std::string(line.substr(last + 1)).c_str()));
        } else if (auto const one = parse_line(line); one && one->name == "synchronous_standby_names") {
            out.names = parse_names(one->value);
        }
    });
    return out;
}

}  // namespace keel::postgres
