#include "alert/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "alert/rules.h"
#include "config/size.h"
#include "config/toml.h"

namespace keel::alert {

namespace {

using Names = std::vector<std::string>;

constexpr char const* kTelegramApi = "https://api.telegram.org";
constexpr std::int64_t kLongest = 30 * 86400;

int line_of(toml::node const& node) { return static_cast<int>(node.source().begin.line); }

std::map<std::string, Names> const& keys_of_channels() {
    static std::map<std::string, Names> const all = {
        {"telegram", {"chat", "token_file", "api", "ca_file", "least", "after_s"}},
        {"webhook", {"url", "header_file", "ca_file", "least", "after_s"}},
        {"email", {"server", "from", "to", "user", "password_file", "ca_file", "plain", "least", "after_s"}},
        {"alertmanager", {"url", "header_file", "ca_file", "least"}},
        {"command", {"program", "least", "after_s"}},
    };
    return all;
}

// One table of the file, [rule.disk] or [telegram.ops]: reads keys and keeps what is wrong with them.
class Section {
  public:
    Section(toml::table const& table, std::string title, std::string const& file,
            std::vector<config::Problem>& problems)
        : table_(table), title_(std::move(title)), file_(file), problems_(problems) {}

    int line() const { return line_of(table_); }
    bool has(char const* key) const { return table_.contains(key); }
    void complain(int line, std::string text, std::string mend) {
        problems_.push_back({file_, line, std::move(text), std::move(mend)});
    }
    void complain(std::string text, std::string mend) { complain(line(), std::move(text), std::move(mend)); }

    void only(Names const& known) {
        for (auto const& [key, unused] : table_) {
            std::string const name(key.str());
            if (std::ranges::find(known, name) != known.end()) continue;
            complain(static_cast<int>(key.source().begin.line),
                     fmt::format("unknown key {} in [{}]{}", name, title_, config::did_you_mean(name, known)),
                     fmt::format("it knows {}", fmt::join(known, ", ")));
        }
    }
    void read(char const* key, std::string& out) {
        auto const* node = table_.get(key);
        if (node == nullptr) return;
        if (auto const text = node->value_exact<std::string>())
            out = *text;
        else
            wrong(key, *node, "a text in quotes");
    }
    void read(char const* key, bool& out) {
        auto const* node = table_.get(key);
        if (node == nullptr) return;
        if (auto const flag = node->value_exact<bool>())
            out = *flag;
        else
            wrong(key, *node, "true or false");
    }
    // A text alone counts as a list of one.
    void read(char const* key, Names& out) {
        auto const* node = table_.get(key);
        if (node == nullptr) return;
        if (auto const one = node->value_exact<std::string>()) {
            out = {*one};
            return;
        }
        auto const* list = node->as_array();
        bool good = list != nullptr && !list->empty();
        if (good) {
            for (auto const& element : *list) {
                auto const text = element.value_exact<std::string>();
                good = good && text.has_value();
                if (text) out.push_back(*text);
            }
        }
        if (!good) wrong(key, *node, "a list of texts, as [\"a\", \"b\"]");
    }
    void read_seconds(char const* key, Duration& out) {
        auto const* node = table_.get(key);
        if (node == nullptr) return;
        auto const whole = node->value_exact<std::int64_t>();
        if (whole && *whole >= 0 && *whole <= kLongest)
            out = std::chrono::seconds(*whole);
        else
            wrong(key, *node, "a whole number of seconds, up to 30 days");
    }
    // A number, or for bytes a size such as "100MB".
    void read_limit(char const* key, std::string const& unit, double& out) {
        auto const* node = table_.get(key);
        if (node == nullptr) return;
        std::optional<double> value;
        if (auto const whole = node->value_exact<std::int64_t>()) value = static_cast<double>(*whole);
        if (auto const real = node->value_exact<double>()) value = *real;
        if (auto const text = node->value_exact<std::string>(); text && unit == "bytes")
            if (auto const size = config::parse_size(*text)) value = static_cast<double>(*size);
        if (value && *value > 0 && *value < 1e18 && (unit != "percent" || *value <= 100))
            out = *value;
        else
            wrong(key, *node, unit == "bytes" ? "a size such as \"100MB\"" : "a number of " + unit + " above 0");
    }
    void read_severity(char const* key, Severity& out) {
        std::string text;
        read(key, text);
        if (text.empty() || boost::describe::enum_from_string(text.c_str(), out)) return;
        complain(line_of(*table_.get(key)), fmt::format("{}.{} = \"{}\" is not known", title_, key, text),
                 "it may be info, warning or critical");
    }
    void need(char const* key, std::string const& value, char const* example) {
        if (value.empty()) complain(fmt::format("[{}] has no {}", title_, key), fmt::format("{} = {}", key, example));
    }
    void need_absolute(char const* key, std::string const& path) {
        if (!path.empty() && !path.starts_with('/'))
            complain(fmt::format("{}.{} = \"{}\" is not an absolute path", title_, key, path), "begin it with '/'");
    }

