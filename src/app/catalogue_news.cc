#include "app/catalogue_news.h"

#include <fmt/format.h>

#include "base/json.h"

namespace keel::app {

namespace {

using Rows = std::vector<std::vector<std::string>>;

struct Told {
    std::string version;
    Rows functions, operators, relations, hidden;
};
BOOST_DESCRIBE_STRUCT(Told, (), (version, functions, operators, relations, hidden))

bool fits(Rows const& rows, std::size_t columns) {
    return std::ranges::all_of(rows, [&](auto const& row) { return row.size() == columns; });
}

std::string escape(std::string_view text) {
    std::string out;
    for (char const c : text) {
        bool const plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

char first(std::string const& text) { return text.empty() ? '\0' : text[0]; }

}  // namespace

std::string catalogue_path(std::string const& database, std::string const& version) {
    return "/proxy/catalogue?database=" + escape(database) + "&known=" + escape(version);
}

Result<relay::CatalogueNews> parse_catalogue(std::string_view text, std::vector<std::string> const& allowed) {
    KEEL_TRY(auto const told, json::read<Told>(text));
    relay::CatalogueNews out;
    out.version = told.version;
    // No database is without functions: it is the one that is known.
    if (told.functions.empty()) return out;
    if (!fits(told.functions, 3) || !fits(told.operators, 3) || !fits(told.relations, 5) || !fits(told.hidden, 1))
        return fail(Code::invalid, "the agent's catalogue has rows of another width");
    auto const catalogue = std::make_shared<sql::Catalogue>();
    for (auto const& row : told.functions) catalogue->add_function(row[0], row[1], row[2] != "f");
    for (auto const& row : told.operators) catalogue->add_operator(row[0], row[1], row[2] != "f");
    for (auto const& row : told.relations)
        catalogue->add_relation(row[0], row[1], first(row[2]), first(row[3]), row[4]);
    for (auto const& row : told.hidden) catalogue->add_hidden(row[0]);
    for (auto const& name : allowed) catalogue->allow(name);
    out.catalogue = catalogue;
    return out;
}

}  // namespace keel::app
