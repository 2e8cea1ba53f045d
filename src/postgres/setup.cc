#include "postgres/setup.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "postgres/access.h"
#include "postgres/control_data.h"
#include "postgres/directory.h"
#include "postgres/job.h"
#include "postgres/names.h"
#include "postgres/process.h"
#include "runtime/files.h"

namespace keel::postgres {

namespace {

constexpr std::uint64_t kSpaceNeeded = 512U << 20U;  // a new cluster and its first WAL
constexpr int kMajorMin = 13;

// One statement per line: the single-user server takes a line as a statement.
std::string role_statements() {
    std::string out;
    out += fmt::format("CREATE ROLE {} LOGIN REPLICATION\n", kReplicator);
    out += fmt::format("CREATE ROLE {} LOGIN\n", kRewinder);
    // pg_rewind's manual, "Notes": exactly these.
    for (auto const* function : {"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)",
                                 "pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)"}) {
        out += fmt::format("GRANT EXECUTE ON FUNCTION pg_catalog.{} TO {}\n", function, kRewinder);
    }
    out += fmt::format("CREATE ROLE {} LOGIN IN ROLE pg_monitor\n", kMonitor);
    return out;
}

std::string access_text(std::string const& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return {};
    return fmt::format("{:o}", status.st_mode & 0777U);
}

void check_programs(Place const& place, std::vector<Error>& out) {
    for (auto const* program : {"postgres", "initdb", "pg_controldata", "pg_rewind", "pg_basebackup", "pg_waldump"}) {
        if (::access(place.binary(program).c_str(), X_OK) == 0) continue;
        auto const others = find_binaries();
        out.push_back({Code::not_found, place.binary(program) + " is missing or not executable",
                       others.empty() ? "install PostgreSQL 13 or newer (Debian: apt-get install postgresql)"
                                      : "set the binaries' directory to " + others.front()});
        return;
    }
}

void check_owner(std::string const& path, std::vector<Error>& out) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return;
    if (status.st_uid != ::geteuid()) {
        out.push_back({Code::denied,
                       fmt::format("{} belongs to user id {}, this process runs as {} (id {})", path, status.st_uid,
                                   os_user(), ::geteuid()),
                       fmt::format("chown -R {} {}", os_user(), path)});
    }
}

void check_data(Place const& place, int major, std::vector<Error>& out) {
    auto const data = place.data();
    auto const version = runtime::read_file(data + "/PG_VERSION", 64);
    if (!version) {
        out.push_back({Code::not_found,
                       data + " is not a PostgreSQL data directory: PG_VERSION: " + version.error().text,
                       "pgkeel init makes a new cluster, pgkeel join a member of an existing one"});
        return;
    }
    if (std::atoi(version->c_str()) != major && major != 0) {
        out.push_back(
            {Code::invalid,
             fmt::format("{} was made by PostgreSQL {}, the binaries in {} are {}", data, std::atoi(version->c_str()),
                         place.binaries, major),
             fmt::format("set the binaries' directory to those of PostgreSQL {}", std::atoi(version->c_str()))});
    }
    check_owner(data, out);
    if (auto const mode = access_text(data); mode != "700" && mode != "750") {
        out.push_back({Code::denied, fmt::format("{} has mode 0{}; PostgreSQL wants 0700 or 0750", data, mode),
                       "chmod 0700 " + data});
    }
}

void check_absent(Place const& place, std::vector<Error>& out) {
    auto const data = place.data();
    // One of somebody else's cannot be looked into: say that, not that it is no cluster.
    auto const known = out.size();
    check_owner(data, out);
    if (out.size() != known) return;
    std::error_code error;
    if (!std::filesystem::exists(data, error) || std::filesystem::is_empty(data, error)) {
        if (error) out.push_back({Code::denied, data + ": " + error.message(), "check its owner and mode"});
        return;
    }
    bool const cluster = runtime::exists(data + "/PG_VERSION");
    out.push_back(
        {Code::conflict,
         data + (cluster ? " already holds a PostgreSQL cluster" : " is not empty, and no PostgreSQL cluster"),
         "choose another --dir, or move it away"});
}

Status make_roles(Place const& place, Bound const& bound) {
    KEEL_TRY(auto const said, run_job({.argv = {place.binary("postgres"), "--single", "-D", place.data(), "-c",
                                                "shared_preload_libraries=", "postgres"},
                                       .input = role_statements()},
                                      bound));
    // The single-user server goes on after an error.
    if (said.find("ERROR:") != std::string::npos || said.find("FATAL:") != std::string::npos) {
        return fail(Code::internal, "creating pgkeel's roles: " + said);
    }
    return {};
}

}  // namespace

