// The keywords of PostgreSQL's grammar that this library acts on, and what each may be besides.
#pragma once

#include <cstdint>
#include <string_view>

namespace keel::sql {

// Which grammar positions a keyword may take (PostgreSQL manual, appendix "SQL Key Words"). Only what holds in all
// supported major versions is listed as reserved or col_name: a function may be named by a word that only a later
// version reserves.
enum class Category : std::uint8_t {
    none,       // any name
    plain,      // unreserved: any name, too
    col_name,   // no function's name
    type_func,  // may be a function's name, no table's
    reserved,   // no name at all without quotes
};

// X(enumerator, text, category)
#define KEEL_SQL_WORDS(X)                               \
    X(abort, "abort", plain)                            \
    X(all, "all", reserved)                             \
    X(alter, "alter", plain)                            \
    X(analyse, "analyse", reserved)                     \
    X(analyze, "analyze", reserved)                     \
    X(and_, "and", reserved)                            \
    X(any, "any", reserved)                             \
    X(array, "array", reserved)                         \
    X(as, "as", reserved)                               \
    X(asc, "asc", reserved)                             \
    X(asymmetric, "asymmetric", reserved)               \
    X(atomic, "atomic", plain)                          \
    X(authorization, "authorization", type_func)        \
    X(begin, "begin", plain)                            \
    X(between, "between", col_name)                     \
    X(bigint, "bigint", col_name)                       \
    X(binary, "binary", type_func)                      \
    X(bit, "bit", col_name)                             \
    X(boolean, "boolean", col_name)                     \
    X(both, "both", reserved)                           \
    X(by, "by", plain)                                  \
    X(call, "call", plain)                              \
    X(case_, "case", reserved)                          \
    X(cast, "cast", reserved)                           \
    X(chain, "chain", plain)                            \
    X(char_, "char", col_name)                          \
    X(character, "character", col_name)                 \
    X(characteristics, "characteristics", plain)        \
    X(check, "check", reserved)                         \
    X(checkpoint, "checkpoint", plain)                  \
    X(close, "close", plain)                            \
    X(cluster, "cluster", plain)                        \
    X(coalesce, "coalesce", col_name)                   \
    X(collate, "collate", reserved)                     \
    X(collation, "collation", type_func)                \
    X(column, "column", reserved)                       \
    X(comment, "comment", plain)                        \
    X(commit, "commit", plain)                          \
    X(committed, "committed", plain)                    \
    X(concurrently, "concurrently", type_func)          \
    X(constraint, "constraint", reserved)               \
    X(constraints, "constraints", plain)                \
    X(copy, "copy", plain)                              \
    X(create, "create", reserved)                       \
    X(cross, "cross", type_func)                        \
    X(cube, "cube", plain)                              \
    X(current, "current", plain)                        \
    X(current_catalog, "current_catalog", reserved)     \
    X(current_date, "current_date", reserved)           \
    X(current_role, "current_role", reserved)           \
    X(current_schema, "current_schema", type_func)      \
    X(current_time, "current_time", reserved)           \
    X(current_timestamp, "current_timestamp", reserved) \
    X(current_user, "current_user", reserved)           \
    X(cursor, "cursor", plain)                          \
    X(deallocate, "deallocate", plain)                  \
    X(dec, "dec", col_name)                             \
    X(decimal, "decimal", col_name)                     \
    X(declare, "declare", plain)                        \
    X(default_, "default", reserved)                    \
    X(deferrable, "deferrable", reserved)               \
    X(delete_, "delete", plain)                         \
    X(desc, "desc", reserved)                           \
    X(discard, "discard", plain)                        \
    X(distinct, "distinct", reserved)                   \
    X(do_, "do", reserved)                              \
    X(drop, "drop", plain)                              \
    X(else_, "else", reserved)                          \
    X(end, "end", reserved)                             \
    X(except, "except", reserved)                       \
    X(execute, "execute", plain)                        \
    X(exists, "exists", col_name)                       \
    X(explain, "explain", plain)                        \
    X(extract, "extract", col_name)                     \
    X(false_, "false", reserved)                        \
    X(fetch, "fetch", reserved)                         \
    X(filter, "filter", plain)                          \
    X(float_, "float", col_name)                        \
    X(for_, "for", reserved)                            \
    X(foreign, "foreign", reserved)                     \
    X(freeze, "freeze", type_func)                      \
    X(from, "from", reserved)                           \
    X(full, "full", type_func)                          \
    X(function, "function", plain)                      \
    X(global, "global", plain)                          \
    X(grant, "grant", reserved)                         \
    X(greatest, "greatest", col_name)                   \
    X(group, "group", reserved)                         \
    X(grouping, "grouping", col_name)                   \
    X(having, "having", reserved)                       \
    X(hold, "hold", plain)                              \
    X(ilike, "ilike", type_func)                        \
    X(import, "import", plain)                          \
    X(in, "in", reserved)                               \
    X(initially, "initially", reserved)                 \
    X(inner, "inner", type_func)                        \
    X(inout, "inout", col_name)                         \
    X(insert, "insert", plain)                          \
    X(int_, "int", col_name)                            \
    X(integer, "integer", col_name)                     \
    X(intersect, "intersect", reserved)                 \
    X(interval, "interval", col_name)                   \
    X(into, "into", reserved)                           \
    X(is, "is", type_func)                              \
    X(isnull, "isnull", type_func)                      \
    X(isolation, "isolation", plain)                    \
    X(join, "join", type_func)                          \
    X(key, "key", plain)                                \
    X(lateral, "lateral", reserved)                     \
    X(leading, "leading", reserved)                     \
    X(least, "least", col_name)                         \
    X(left, "left", type_func)                          \
    X(level, "level", plain)                            \
    X(like, "like", type_func)                          \
    X(limit, "limit", reserved)                         \
    X(listen, "listen", plain)                          \
    X(load, "load", plain)                              \
    X(local, "local", plain)                            \
    X(localtime, "localtime", reserved)                 \
    X(localtimestamp, "localtimestamp", reserved)       \
    X(lock, "lock", plain)                              \
    X(materialized, "materialized", plain)              \
    X(merge, "merge", plain)                            \
    X(move, "move", plain)                              \
    X(names, "names", plain)                            \
    X(national, "national", col_name)                   \
    X(natural, "natural", type_func)                    \
    X(nchar, "nchar", col_name)                         \
    X(no, "no", plain)                                  \
    X(none_, "none", col_name)                          \
    X(normalize, "normalize", col_name)                 \
    X(not_, "not", reserved)                            \
    X(notify, "notify", plain)                          \
    X(notnull, "notnull", type_func)                    \
    X(null, "null", reserved)                           \
    X(nullif, "nullif", col_name)                       \
    X(numeric, "numeric", col_name)                     \
    X(offset, "offset", reserved)                       \
    X(on, "on", reserved)                               \
    X(only, "only", reserved)                           \
    X(option, "option", plain)                          \
    X(or_, "or", reserved)                              \
    X(order, "order", reserved)                         \
    X(out, "out", col_name)                             \
    X(outer, "outer", type_func)                        \
    X(over, "over", plain)                              \
    X(overlaps, "overlaps", type_func)                  \
    X(overlay, "overlay", col_name)                     \
    X(partition, "partition", plain)                    \
    X(placing, "placing", reserved)                     \
    X(plans, "plans", plain)                            \
    X(position, "position", col_name)                   \
    X(precision, "precision", col_name)                 \
    X(prepare, "prepare", plain)                        \
    X(prepared, "prepared", plain)                      \
    X(primary, "primary", reserved)                     \
    X(procedure, "procedure", plain)                    \
    X(program, "program", plain)                        \
    X(read, "read", plain)                              \
    X(real, "real", col_name)                           \
    X(reassign, "reassign", plain)                      \
    X(recursive, "recursive", plain)                    \
    X(references, "references", reserved)               \
    X(refresh, "refresh", plain)                        \
    X(reindex, "reindex", plain)                        \
    X(release, "release", plain)                        \
    X(repeatable, "repeatable", plain)                  \
    X(replace, "replace", plain)                        \
    X(reset, "reset", plain)                            \
    X(returning, "returning", reserved)                 \
    X(revoke, "revoke", plain)                          \
    X(right, "right", type_func)                        \
    X(role, "role", plain)                              \
    X(rollback, "rollback", plain)                      \
    X(rollup, "rollup", plain)                          \
    X(row, "row", col_name)                             \
    X(rows, "rows", plain)                              \
    X(savepoint, "savepoint", plain)                    \
    X(schema, "schema", plain)                          \
    X(security, "security", plain)                      \
    X(select, "select", reserved)                       \
    X(sequences, "sequences", plain)                    \
    X(serializable, "serializable", plain)              \
    X(session, "session", plain)                        \
    X(session_user, "session_user", reserved)           \
    X(set, "set", plain)                                \
    X(setof, "setof", col_name)                         \
    X(sets, "sets", plain)                              \
    X(share, "share", plain)                            \
    X(show, "show", plain)                              \
    X(similar, "similar", type_func)                    \
    X(smallint, "smallint", col_name)                   \
    X(snapshot, "snapshot", plain)                      \
    X(some, "some", reserved)                           \
    X(start, "start", plain)                            \
    X(stdin_, "stdin", plain)                           \
    X(stdout_, "stdout", plain)                         \
    X(substring, "substring", col_name)                 \
    X(symmetric, "symmetric", reserved)                 \
    X(table, "table", reserved)                         \
    X(tablesample, "tablesample", type_func)            \
    X(temp, "temp", plain)                              \
    X(temporary, "temporary", plain)                    \
    X(then, "then", reserved)                           \
    X(time, "time", col_name)                           \
    X(timestamp, "timestamp", col_name)                 \
    X(to, "to", reserved)                               \
    X(trailing, "trailing", reserved)                   \
    X(transaction, "transaction", plain)                \
    X(treat, "treat", col_name)                         \
    X(trim, "trim", col_name)                           \
    X(true_, "true", reserved)                          \
    X(truncate, "truncate", plain)                      \
    X(uncommitted, "uncommitted", plain)                \
    X(union_, "union", reserved)                        \
    X(unique, "unique", reserved)                       \
    X(unlisten, "unlisten", plain)                      \
    X(update, "update", plain)                          \
    X(user, "user", reserved)                           \
    X(using_, "using", reserved)                        \
    X(vacuum, "vacuum", plain)                          \
    X(values, "values", col_name)                       \
    X(varchar, "varchar", col_name)                     \
    X(variadic, "variadic", reserved)                   \
    X(verbose, "verbose", type_func)                    \
    X(when, "when", reserved)                           \
    X(where, "where", reserved)                         \
    X(window, "window", reserved)                       \
    X(with, "with", reserved)                           \
    X(without, "without", plain)                        \
    X(work, "work", plain)                              \
    X(write, "write", plain)                            \
    X(xml, "xml", plain)                                \
    X(xmlattributes, "xmlattributes", col_name)         \
    X(xmlconcat, "xmlconcat", col_name)                 \
    X(xmlelement, "xmlelement", col_name)               \
    X(xmlexists, "xmlexists", col_name)                 \
    X(xmlforest, "xmlforest", col_name)                 \
    X(xmlnamespaces, "xmlnamespaces", col_name)         \
    X(xmlparse, "xmlparse", col_name)                   \
    X(xmlpi, "xmlpi", col_name)                         \
    X(xmlroot, "xmlroot", col_name)                     \
    X(xmlserialize, "xmlserialize", col_name)           \
    X(xmltable, "xmltable", col_name)                   \
    X(zone, "zone", plain)

enum class Word : std::uint8_t {
    none,
#define KEEL_SQL_WORD(name, text, category) name,
    KEEL_SQL_WORDS(KEEL_SQL_WORD)
#undef KEEL_SQL_WORD
};

// One step of the hash that find_word() wants, over the lower-case bytes from kWordSeed on.
inline constexpr std::uint32_t kWordSeed = 2166136261U;
constexpr std::uint32_t hash_word(std::uint32_t hash, unsigned char lower_case) {
    return (hash ^ lower_case) * 16777619U;
}

// `text` in any case; `hash` of its lower-case bytes.
Word find_word(std::string_view text, std::uint32_t hash);
Category category_of(Word word);

}  // namespace keel::sql
