// A session's beginning: first packet, proof, settings, and what a login is answered with.
#include <fmt/format.h>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

constexpr std::size_t kProofMax = 10'000;
constexpr char kOk = 0, kMd5 = 5, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12;

// Parameters of the startup packet that are no settings.
bool is_word_of_protocol(std::string_view name) {
    return name == "user" || name == "database" || name == "options" || name == "replication" ||
           name.starts_with("_pq_.");
}

}  // namespace

Settings Welcomes::find(std::string const& database, std::string const& user, Settings const& settings) const {
    auto const known = known_.find({database, user, settings});
    return known == known_.end() ? nullptr : known->second;
}

void Welcomes::put(std::string const& database, std::string const& user, Settings const& settings, Settings reported) {
    if (known_.size() >= kMost) known_.clear();
    known_[{database, user, settings}] = std::move(reported);
}

Session::Session(Shared& shared, Seed seed)
    : shared_(shared),
      seed_(std::move(seed)),
      settings_(shared.settings->empty()),
      reported_(shared.settings->empty()) {}

std::string const& Session::application() const {
    static std::string const none;
    auto const known = settings_->find(std::string_view("application_name"));
    return known == settings_->end() ? none : known->second;
}

bool Session::take_first(std::string_view rest, std::size_t& used) {
    auto packet = protocol::parse_first(rest);
    used = packet.size;
    if (std::holds_alternative<protocol::NeedMore>(packet.first)) return false;
    if (auto const* bad = std::get_if<protocol::Malformed>(&packet.first)) {
        refuse("08P01", bad->why);
        return false;
    }
    if (auto* cancel = std::get_if<protocol::Cancel>(&packet.first)) {
        cancel_ = std::move(*cancel);
        need_ = Need::cancel;
        phase_ = Phase::closing;
        return false;
    }
    if (std::holds_alternative<protocol::GssRequest>(packet.first)) {
        out += 'N';
        return true;
    }
    if (std::holds_alternative<protocol::SslRequest>(packet.first)) {
        if (!seed_.tls_offered || encrypted_) {
            out += 'N';
            return true;
        }
        // What came behind it in the clear could be somebody else's words (CVE-2021-23214).
        if (rest.size() > packet.size) {
            refuse("08P01", "received unencrypted data after SSL request");
            return false;
        }
        out += 'S';
        need_ = Need::tls;
        return false;
    }
    start(std::get<protocol::Startup>(std::move(packet.first)));
    return false;
}

void Session::tls_done() {
    encrypted_ = true;
    need_ = Need::nothing;
}

void Session::start(protocol::Startup startup) {
    if (!seed_.crowded.empty()) return refuse("53300", seed_.crowded);
    if (startup.major != protocol::kMajor)
        return refuse("0A000", fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.{}",
                                           startup.major, startup.minor, protocol::kMinorMax));
    user_ = startup.find("user");
    if (user_.empty()) return refuse("28000", "no PostgreSQL user name specified in startup packet");
    database_ = startup.find("database");
    if (database_.empty()) database_ = user_;
    // A name in PostgreSQL has at most 63 bytes.
    if (user_.size() > 63) user_.resize(63);
    if (database_.size() > 63) database_.resize(63);
    if (auto const replication = startup.find("replication");
        !replication.empty() && replication != "false" && replication != "off" && replication != "0")
        return refuse("0A000", "a replication connection cannot go through the proxy",
                      "Connect to PostgreSQL's own port.");
    if (seed_.tls_required && !encrypted_)
        return refuse("28000", fmt::format("no encryption: user \"{}\" must connect with SSL", user_),
                      "Use sslmode=require or better.");
    minor_ = std::min(startup.minor, protocol::kMinorMax);
    for (auto const& [name, unused] : startup.parameters) {
        if (name.starts_with("_pq_.")) unknown_options_.push_back(name);
    }
    if (startup.minor > protocol::kMinorMax || !unknown_options_.empty()) {
        protocol::Message negotiate(out, 'v');
        negotiate.u32(minor_).u32(static_cast<std::uint32_t>(unknown_options_.size()));
        for (auto const& name : unknown_options_) negotiate.text(name);
    }
    if (!take_settings(startup)) return;
    phase_ = Phase::users;
    need_ = Need::users;
}

bool Session::take_settings(protocol::Startup const& startup) {
    SettingsMap map;
    std::vector<std::pair<std::string, std::string>> options;
    if (!protocol::parse_options(startup.find("options"), options)) {
        refuse("0A000", "the proxy understands only settings in the connection's options",
               "Write options='-c name=value'.");
        return false;
    }
    for (auto const& [name, value] : options) map[lower(name)] = value;
    for (auto const& [name, value] : startup.parameters) {
        if (!is_word_of_protocol(name)) map[lower(name)] = value;
    }
    std::size_t bytes = 0;
    for (auto const& [name, value] : map) {
        bytes += name.size() + value.size();
        if (name.find('.') != std::string::npos) custom_.push_back(name);
    }
    if (bytes > protocol::kStartupMax) {
        refuse("08P01", "the settings of the startup packet are too long");
        return false;
    }
    settings_ = shared_.settings->intern(std::move(map));
    return true;
}