std::vector<std::string> find_binaries() {
    std::vector<std::pair<int, std::string>> found;
    for (std::string const root : {"/usr/lib/postgresql", "/usr/pgsql", "/usr/local/pgsql", "/opt/postgresql"}) {
        std::error_code error;
        for (auto const& entry : std::filesystem::directory_iterator(root, error)) {
            Place place;
            place.binaries = entry.path().string() + "/bin";
            if (auto const major = binaries_major(place); major && *major >= kMajorMin)
                found.emplace_back(*major, place.binaries);
        }
    }
    std::ranges::sort(found, std::greater{});
    std::vector<std::string> out;
    for (auto& one : found) out.push_back(std::move(one.second));
    return out;
}

Result<int> binaries_major(Place const& place) {
    KEEL_TRY(auto const text, run_job({.argv = {place.binary("postgres"), "-V"}}, Bound(5s)));
    // "postgres (PostgreSQL) 15.20 (Debian ...)", "... 18beta1"
    auto const at = text.find("(PostgreSQL) ");
    int major = 0;
    if (at != std::string::npos) std::from_chars(text.data() + at + 13, text.data() + text.size(), major);
    if (major == 0) return fail(Code::invalid, place.binary("postgres") + " -V says \"" + text + "\", not a version");
    return major;
}

Status try_parameters(Place const& place, std::map<std::string, std::string> const& parameters) {
    for (auto const& [name, value] : parameters) {
        // -C: parses and ends. Without the directory's own files, whose faults are not what is asked.
        auto const parsed = run_job({.argv = {place.binary("postgres"), "-D", place.data(), "-C", "port", "-c",
                                              "config_file=/dev/null", "-c", name + "=" + value}},
                                    Bound(5s));
        if (parsed || parsed.error().code != Code::unavailable) continue;
        auto const& said = parsed.error().text;
        constexpr std::string_view kMark = "FATAL:  ";
        auto const at = said.find(kMark);
        if (at == std::string::npos) continue;
        auto const from = at + kMark.size();
        return fail(Code::invalid,
                    fmt::format("PostgreSQL refuses {} = {}: {}", name, value,
                                said.substr(from, said.find_first_of("\n\r", from) - from)),
                    "correct it; SELECT name, unit, min_val, max_val, enumvals FROM pg_settings shows what it takes");
    }
    return {};
}

Result<std::string> system_id(Place const& place) {
    KEEL_TRY(auto const control, read_control_data(place, Bound(5s)));
    return control.system_id;
}

