#include "proxy/judges.h"

#include <utility>

namespace keel::proxy {

Judges::Court& Judges::court(std::string const& database) {
    auto const [found, is_new] = courts_.try_emplace(database);
    if (is_new) new_.push_back(database);
    return found->second;
}

void Judges::put(std::string const& database, std::shared_ptr<sql::Catalogue const> catalogue) {
    courts_[database] = {true, std::move(catalogue), {}, {}};
}

bool Judges::may_serve(std::string const& database, TextFacts const& facts, std::string_view text, bool trusted) {
    auto& here = court(database);
    here.used = true;
    if (!facts.reads || here.refused.contains(facts.key)) return false;
    if (trusted) return true;
    if (!here.catalogue) return false;
    if (auto const known = here.verdicts.find(facts.key); known != here.verdicts.end()) return known->second;
    auto const pieces = sql::split(text);
    bool const safe = pieces.certain && pieces.statements.size() == 1 &&
                      sql::judge(sql::classify(pieces.statements.front()), *here.catalogue).safe;
    if (here.verdicts.size() >= kMost) here.verdicts.clear();
    here.verdicts.emplace(facts.key, safe);
    return safe;
}

void Judges::refused(std::string const& database, sql::TextHash const& text) {
    auto& here = court(database);
    if (here.refused.size() >= kMost) here.refused.clear();
    here.refused[text] = true;
}

bool Judges::take_used(std::string const& database) {
    auto const found = courts_.find(database);
    return found != courts_.end() && std::exchange(found->second.used, false);
}

std::vector<std::string> Judges::take_new() { return std::exchange(new_, {}); }

}  // namespace keel::proxy