void Session::users_known() {
    if (phase_ != Phase::users) return;
    need_ = Need::nothing;
    ask_proof();
    advance();
}

void Session::ask_proof() {
    phase_ = Phase::proof;
    auto const* user = shared_.users->find(user_);
    if (user != nullptr && auth::is_md5_verifier(user->verifier)) {
        protocol::Message(out, 'R').u32(kMd5).bytes({seed_.salt.data(), seed_.salt.size()});
        return;
    }
    Result<auth::ScramVerifier> stored = fail(Code::not_found, "no verifier");
    if (user != nullptr && !user->verifier.empty()) stored = auth::parse_scram_verifier(user->verifier);
    if (stored) verifier_ = *stored;
    // Who does not exist is asked like everybody.
    scram_.emplace(stored ? std::move(*stored) : auth::mock_scram_verifier(user_, shared_.mock), seed_.nonce);
    protocol::Message(out, 'R').u32(kSasl).text(auth::kScram).u8(0);
}

bool Session::take_proof(std::string_view rest, std::size_t& used) {
    auto const head = protocol::peek_head(rest, kProofMax);
    if (head.kind == protocol::Head::Kind::need_more) return false;
    if (head.kind == protocol::Head::Kind::malformed || head.type != 'p') {
        refuse("08P01", fmt::format("expected password response, got message type {}", static_cast<int>(rest[0])));
        return false;
    }
    if (rest.size() < head.size) return false;
    used = head.size;
    auto const body = rest.substr(protocol::kHead, head.size - protocol::kHead);
    if (scram_) {
        take_scram(body);
        return true;
    }
    auto const* user = shared_.users->find(user_);
    protocol::Reader reader(body);
    auto const answer = reader.text();
    auto const good = user == nullptr ? Result<bool>(false) : auth::md5_accepts(user->verifier, seed_.salt, answer);
    if (!good || !*good) {
        deny();
        return false;
    }
    credentials_.md5 = user->verifier;
    phase_ = Phase::login;
    need_ = Need::login;
    return false;
}

void Session::take_scram(std::string_view body) {
    protocol::Reader reader(body);
    if (!scram_begun_) {
        scram_begun_ = true;
        auto const mechanism = reader.text();
        auto const length = reader.u32();
        auto const text = reader.bytes(length == 0xffffffffU ? 0 : length);
        if (!reader.good() || !reader.at_end()) return refuse("08P01", "malformed SASL response");
        auto const challenge = scram_->first(mechanism, text);
        if (!challenge) return refuse("08P01", challenge.error().text);
        protocol::Message(out, 'R').u32(kSaslContinue).bytes(*challenge);
        return;
    }
    auto finished = scram_->last(body);
    if (!finished && finished.error().code == Code::invalid) return refuse("08P01", finished.error().text);
    if (!finished || !verifier_) return deny();
    credentials_.scram = auth::ScramClient::Keys{std::move(finished->client_key), *verifier_};
    protocol::Message(out, 'R').u32(kSaslFinal).bytes(finished->server_final);
    phase_ = Phase::login;
    need_ = Need::login;
}

void Session::deny() { refuse("28P01", fmt::format("password authentication failed for user \"{}\"", user_)); }

void Session::admit() {
    if (phase_ != Phase::login) return;
    need_ = Need::nothing;
    protocol::Message(out, 'R').u32(kOk);
    phase_ = Phase::welcome;
    welcome();
}

void Session::welcome() {
    if (auto const known = shared_.welcomes->find(database_, user_, settings_)) {
        reported_ = known;
        finish_login();
        return;
    }
    need_ = Need::server;
}

void Session::finish_login() {
    if (server_ != nullptr) {
        reported_ = server_->reported;
        shared_.welcomes->put(database_, user_, settings_, reported_);
    }
    for (auto const& [name, value] : *reported_) protocol::write_parameter(out, name, value);
    auto const key = minor_ >= 2 ? std::string_view(seed_.cancel_key) : std::string_view(seed_.cancel_key).substr(0, 4);
    protocol::Message(out, 'K').u32(seed_.process).bytes(key);
    protocol::write_ready(out, 'I');
    phase_ = Phase::ready;
    need_ = Need::nothing;
}

void Session::refuse(std::string_view report_body) {
    if (phase_ == Phase::closing) return;
    // Into the middle of another message nothing can be said.
    if (answer_pass_ == 0 || answer_hidden_) protocol::Message(out, 'E').bytes(report_body);
    phase_ = Phase::closing;
    need_ = Need::close;
}

void Session::refuse(std::string_view code, std::string_view text, std::string_view hint) {
    if (phase_ == Phase::closing) return;
    if (answer_pass_ == 0 || answer_hidden_) protocol::write_report(out, 'E', {"FATAL", code, text, {}, hint});
    phase_ = Phase::closing;
    need_ = Need::close;
}

}  // namespace keel::proxy