  private:
    void wrong(char const* key, toml::node const& node, std::string const& expected) {
        complain(line_of(node), fmt::format("{}.{} is not what it must be", title_, key), "write " + expected);
    }

    toml::table const& table_;
    std::string title_;
    std::string const& file_;
    std::vector<config::Problem>& problems_;
};

void read_rule(Section section, Rule& rule) {
    Names known{"on", "severity", "hold_s"};
    if (rule.limit > 0) known.emplace_back("limit");
    if (rule.critical > 0 || rule.limit > 0) known.emplace_back("critical");
    section.only(known);
    section.read("on", rule.on);
    section.read_severity("severity", rule.severity);
    section.read_seconds("hold_s", rule.hold);
    if (rule.limit <= 0) return;
    section.read_limit("limit", rule.unit, rule.limit);
    section.read_limit("critical", rule.unit, rule.critical);
    bool const below = rule.name == "certificate";
    if (rule.critical > 0 && (below ? rule.critical > rule.limit : rule.critical < rule.limit))
        section.complain(fmt::format("rule.{}: critical begins before limit does", rule.name),
                         below ? "make critical smaller than limit" : "make critical greater than limit");
}

bool is_url(std::string const& text, std::string_view plain, std::string_view secure) {
    auto const rest = text.starts_with(plain) ? plain.size() : text.starts_with(secure) ? secure.size() : 0;
    return rest > 0 && text.size() > rest &&
           std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
}

void read_email(Section& section, Channel& out) {
    section.read("server", out.url);
    section.read("from", out.from);
    section.read("to", out.to);
    section.read("user", out.user);
    section.read("password_file", out.secret_file);
    section.read("plain", out.plain);
    section.need("server", out.url, "\"smtp://mail.example.com:587\"");
    section.need("from", out.from, "\"pgkeel@example.com\"");
    section.need("to", out.to.empty() ? "" : out.to.front(), "[\"dba@example.com\"]");
    if (!out.url.empty() && !is_url(out.url, "smtp://", "smtps://"))
        section.complain(fmt::format("email server \"{}\" is no smtp:// or smtps:// URL", out.url),
                         "server = \"smtp://mail.example.com:587\"");
    auto addresses = out.to;
    addresses.push_back(out.from);
    for (auto const& address : addresses) {
        bool const good = std::ranges::count(address, '@') == 1 && std::ranges::all_of(address, [](char c) {
                              return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '<' && c != '>' &&
                                     c != ',' && c != ';' && c != '"';
                          });
        if (!address.empty() && !good)
            section.complain(fmt::format("\"{}\" is no mail address", address), "write it alone: dba@example.com");
    }
    if (out.user.empty() != out.secret_file.empty())
        section.complain("user and password_file belong together", "set both or none");
    if (out.plain && !out.user.empty())
        section.complain("a password would go over a connection without TLS", "take `plain` out");
}

void read_http(Section& section, Channel& out) {
    section.read("url", out.url);
    section.read("header_file", out.secret_file);
    section.need("url", out.url,
                 out.kind == Kind::alertmanager ? "\"http://alertmanager:9093\"" : "\"https://host/path\"");
    if (!out.url.empty() && !is_url(out.url, "http://", "https://"))
        section.complain(fmt::format("\"{}\" is no URL", out.url), "url = \"https://host/path\"");
}

void read_telegram(Section& section, Channel& out) {
    out.url = kTelegramApi;
    section.read("chat", out.chat);
    section.read("token_file", out.secret_file);
    section.read("api", out.url);
    section.need("chat", out.chat, "\"-1001234567890\" (the chat's id) or \"@channel\"");
    section.need("token_file", out.secret_file, "\"/etc/pgkeel/telegram.token\"");
    if (!is_url(out.url, "http://", "https://"))
        section.complain(fmt::format("\"{}\" is no URL", out.url), "take `api` out: the public Bot API is the default");
}

Channel read_channel(Kind kind, std::string name, Section section) {
    Channel out;
    out.kind = kind;
    out.name = std::move(name);
    if (out.name.empty() || out.name.size() > 63 || !std::ranges::all_of(out.name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        }))
        section.complain(fmt::format("\"{}\" is not a name", out.name), "use 1..63 of a-z, 0-9, '-' and '_'");
    section.only(keys_of_channels().at(boost::describe::enum_to_string(kind, "")));
    section.read_severity("least", out.least);
    section.read_seconds("after_s", out.after);
    section.read("ca_file", out.ca_file);
    if (kind == Kind::telegram)
        read_telegram(section, out);
    else if (kind == Kind::email)
        read_email(section, out);
    else if (kind == Kind::command) {
        section.read("program", out.program);
        section.need("program", out.program.empty() ? "" : out.program.front(), "[\"/usr/local/bin/page\"]");
        if (!out.program.empty()) section.need_absolute("program", out.program.front());
    } else
        read_http(section, out);
    section.need_absolute("the secret's file", out.secret_file);
    section.need_absolute("ca_file", out.ca_file);
    return out;
}

void read_top(toml::table const& root, std::string const& file, Parsed& out) {
    Names sections{"rule", "notices"};
    for (auto const& [name, unused] : keys_of_channels()) sections.push_back(name);
    for (auto const& [key, node] : root) {
        std::string const name(key.str());
        int const line = static_cast<int>(key.source().begin.line);
        auto const* table = node.as_table();
        Kind kind{};
        bool const is_channel = boost::describe::enum_from_string(name.c_str(), kind);
        if (table == nullptr || std::ranges::find(sections, name) == sections.end()) {
            out.problems.push_back({file, line,
                                    fmt::format("unknown section [{}]{}", name, config::did_you_mean(name, sections)),
                                    fmt::format("it may be {}", fmt::join(sections, ", "))});
            continue;
        }
        if (name == "notices") {
            Section section(*table, name, file, out.problems);
            section.only({"repeat_s"});
            section.read_seconds("repeat_s", out.settings.repeat);
            continue;
        }
        for (auto const& [inner, value] : *table) {
            std::string const title = fmt::format("{}.{}", name, inner.str());
            auto const* body = value.as_table();
            auto const rule = out.settings.rules.find(std::string(inner.str()));
            int const at = static_cast<int>(inner.source().begin.line);
            if (body == nullptr) {
                out.problems.push_back({file, at, fmt::format("{} is not a section", title),
                                        fmt::format("give it a name: [{}.{}]", name, is_channel ? "ops" : "disk")});
            } else if (is_channel) {
                out.settings.channels.push_back(
                    read_channel(kind, std::string(inner.str()), Section(*body, title, file, out.problems)));
            } else if (rule == out.settings.rules.end()) {
                Names rules;
                for (auto const& one : standard_rules()) rules.push_back(one.name);
                out.problems.push_back(
                    {file, at,
                     fmt::format("there is no rule \"{}\"{}", inner.str(), config::did_you_mean(inner.str(), rules)),
                     fmt::format("the rules are {}", fmt::join(rules, ", "))});
            } else {
                read_rule(Section(*body, title, file, out.problems), rule->second);
            }
        }
    }
}

}  // namespace

