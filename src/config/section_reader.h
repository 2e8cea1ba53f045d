// Reads the sections of a TOML file key by key, and collects every problem with its line. Private to this folder.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "config/node_config.h"
#include "config/postgres_parameters.h"
#include "config/toml.h"

namespace keel::config {

using Keys = std::vector<std::string>;

inline std::map<std::string, Keys> const& known_keys() {
    static std::map<std::string, Keys> const all = {
        {"node", {"name", "dir", "user", "kind", "address", "bind", "peer_port", "api_port"}},
        {"postgres", {"bin", "port", "listen", "parameters", "clone_rate_kbytes_max"}},
        {"store", {"kind", "endpoints", "prefix", "user", "password_file", "ca_file", "cert_file", "key_file"}},
        {"backup",
         {"repository", "s3_endpoint", "s3_region", "s3_credentials_file", "s3_ca_file", "s3_addressing",
          "encryption_key_file", "scratch", "copies"}},
        {"proxy",
         {"enabled",
          "listen",
          "port",
          "read_write_port",
          "read_only_port",
          "socket_directory",
          "tls",
          "cert_file",
          "key_file",
          "client_ca_file",
          "hba_file",
          "pool",
          "balance",
          "clients_max",
          "pool_size",
          "reserve_pool",
          "database_max",
          "prepared_max",
          "wait_s_max",
          "server_idle_s_max",
          "server_life_s_max",
          "client_idle_s_max",
          "transaction_idle_s_max",
          "query_s_max",
          "read_lag_kbytes_max",
          "read_from_primary",
          "split_reads",
          "read_functions",
          "causal_reads",
          "monotonic_reads",
          "causal_wait_ms_max",
          "endpoints"}},
        {"tags",
         {"nofailover", "nosync", "noloadbalance", "spare", "analytics", "clonefrom", "priority", "domain",
          "delayed_s"}},
        {"log", {"level", "format", "file"}},
    };
    return all;
}

inline Keys section_names() {
    Keys out;
    for (auto const& [name, unused] : known_keys()) out.push_back(name);
    return out;
}

inline int line_of(toml::source_region const& region) { return static_cast<int>(region.begin.line); }

class Reader {
  public:
    Reader(toml::table const& root, std::string file, std::vector<Problem>& problems)
        : root_(root), file_(std::move(file)), problems_(problems) {}

    void complain(int line, std::string text, std::string mend, Severity severity = Severity::error) {
        problems_.push_back({file_, line, std::move(text), std::move(mend), severity});
    }

    void unknown_names() {
        for (auto const& [key, node] : root_) {
            std::string const section(key.str());
            int const line = line_of(key.source());
            auto const known = known_keys().find(section);
            if (known == known_keys().end()) {
                complain(line, fmt::format("unknown section [{}]{}", section, did_you_mean(section, section_names())),
                         "take it out, or see the comments of a file written by `pgkeel init`");
            } else if (!node.is_table()) {
                complain(line, fmt::format("{} is a section, not a value", section),
                         fmt::format("write [{}] and its keys below", section));
            } else {
                unknown_keys(section, known->second, *node.as_table());
            }
        }
    }

    // Line of section.key; of the section when it is not there; 0 without either.
    int line(std::string const& section, std::string const& key) const {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) node = root_[section].node();
        return node == nullptr ? 0 : line_of(node->source());
    }
    bool has(std::string const& section, std::string const& key) const { return root_[section][key].node() != nullptr; }
    bool has(std::string const& section) const { return root_[section].node() != nullptr; }