std::vector<Error> check_place(Place const& place, bool existing) {
    std::vector<Error> out;
    if (::geteuid() == 0) {
        out.push_back({Code::denied, "PostgreSQL must not run as root", "run pgkeel as the user postgres"});
    }
    check_programs(place, out);
    int major = 0;
    if (out.empty()) {
        if (auto const found = binaries_major(place); !found)
            out.push_back(found.error());
        else if ((major = *found) < kMajorMin) {
            out.push_back({Code::invalid,
                           fmt::format("{} is PostgreSQL {}; pgkeel needs 13 or newer", place.binaries, major),
                           "install a newer PostgreSQL"});
        }
    }
    if (!runtime::exists(place.directory)) {
        out.push_back({Code::not_found, place.directory + " does not exist",
                       fmt::format("mkdir {0} && chown {1} {0}", place.directory, os_user())});
        return out;
    }
    check_owner(place.directory, out);
    // 107 bytes is what sun_path holds; libpq and PostgreSQL append "/.s.PGSQL.<port>".
    if (place.run().size() > 107 - 17) {
        out.push_back({Code::invalid, place.run() + " is too long for a Unix socket", "choose a shorter --dir"});
    }
    if (existing)
        check_data(place, major, out);
    else
        check_absent(place, out);
    if (auto const space = runtime::free_bytes(place.directory); space && *space < kSpaceNeeded && !existing) {
        out.push_back(
            {Code::exhausted,
             fmt::format("{} has {} MB free, {} MB are needed", place.directory, *space >> 20U, kSpaceNeeded >> 20U),
             "make room, or choose another --dir"});
    }
    return out;
}

namespace {

Status check_settings(Settings const& settings) {
    auto wrong = complaints(settings.cluster, "the cluster's settings");
    std::ranges::copy(complaints(settings.node, "[postgres.parameters]"), std::back_inserter(wrong));
    if (wrong.empty()) return {};
    return fail(Code::invalid, fmt::format("{}", fmt::join(wrong, "\n")));
}

// It starts as a standby, and an election makes it the primary.
Result<Made> finish(Place const& place, Settings const& settings, Bound const& bound) {
    KEEL_CHECK(write_configuration(place, place.data(), settings, Wanted{{}, {}, nobody()}));
    KEEL_CHECK(write_standby_signal(place.data()));
    KEEL_TRY(auto const control, read_control_data(place, bound));
    KEEL_TRY(int const major, binaries_major(place));
    return Made{control.system_id, major, control.known_timeline()};
}

}  // namespace

Result<Made> init(Place const& place, Settings const& settings) {
    if (auto wrong = check_place(place, false); !wrong.empty()) return fail(std::move(wrong.front()));
    KEEL_CHECK(check_settings(settings));
    Bound const bound(120s);
    auto make = [&]() -> Result<Made> {
        KEEL_CHECK(run_job(
            {.argv = {place.binary("initdb"), "-D", place.data(), "-U", kSuperuser, "--data-checksums", "-E", "UTF8",
                      "--locale=C.UTF-8", "--lc-messages=C", "--auth-local=peer", "--auth-host=scram-sha-256"}},
            bound));
        KEEL_CHECK(make_roles(place, bound));
        KEEL_CHECK(runtime::write_atomically(place.data() + "/pg_hba.conf", hba_of_new_cluster(), 0600));
        return finish(place, settings, bound);
    };
    auto made = make();
    if (!made) static_cast<void>(remove_tree(place.data()));
    return made;
}

Result<Made> adopt(Place const& place, Settings const& settings) {
    if (auto wrong = check_place(place, true); !wrong.empty()) return fail(std::move(wrong.front()));
    KEEL_CHECK(check_settings(settings));
    Bound const bound(120s);
    KEEL_TRY(auto const control, read_control_data(place, bound));
    if (!control.clean())
        return fail(Code::conflict,
                    fmt::format("{} is of a server that did not end in order ({})", place.data(), control.state),
                    "restore it anew");
    if (!control.checksums)
        return fail(Code::invalid, place.data() + " has no checksums, without which no node can be rewound",
                    "pg_checksums --enable, once it is restored to a directory of its own (pgkeel restore)");
    if (!runtime::exists(place.data() + "/pgkeel.conf"))
        return fail(Code::invalid, place.data() + " is of no cluster that pgkeel made: its roles are not there",
                    "make a new cluster, and bring the data over with pg_dump");
    return finish(place, settings, bound);
}

}  // namespace keel::postgres