Settings standard_settings() {
    Settings out;
    for (auto const& rule : standard_rules()) out.rules.emplace(rule.name, rule);
    return out;
}

Parsed parse_settings(std::string_view text, std::string const& file) {
    Parsed out;
    out.settings = standard_settings();
    toml::parse_result const result = toml::parse(text, std::string_view(file));
    if (!result) {
        out.problems.push_back({file, static_cast<int>(result.error().source().begin.line),
                                std::string("not TOML: ") + std::string(result.error().description()),
                                "texts stand in double quotes, sections in [brackets]: https://toml.io"});
        return out;
    }
    read_top(result.table(), file, out);
    auto& channels = out.settings.channels;
    std::ranges::sort(channels, {}, &Channel::name);
    for (std::size_t i = 1; i < channels.size(); ++i) {
        if (channels[i].name == channels[i - 1].name)
            out.problems.push_back({file, 0, fmt::format("two channels have the name {}", channels[i].name),
                                    "give each a name of its own"});
    }
    if (channels.size() > 16) out.problems.push_back({file, 0, "more than 16 channels", "take some out"});
    std::ranges::sort(out.problems, {}, [](config::Problem const& p) { return std::tie(p.line, p.text); });
    return out;
}

bool hears(Channel const& channel, Line const& line) {
    if (line.severity < channel.least) return false;
    if (line.escalated.contains(channel.name)) return true;
    return channel.after == Duration{} && line.word != Word::escalated;
}

std::string channels_text(std::vector<Channel> const& channels) {
    std::string out;
    for (auto const& one : channels)
        out += fmt::format("{} {} {} {} {} {} {} {};", boost::describe::enum_to_string(one.kind, "?"), one.name,
                           boost::describe::enum_to_string(one.least, "?"), to_ms(one.after), one.url, one.chat,
                           fmt::join(one.to, ","), fmt::join(one.program, " "));
    return out;
}

}  // namespace keel::alert
