// A session's beginning: first packet, proof, settings, and what a login is answered with.
#include <fmt/format.h>

#include "proxy/session.h"

namespace keel::proxy {

namespace {

constexpr std::size_t kProofMax = 10'000;
constexpr char kOk = 0, kMd5 = 5, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12;

// PostgreSQL's way to call a replication connection without a database.
constexpr char const* kNoDatabase = "replication";

// As PostgreSQL reads a boolean: also the beginning of a word.
std::optional<bool> parse_bool(std::string_view text) {
    auto const word = lower(text);
    auto const begins = [&](std::string_view whole, std::size_t least) {
        return word.size() >= least && whole.starts_with(word);
    };
    if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1") return true;
    if (begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0") return false;
    return std::nullopt;
}

// Parameters of the startup packet that are no settings.
bool is_word_of_protocol(std::string_view name) {
    return name == "user" || name == "database" || name == "options" || name == "replication" ||
           name.starts_with("_pq_.");
}

}  // namespace

Settings Welcomes::find(std::string const& database, std::string const& user, Settings const& settings,
                        bool standby) const {
    auto const known = known_.find({database, user, settings, standby});
    return known == known_.end() ? nullptr : known->second;
}

void Welcomes::put(std::string const& database, std::string const& user, Settings const& settings, Settings reported) {
    if (known_.size() >= kMost) known_.clear();
    auto const hot_standby = reported->find(std::string_view("in_hot_standby"));
    bool const standby = hot_standby != reported->end() && hot_standby->second == "on";
    known_[{database, user, settings, standby}] = std::move(reported);
}

Session::Session(Shared& shared, Seed seed)
    : shared_(shared),
      seed_(seed),
      login_(std::make_unique<Login>()),
      settings_(shared.settings->empty()),
      at_login_(settings_),
      reported_(shared.settings->empty()),
      wants_standby_(seed_.reads == Reads::standby) {
    login_->nonce = std::move(seed.nonce);
    login_->salt = seed.salt;
    login_->crowded = std::move(seed.crowded);
    login_->from = std::move(seed.from);
}

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
        login_->cancel = std::move(*cancel);
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

void Session::tls_done(std::string certificate_hash, ClientCertificate of_client) {
    encrypted_ = true;
    login_->certificate_hash = std::move(certificate_hash);
    login_->of_client = std::move(of_client);
    need_ = Need::nothing;
}

void Session::start(protocol::Startup startup) {
    if (startup.major != protocol::kMajor)
        return refuse("0A000", fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.{}",
                                           startup.major, startup.minor, protocol::kMinorMax));
    user_ = startup.find("user");
    database_ = startup.find("database");
    // Who wants to see why there is no room must come in.
    if (!login_->crowded.empty() && !is_console()) return refuse("53300", login_->crowded);
    if (user_.empty()) return refuse("28000", "no PostgreSQL user name specified in startup packet");
    if (database_.empty()) database_ = user_;
    // A name in PostgreSQL has at most 63 bytes.
    if (user_.size() > 63) user_.resize(63);
    if (database_.size() > 63) database_.resize(63);
    if (!take_replication(startup.find("replication"))) return;
    if (seed_.tls_required && !encrypted_)
        return refuse("28000", fmt::format("no encryption: user \"{}\" must connect with SSL", user_),
                      "Use sslmode=require or better.");
    minor_ = std::min(startup.minor, protocol::kMinorMax);
    for (auto const& [name, unused] : startup.parameters) {
        if (name.starts_with("_pq_.")) login_->unknown_options.push_back(name);
    }
    if (startup.minor > protocol::kMinorMax || !login_->unknown_options.empty()) {
        protocol::Message negotiate(out, 'v');
        negotiate.u32(minor_).u32(static_cast<std::uint32_t>(login_->unknown_options.size()));
        for (auto const& name : login_->unknown_options) negotiate.text(name);
    }
    if (!take_settings(startup)) return;
    phase_ = Phase::users;
    need_ = Need::users;
}

// False: it was refused.
bool Session::take_replication(std::string_view value) {
    if (value.empty()) return true;
    auto const stream = value == "database" ? std::optional(true) : parse_bool(value);
    if (!stream) {
        refuse("22023", fmt::format("invalid value for parameter \"replication\": \"{}\"", value),
               "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
        return false;
    }
    if (!*stream) return true;
    if (is_console() || seed_.reads == Reads::standby) {
        refuse("0A000",
               is_console() ? "the console takes no replication connection"
                            : "replication connections go to the primary, not to standbys",
               is_console() ? "Name another database." : "Connect to the proxy's port of the primary.");
        return false;
    }
    replication_ = value == "database" ? "database" : "true";
    // It is in no database, whatever the packet says.
    if (value != "database") database_ = kNoDatabase;
    seed_.reads = Reads::primary;
    return true;
}

std::vector<std::pair<std::string, std::string>> Session::startup_of_own() const {
    std::vector<std::pair<std::string, std::string>> packet{{"replication", replication_}};
    for (auto const& [name, value] : *at_login_) packet.emplace_back(name, value);
    return packet;
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
    settings_ = at_login_ = shared_.settings->intern(std::move(map));
    return true;
}

// By pg_hba.conf's manner: the first rule that fits decides. False: it was refused.
bool Session::take_rule() {
    if (shared_.rules == nullptr) return true;
    auto const deny = [this](std::string_view text) {
        ++shared_.figures.totals.logins_refused;
        refuse("28000", text);
        return false;
    };
    auth::Visitor visitor{database_, user_, {}, encrypted_, replication_ == "true"};
    if (!login_->from.empty()) {
        visitor.address = auth::parse_address(login_->from);
        // It is gone already, and must not pass for a client of this host.
        if (!visitor.address) return deny("the client's address is not known");
    }
    if (auto const* user = shared_.users->find(user_)) visitor.groups = user->groups;
    auto const* const rule = auth::match(*shared_.rules, visitor);
    if (rule == nullptr || rule->method == auth::Method::reject)
        return deny(auth::refusal_of(rule, visitor, login_->from));
    using enum auth::Rule::Certificate;
    if (rule->certificate != none && !login_->of_client.good)
        return deny("connection requires a valid client certificate");
    if (rule->certificate == of_user && login_->of_client.name != user_)
        return deny(fmt::format("certificate authentication failed for user \"{}\"", user_));
    login_->method = rule->method;
    return true;
}

void Session::users_known() {
    if (phase_ != Phase::users) return;
    need_ = Need::nothing;
    if (!take_rule()) return;
    if (login_->method == auth::Method::trust || login_->method == auth::Method::cert) {
        by_password_ = false;
        login_->credentials.by_node = true;
        phase_ = Phase::login;
        need_ = Need::login;
        return;
    }
    ask_proof();
    advance();
}

void Session::ask_proof() {
    phase_ = Phase::proof;
    auto const* user = shared_.users->find(user_);
    // As in PostgreSQL, a rule for SCRAM asks for nothing weaker: the login fails.
    if (user != nullptr && auth::is_md5_verifier(user->verifier) && login_->method != auth::Method::scram) {
        protocol::Message(out, 'R').u32(kMd5).bytes({login_->salt.data(), login_->salt.size()});
        return;
    }
    Result<auth::ScramVerifier> stored = fail(Code::not_found, "no verifier");
    if (user != nullptr && !user->verifier.empty()) stored = auth::parse_scram_verifier(user->verifier);
    if (stored) login_->verifier = *stored;
    // Who does not exist is asked like everybody.
    login_->scram.emplace(stored ? std::move(*stored) : auth::mock_scram_verifier(user_, shared_.mock), login_->nonce,
                          login_->certificate_hash);
    protocol::Message question(out, 'R');
    question.u32(kSasl);
    if (!login_->certificate_hash.empty()) question.text(auth::kScramPlus);
    question.text(auth::kScram).u8(0);
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
    if (login_->scram) {
        take_scram(body);
        return true;
    }
    auto const* user = shared_.users->find(user_);
    protocol::Reader reader(body);
    auto const answer = reader.text();
    auto const good = user == nullptr ? Result<bool>(false) : auth::md5_accepts(user->verifier, login_->salt, answer);
    if (!good || !*good) {
        deny();
        return false;
    }
    login_->credentials.md5 = user->verifier;
    phase_ = Phase::login;
    need_ = Need::login;
    return false;
}

void Session::take_scram(std::string_view body) {
    protocol::Reader reader(body);
    if (!login_->scram_begun) {
        login_->scram_begun = true;
        auto const mechanism = reader.text();
        auto const length = reader.u32();
        auto const text = reader.bytes(length == 0xffffffffU ? 0 : length);
        if (!reader.good() || !reader.at_end()) return refuse("08P01", "malformed SASL response");
        auto const challenge = login_->scram->first(mechanism, text);
        if (!challenge) return refuse("08P01", challenge.error().text);
        protocol::Message(out, 'R').u32(kSaslContinue).bytes(*challenge);
        return;
    }
    auto finished = login_->scram->last(body);
    if (!finished && finished.error().code == Code::invalid) return refuse("08P01", finished.error().text);
    if (!finished || !login_->verifier) return deny();
    login_->credentials.scram = auth::ScramClient::Keys{std::move(finished->client_key), *login_->verifier};
    protocol::Message(out, 'R').u32(kSaslFinal).bytes(finished->server_final);
    phase_ = Phase::login;
    need_ = Need::login;
}

void Session::deny() {
    ++shared_.figures.totals.logins_refused;
    refuse("28P01", fmt::format("password authentication failed for user \"{}\"", user_));
}

void Session::admit() {
    if (phase_ != Phase::login) return;
    need_ = Need::nothing;
    ++shared_.figures.totals.logins_accepted;
    protocol::Message(out, 'R').u32(kOk);
    if (is_console()) return welcome_console();
    phase_ = Phase::welcome;
    welcome();
}

void Session::welcome() {
    auto const known =
        is_replication() ? nullptr : shared_.welcomes->find(database_, user_, settings_, seed_.reads == Reads::standby);
    if (known) {
        reported_ = known;
        finish_login();
        return;
    }
    need_ = Need::server;
}

void Session::finish_login() {
    if (server_ != nullptr) {
        reported_ = server_->reported;
        if (!is_replication()) shared_.welcomes->put(database_, user_, settings_, reported_);
    }
    if (is_replication()) {
        pinned_ = "replication";
        server_->retire = true;
    }
    for (auto const& [name, value] : *reported_) protocol::write_parameter(out, name, value);
    tell_key();
    protocol::write_ready(out, 'I');
    phase_ = Phase::ready;
    need_ = Need::nothing;
    login_.reset();
}

void Session::rest() {
    if (need_ != Need::nothing) return;
    if (server_ == nullptr) lost_.reset();
    if (detached_ && !detached_->active()) detached_.reset();
    for (auto* const buffer : {&in_, &server_in_, &flight_, &held_, &dropping_}) {
        bool const spent = buffer->empty() || (buffer == &flight_ && server_ == nullptr);
        if (!spent) continue;
        buffer->clear();
        buffer->shrink_to_fit();
    }
}

void Session::tell_key() {
    auto const key = minor_ >= 2 ? cancel_key() : cancel_key().substr(0, 4);
    protocol::Message(out, 'K').u32(seed_.process).bytes(key);
}

void Session::refuse(std::string_view report_body) {
    if (phase_ == Phase::closing) return;
    shared_.figures.totals.errors_of_servers.add(protocol::parse_report(report_body).code);
    // Into the middle of another message nothing can be said.
    if (answer_pass_ == 0 || answer_hidden_) protocol::Message(out, 'E').bytes(report_body);
    phase_ = Phase::closing;
    need_ = Need::close;
}

void Session::refuse(std::string_view code, std::string_view text, std::string_view hint) {
    if (phase_ == Phase::closing) return;
    shared_.figures.totals.errors_of_proxy.add(code);
    if (answer_pass_ == 0 || answer_hidden_) protocol::write_report(out, 'E', {"FATAL", code, text, {}, hint});
    phase_ = Phase::closing;
    need_ = Need::close;
}

}  // namespace keel::proxy