    void read(std::string const& section, std::string const& key, std::string& out) {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) return;
        if (auto const value = node->value_exact<std::string>())
            out = *value;
        else
            wrong_type(section, key, *node, "a text in quotes");
    }
    void read(std::string const& section, std::string const& key, bool& out) {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) return;
        if (auto const value = node->value_exact<bool>())
            out = *value;
        else
            wrong_type(section, key, *node, "true or false");
    }
    template <class Number>
    void read(std::string const& section, std::string const& key, Number& out, std::int64_t least, std::int64_t most) {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) return;
        auto const value = node->value_exact<std::int64_t>();
        if (!value) {
            wrong_type(section, key, *node, "a whole number");
        } else if (*value < least || *value > most) {
            complain(line_of(node->source()), fmt::format("{}.{} = {} is out of range", section, key, *value),
                     fmt::format("it may be {}..{}", least, most));
        } else {
            out = static_cast<Number>(*value);
        }
    }
    template <class Enum>
    void read_enum(std::string const& section, std::string const& key, Enum& out) {
        std::string text;
        read(section, key, text);
        if (text.empty() || boost::describe::enum_from_string(text.c_str(), out)) return;
        Keys names;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<Enum>>(
            [&](auto one) { names.emplace_back(one.name); });
        complain(line(section, key),
                 fmt::format("{}.{} = \"{}\" is not known{}", section, key, text, did_you_mean(text, names)),
                 fmt::format("it may be one of {}", fmt::join(names, ", ")));
    }
    // A single text counts as a list of one.
    void read_list(std::string const& section, std::string const& key, std::vector<std::string>& out) {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) return;
        if (auto const one = node->value_exact<std::string>()) {
            out = {*one};
            return;
        }
        toml::array const* list = node->as_array();
        if (list == nullptr) {
            wrong_type(section, key, *node, "a list of texts, as [\"10.0.0.1\"]");
            return;
        }
        out.clear();
        for (auto const& element : *list) {
            if (auto const text = element.value_exact<std::string>())
                out.push_back(*text);
            else
                wrong_type(section, key, element, "a list of texts, as [\"10.0.0.1\"]");
        }
    }
    void read_parameters(std::map<std::string, std::string>& out) {
        toml::node const* node = root_["postgres"]["parameters"].node();
        if (node == nullptr) return;
        toml::table const* table = node->as_table();
        if (table == nullptr) {
            wrong_type("postgres", "parameters", *node, "a section [postgres.parameters]");
            return;
        }
        for (auto const& [key, value] : *table) {
            std::string const name(key.str());
            std::optional<std::string> text;
            if (auto const flag = value.value_exact<bool>())
                text = *flag ? "on" : "off";
            else if (auto const whole = value.value_exact<std::int64_t>())
                text = std::to_string(*whole);
            else if (auto const real = value.value_exact<double>())
                text = fmt::format("{}", *real);
            else if (auto const written = value.value_exact<std::string>())
                text = *written;
            if (!text) {
                complain(line_of(key.source()), fmt::format("the value of {} is neither text, number nor flag", name),
                         "put the names with dots in quotes: \"auto_explain.log_min_duration\" = \"1s\"");
            } else if (auto const status = check_parameter(name, *text); !status) {
                complain(line_of(key.source()), status.error().text, status.error().mend);
            } else {
                out[name] = *text;
            }
        }
    }

    // The table of tables root.section.key; nothing when it is not there, or no such thing.
    toml::table const* tables(std::string const& section, std::string const& key) {
        toml::node const* node = root_[section][key].node();
        if (node == nullptr) return nullptr;
        auto const* const table = node->as_table();
        bool const fits =
            table != nullptr && std::ranges::all_of(*table, [](auto const& one) { return one.second.is_table(); });
        if (!fits) wrong_type(section, key, *node, fmt::format("sections as [{}.{}.<name>]", section, key).c_str());
        return fits ? table : nullptr;
    }
    // For the sections below such a table, which all have the same keys.
    Reader below(toml::table const& tables, Keys const& keys) {
        Reader out(tables, file_, problems_);
        for (auto const& [name, table] : tables) out.unknown_keys(std::string(name.str()), keys, *table.as_table());
        return out;
    }

  private:
    void unknown_keys(std::string const& section, Keys const& known, toml::table const& table) {
        for (auto const& [key, node] : table) {
            std::string const name(key.str());
            if (std::ranges::find(known, name) != known.end()) continue;
            int const line = line_of(key.source());
            if (section == "postgres" && name == "data") {
                complain(line, "the data directory cannot be moved: it is always <dir>/data",
                         "take the line out, and set node.dir or mount a volume there");
                continue;
            }
            // Several may have it: which of them was meant is not known here.
            std::string elsewhere;
            for (auto const& [other, keys] : known_keys()) {
                if (other == section || std::ranges::find(keys, name) == keys.end()) continue;
                elsewhere += fmt::format("{}[{}]", elsewhere.empty() ? "it belongs into " : " or ", other);
            }
            if (elsewhere.empty() && section == "postgres" && (!why_owned(name).empty() || needs_restart(name)))
                elsewhere = "parameters of PostgreSQL belong into [postgres.parameters]";
            complain(line, fmt::format("unknown key {} in [{}]{}", name, section, did_you_mean(name, known)),
                     elsewhere.empty() ? "take it out or correct it" : elsewhere);
        }
    }

    void wrong_type(std::string const& section, std::string const& key, toml::node const& node, char const* expected) {
        std::string found = fmt::format("{}", toml::impl::node_type_friendly_names[static_cast<int>(node.type())]);
        complain(line_of(node.source()), fmt::format("{}.{} is a {}", section, key, found),
                 fmt::format("it must be {}", expected));
    }

    toml::table const& root_;
    std::string file_;
    std::vector<Problem>& problems_;
};

// node_config_backup.cc
void read_repository(Reader& reader, Backup& out);
void check_repository(Reader& reader, NodeConfig& out);
// node_config_proxy.cc
void read_proxy(Reader& reader, Proxy& out);
void check_proxy(Reader& reader, NodeConfig& out);

}  // namespace keel::config
