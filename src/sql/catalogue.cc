#include "sql/catalogue.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace keel::sql {

namespace {

bool is_any(std::string_view name, auto const& names) { return std::ranges::find(names, name) != std::end(names); }

std::string key_of(std::string_view schema, std::string_view name) {
    std::string key(name);
    if (!schema.empty()) key.append(1, '\0').append(schema);
    return key;
}

std::string text_of(Name const& name) { return name.schema.empty() ? name.name : name.schema + "." + name.name; }

// Of the functions pg_..., those which answer from the catalogue or from their arguments alone. The others tell about
// one server, or about the session.
constexpr std::array<std::string_view, 33> kServerless = {"pg_typeof",
                                                          "pg_get_viewdef",
                                                          "pg_get_expr",
                                                          "pg_get_constraintdef",
                                                          "pg_get_indexdef",
                                                          "pg_get_userbyid",
                                                          "pg_get_functiondef",
                                                          "pg_get_triggerdef",
                                                          "pg_get_ruledef",
                                                          "pg_get_partkeydef",
                                                          "pg_get_partition_constraintdef",
                                                          "pg_get_function_arguments",
                                                          "pg_get_function_identity_arguments",
                                                          "pg_get_function_result",
                                                          "pg_get_serial_sequence",
                                                          "pg_table_is_visible",
                                                          "pg_type_is_visible",
                                                          "pg_function_is_visible",
                                                          "pg_operator_is_visible",
                                                          "pg_opclass_is_visible",
                                                          "pg_collation_is_visible",
                                                          "pg_ts_config_is_visible",
                                                          "pg_encoding_to_char",
                                                          "pg_char_to_encoding",
                                                          "pg_column_size",
                                                          "pg_size_pretty",
                                                          "pg_size_bytes",
                                                          "pg_collation_for",
                                                          "pg_has_role",
                                                          "pg_describe_object",
                                                          "pg_identify_object",
                                                          "pg_input_is_valid",
                                                          "pg_relation_is_updatable"};

// Not volatile by the catalogue, and yet no replica's business: they run SQL from a text, read what is named by a text,
// or answer for one session or server.
constexpr std::array<std::string_view, 12> kNever = {
    "currval",          "lastval",          "nextval",   "setval",      "set_config", "inet_server_addr",
    "inet_server_port", "inet_client_addr", "connectby", "xpath_table", "ts_stat",    "inet_client_port"};
constexpr std::array<std::string_view, 8> kNeverPrefixes = {
    "crosstab", "txid_", "dblink", "table_to_xml", "schema_to_xml", "database_to_xml", "query_to_xml", "cursor_to_xml"};

// Tables of pg_catalog, and views on nothing but such tables.
constexpr std::array<std::string_view, 46> kCatalogTables = {"pg_class",
                                                             "pg_attribute",
                                                             "pg_attrdef",
                                                             "pg_type",
                                                             "pg_namespace",
                                                             "pg_proc",
                                                             "pg_index",
                                                             "pg_constraint",
                                                             "pg_description",
                                                             "pg_enum",
                                                             "pg_range",
                                                             "pg_operator",
                                                             "pg_am",
                                                             "pg_amop",
                                                             "pg_amproc",
                                                             "pg_opclass",
                                                             "pg_opfamily",
                                                             "pg_collation",
                                                             "pg_conversion",
                                                             "pg_database",
                                                             "pg_roles",
                                                             "pg_user",
                                                             "pg_group",
                                                             "pg_auth_members",
                                                             "pg_depend",
                                                             "pg_shdepend",
                                                             "pg_shdescription",
                                                             "pg_trigger",
                                                             "pg_inherits",
                                                             "pg_sequence",
                                                             "pg_policy",
                                                             "pg_policies",
                                                             "pg_extension",
                                                             "pg_language",
                                                             "pg_cast",
                                                             "pg_aggregate",
                                                             "pg_tables",
                                                             "pg_views",
                                                             "pg_indexes",
                                                             "pg_matviews",
                                                             "pg_rewrite",
                                                             "pg_rules",
                                                             "pg_partitioned_table",
                                                             "pg_tablespace",
                                                             "pg_event_trigger",
                                                             "pg_foreign_table"};

bool is_never(std::string_view name) {
    if (name.starts_with("pg_")) return !is_any(name, kServerless);
    return is_any(name, kNever) ||
           std::ranges::any_of(kNeverPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_system(Name const& relation) {
    return relation.schema == "pg_catalog" || relation.schema == "information_schema" ||
           (relation.schema.empty() && relation.name.starts_with("pg_"));
}

}  // namespace

void Catalogue::add_function(std::string_view schema, std::string_view name, bool is_volatile) {
    for (auto const& key : {key_of("", name), key_of(schema, name)}) {
        auto const [found, is_new] = functions_.try_emplace(key, State::safe);
        if (is_volatile && found->second == State::safe) found->second = State::unsafe;
    }
}

void Catalogue::add_operator(std::string_view, std::string_view symbol, bool is_volatile) {
    // One written with its schema is not judged: see ReachScan, OPERATOR().
    auto const [found, is_new] = operators_.try_emplace(std::string(symbol), State::safe);
    if (is_volatile) found->second = State::unsafe;
}

void Catalogue::add_relation(std::string_view schema, std::string_view name, char kind, char persistence,
                             std::string_view text) {
    if (persistence == 't') return;  // of other sessions; this one's pin it
    for (auto const& key : {key_of("", name), key_of(schema, name)}) {
        Relation& relation = relations_[key];
        std::string const title(name);
        if (persistence != 'p') relation.unsafe = title + " is unlogged, or has an unlogged or foreign part";
        if (kind == 'S') relation.unsafe = title + " is a sequence, which runs ahead on a replica";
        if (kind == 'f') relation.unsafe = title + " is a foreign table";
        if (kind == 'v' && text.empty()) relation.unsafe = title + " is a view that could not be read";
        if (!text.empty()) relation.bodies.push_back(classify(text).reach);
    }
}

void Catalogue::add_hidden(std::string_view what) {
    if (hidden_.empty()) hidden_ = std::string(what) + " runs a volatile function without naming it";
}

void Catalogue::allow(std::string_view function) {
    std::size_t const dot = function.rfind('.');
    std::string_view const schema = dot == std::string_view::npos ? "" : function.substr(0, dot);
    std::string_view const name = dot == std::string_view::npos ? function : function.substr(dot + 1);
    functions_.insert_or_assign(key_of(schema, name), State::allowed);
}

std::string Catalogue::judge_function(Name const& name) const {
    auto const found = functions_.find(key_of(name.schema, name.name));
    if (found != functions_.end() && found->second == State::allowed) return {};
    if (is_never(name.name)) return "the function " + text_of(name) + "() is not for replicas";
    if (found == functions_.end()) return "the function " + text_of(name) + "() is not known";
    return found->second == State::safe ? "" : "the function " + text_of(name) + "() is volatile";
}

std::string Catalogue::judge_mention(Reach::Mention const& mention) const {
    if (mention.called && functions_.contains(key_of("", mention.name.name))) {
        Name const bare{"", mention.name.name};
        if (bare.name == "current_setting") return "a setting may differ from server to server";
        if (auto why = judge_function(bare); !why.empty()) return why;
    }
    Relation const* const relation = find_relation({"", mention.name.name});
    return relation == nullptr ? "" : relation->unsafe;
}

Catalogue::Relation const* Catalogue::find_relation(Name const& name) const {
    auto const found = relations_.find(key_of(name.schema, name.name));
    return found == relations_.end() ? nullptr : &found->second;
}

std::string Catalogue::judge_names(Reach const& reach) const {
    if (!reach.unsafe.empty()) return reach.unsafe;
    for (auto const& name : reach.functions)
        if (auto why = judge_function(name); !why.empty()) return why;
    for (auto const& name : reach.operators) {
        auto const found = operators_.find(name.name == "!=" ? "<>" : name.name);
        if (found == operators_.end()) return "the operator " + name.name + " is not known";
        if (found->second != State::safe) return "the operator " + name.name + " is volatile";
    }
    for (auto const& name : reach.relations) {
        if (is_system(name)) {
            if (name.schema == "information_schema" || !is_any(name.name, kCatalogTables))
                return text_of(name) + " tells about one server or session";
            continue;
        }
        Relation const* const relation = find_relation(name);
        if (relation == nullptr) return "the relation " + text_of(name) + " is not known";
        if (!relation->unsafe.empty()) return relation->unsafe;
    }
    for (auto const& mention : reach.mentions)
        if (auto why = judge_mention(mention); !why.empty()) return why;
    return {};
}

Verdict Catalogue::judge(Reach const& reach) const {
    if (!reach.unsafe.empty()) return {false, reach.unsafe};
    if (!hidden_.empty()) return {false, hidden_};
    // A view is as safe as what it reads; views on views are walked here.
    std::vector<Reach const*> pending{&reach};
    std::unordered_set<Relation const*> seen;
    auto const follow = [&](Name const& name) {
        Relation const* const relation = find_relation(name);
        if (relation == nullptr || !seen.insert(relation).second) return;
        for (auto const& body : relation->bodies) pending.push_back(&body);
    };
    while (!pending.empty()) {
        Reach const& one = *pending.back();
        pending.pop_back();
        if (std::string why = judge_names(one); !why.empty())
            return {false, &one == &reach ? std::move(why) : "a view or policy behind it: " + why};
        for (auto const& name : one.relations) follow(name);
        for (auto const& mention : one.mentions) follow({"", mention.name.name});
    }
    return {true, {}};
}

Verdict judge(Statement const& statement, Catalogue const& catalogue) { return catalogue.judge(statement.reach); }

}  // namespace keel::sql
