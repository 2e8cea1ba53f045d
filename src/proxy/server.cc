#include "proxy/server.h"

#include <algorithm>
#include <charconv>

#include "auth/md5.h"
#include "protocol/startup.h"

namespace keel::proxy {

namespace {

constexpr std::size_t kLoginMessageMax = 64 * 1024;

// Without the extension this setting is somebody's own, which no view shows. With it no session can turn it off.
constexpr std::string_view kProbe =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings"
    " WHERE name = 'pgkeel.report' AND setting = 'on' AND context = 'backend')";

enum Authentication : std::uint32_t { ok = 0, cleartext = 3, md5 = 5, sasl = 10, sasl_continue = 11, sasl_final = 12 };

}  // namespace

Server::Server(Seed seed, SettingsPool& settings)
    : settings(settings.empty()), reported(settings.empty()), seed_(std::move(seed)), pool_(settings) {}

void Server::begin() {
    std::vector<std::pair<std::string_view, std::string_view>> parameters{{"user", seed_.key.user},
                                                                          {"database", seed_.key.database}};
    // A server without the extension takes it for a setting of somebody's.
    if (seed_.key.own == 0) parameters.emplace_back("pgkeel.report", "on");
    for (auto const& [name, value] : seed_.startup) parameters.emplace_back(name, value);
    protocol::write_startup(out, parameters);
}

void Server::mark_broken(std::string_view code, std::string_view text) {
    if (phase_ == Phase::broken) return;
    phase_ = Phase::broken;
    std::string whole;
    protocol::write_report(whole, 'E', {"FATAL", code, text, {}, {}});
    refusal_ = whole.substr(protocol::kHead);
}

void Server::refuse(std::string body) {
    phase_ = Phase::broken;
    refusal_ = std::move(body);
}

void Server::login(std::string& in) {
    std::size_t used = 0;
    while (phase_ == Phase::login || phase_ == Phase::probe) {
        std::string_view const rest = std::string_view(in).substr(used);
        auto const head = protocol::peek_head(rest, kLoginMessageMax);
        if (head.kind == protocol::Head::Kind::malformed) {
            mark_broken("08P01", "the server sent what is no message of PostgreSQL's protocol");
            break;
        }
        if (head.kind == protocol::Head::Kind::need_more || rest.size() < head.size) break;
        std::string_view const body = rest.substr(protocol::kHead, head.size - protocol::kHead);
        protocol::Reader reader(body);
        used += head.size;
        switch (head.type) {
            case 'R':
                authenticate(body);
                break;
            case 'S': {
                auto const name = reader.text();
                parameter(name, reader.text());
                break;
            }
            case 'K':
                process_ = reader.u32();
                cancel_key_ = reader.rest();
                break;
            case 'Z':
                status = static_cast<char>(reader.u8());
                // Not every server of a client's own takes SQL.
                phase_ = phase_ == Phase::login && seed_.key.own == 0 ? Phase::probe : Phase::ready;
                if (phase_ == Phase::probe) protocol::write_query(out, kProbe);
                break;
            case 'E':
                refuse(std::string(body));
                break;
            case 'D':
                tells_xids = body.ends_with('t');
                break;
            case 'N':
            case 'v':
            case 'T':
            case 'C':
                break;
            default:
                mark_broken("08P01", "the server sent an unexpected message during the login");
        }
    }
    in.erase(0, used);
}

void Server::answer(std::string_view payload) { protocol::Message(out, 'p').bytes(payload); }

void Server::authenticate(std::string_view body) {
    protocol::Reader reader(body);
    auto const kind = reader.u32();
    if (kind == Authentication::ok) return;
    auto const fail_with = [this](Error const& error) { mark_broken("28P01", error.text); };
    if (kind == Authentication::md5 && !seed_.credentials.md5.empty()) {
        auth::Md5Salt salt{};
        auto const bytes = reader.bytes(salt.size());
        if (bytes.size() != salt.size()) return mark_broken("08P01", "the server's md5 challenge is cut short");
        std::copy(bytes.begin(), bytes.end(), salt.begin());
        auto const text = auth::md5_answer(seed_.credentials.md5, salt);
        if (!text) return fail_with(text.error());
        protocol::Message(out, 'p').text(*text);
        return;
    }
    if (kind == Authentication::sasl && seed_.credentials.scram) {
        scram_.emplace(*seed_.credentials.scram, seed_.nonce);
        auto const first = scram_->first();
        protocol::Message(out, 'p')
            .text(scram_->mechanism())
            .u32(static_cast<std::uint32_t>(first.size()))
            .bytes(first);
        return;
    }
    if (kind == Authentication::sasl_continue && scram_) {
        auto const text = scram_->answer(reader.rest());
        if (!text) return fail_with(text.error());
        return answer(*text);
    }
    if (kind == Authentication::sasl_final && scram_) {
        if (auto const status_of = scram_->finish(reader.rest()); !status_of) fail_with(status_of.error());
        return;
    }
    if (seed_.credentials.by_node && !seed_.credentials.scram && seed_.credentials.md5.empty())
        return mark_broken("28000",
                           "the server wants a password, and this login showed the proxy none: a superuser's "
                           "GRANT pgkeel_proxied TO this role lets nodes log in for it");
    mark_broken("28000",
                "the server wants a kind of login that a proxy cannot do for this user (scram-sha-256 and md5 it can)");
}

bool Server::owes() {
    while (!owed_.empty() && owed_.front().reply == Reply::copy_end) owed_.pop_front();
    return !owed_.empty();
}

bool Server::is_dropping() const {
    return std::ranges::any_of(owed_, [](Owed const& one) { return one.drops != 0; });
}

void Server::begin_clean() {
    protocol::write_query(out, "DISCARD ALL");
    owe({Reply::clean, true});
}

std::optional<bool> Server::cleaned(std::string& in) {
    std::size_t used = 0;
    std::optional<bool> done;
    while (!done) {
        std::string_view const rest = std::string_view(in).substr(used);
        auto const head = protocol::peek_head(rest, kLoginMessageMax);
        if (head.kind == protocol::Head::Kind::malformed) return false;
        if (head.kind == protocol::Head::Kind::need_more || rest.size() < head.size) break;
        protocol::Reader reader(rest.substr(protocol::kHead, head.size - protocol::kHead));
        used += head.size;
        if (head.type == 'E') return false;
        if (head.type == 'S') {
            auto const name = reader.text();
            parameter(name, reader.text());
        }
        if (head.type != 'Z') continue;
        status = static_cast<char>(reader.u8());
        done = status == 'I';
    }
    in.erase(0, used);
    if (!done) return std::nullopt;
    owed_.clear();
    prepared.clear();
    unnamed = 0;
    xid = 0;
    settings = pool_.empty();
    return done;
}

bool Server::is_standby() const {
    if (seed_.key.node.value.empty()) return false;
    auto const known = reported->find(std::string_view("in_hot_standby"));
    return known != reported->end() && known->second == "on";
}

void Server::parameter(std::string_view name, std::string_view value) {
    if (name.starts_with("pgkeel.")) {
        if (name == "pgkeel.xid") std::from_chars(value.data(), value.data() + value.size(), xid);
        return;
    }
    auto const known = reported->find(name);
    if (known != reported->end() && known->second == value) return;
    SettingsMap next = *reported;
    next[std::string(name)] = value;
    reported = pool_.intern(std::move(next));
}

}  // namespace keel::proxy
