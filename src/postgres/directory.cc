#include "postgres/directory.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "postgres/access.h"
#include "postgres/gate.h"
#include "postgres/preload.h"
#include "runtime/files.h"

namespace keel::postgres {

namespace {

constexpr std::size_t kFileMax = 4U << 20U;

// Replaced at once, but not synced.
Status write_quickly(std::string const& path, std::string_view text) {
    std::string const beside = path + ".pgkeel";
    {
        std::ofstream out(beside, std::ios::binary | std::ios::trunc);
        out.write(text.data(), static_cast<std::streamsize>(text.size()));
        out.close();
        if (!out) return fail(runtime::system_error(errno, beside));
    }
    if (::chmod(beside.c_str(), 0600) != 0 || ::rename(beside.c_str(), path.c_str()) != 0) {
        return fail(runtime::system_error(errno, path));
    }
    return {};
}

// Writes only what differs: no fsync for the usual start.
template <class Change>
Status rewrite(std::string const& path, Change change) {
    auto const before = runtime::read_file(path, kFileMax);
    if (!before && before.error().code != Code::not_found) return fail(before.error());
    std::string const after = change(before ? *before : std::string{});
    if (before && after == *before) return {};
    return runtime::write_atomically(path, after, 0600);
}

// The parameters of the extension among the node's own. The user's libraries stay: those of the settings, else those of
// postgresql.conf.
Settings with_fence(Place const& place, std::string const& data, Settings settings) {
    if (settings.extension.empty()) return settings;
    std::string libraries;
    if (auto const text = runtime::read_file(data + "/postgresql.conf", kFileMax)) libraries = libraries_of(*text);
    for (auto const* users : {&settings.cluster, &settings.node}) {
        if (auto const one = users->find("shared_preload_libraries"); one != users->end()) libraries = one->second;
    }
    settings.node["shared_preload_libraries"] = with_extension(libraries, settings.extension);
    settings.node["pgkeel.gate_file"] = Gate::path_of(place.directory);
    return settings;
}

}  // namespace

std::string os_user() {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
        return found->pw_name;
    return std::to_string(::geteuid());
}

Status write_wanted(Place const& place, std::string const& data, Settings const& settings, Wanted const& wanted) {
    return write_quickly(data + "/pgkeel.conf", render_conf(place, with_fence(place, data, settings), wanted));
}

Wanted read_wanted(Place const& place) {
    auto const text = runtime::read_file(place.data() + "/pgkeel.conf", kFileMax);
    return text ? parse_written(*text) : Wanted{};
}

std::string with_ident(Place const& place, Settings const& settings, std::string const& text) {
    auto members = settings.members;
    members.insert(place.id);
    return with_block(text, ident_block(os_user(), members, settings.proxied));
}

Result<std::vector<std::string>> write_configuration(Place const& place, std::string const& data,
                                                     Settings const& settings, Wanted const& wanted) {
    std::vector<std::string> removed;
    KEEL_CHECK(rewrite(data + "/postgresql.auto.conf", [&](std::string const& text) {
        std::string cleaned = without_owned(text, removed);
        return auto_conf_with_extension(removed.empty() ? text : cleaned, settings.extension);
    }));
    KEEL_CHECK(rewrite(data + "/pgkeel_defaults.conf", [&](auto const&) { return render_defaults(place); }));
    auto const fenced = with_fence(place, data, settings);
    KEEL_CHECK(rewrite(data + "/pgkeel.conf", [&](auto const&) { return render_conf(place, fenced, wanted); }));
    KEEL_CHECK(rewrite(data + "/postgresql.conf", with_include));
    KEEL_CHECK(rewrite(data + "/pg_hba.conf", [](std::string const& text) { return with_block(text, hba_block()); }));
    KEEL_CHECK(
        rewrite(data + "/pg_ident.conf", [&](std::string const& text) { return with_ident(place, settings, text); }));
    std::vector<std::string> warnings;
    for (auto const& name : removed) {
        warnings.push_back(fmt::format("ALTER SYSTEM SET {} was undone: this parameter is set by pgkeel", name));
    }
    return warnings;
}

Status write_standby_signal(std::string const& data) {
    if (!runtime::exists(data + "/standby.signal")) {
        KEEL_CHECK(runtime::write_atomically(data + "/standby.signal", "", 0600));
    }
    if (runtime::exists(data + "/recovery.signal")) KEEL_CHECK(runtime::remove_durably(data + "/recovery.signal"));
    return {};
}

UserFiles read_user_files(std::string const& data) {
    UserFiles out;
    for (auto const* name : {"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"}) {
        if (auto text = runtime::read_file(data + "/" + name, kFileMax)) out.files.emplace_back(name, *std::move(text));
    }
    return out;
}

Status write_user_files(std::string const& data, UserFiles const& kept) {
    for (auto const& [name, text] : kept.files) KEEL_CHECK(runtime::write_atomically(data + "/" + name, text, 0600));
    return {};
}

Status set_marker(Place const& place, std::string const& what) {
    return runtime::write_atomically(place.marker(), what + "\n", 0600);
}

Status clear_marker(Place const& place) { return runtime::remove_durably(place.marker()); }

std::string read_marker(Place const& place) {
    auto text = runtime::read_file(place.marker(), 4096);
    if (!text) return text.error().code == Code::not_found ? std::string{} : "unreadable marker " + place.marker();
    while (!text->empty() && text->back() == '\n') text->pop_back();
    return text->empty() ? "unfinished work" : *text;
}

Status remove_tree(std::string const& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return fail(Code::unavailable, path + ": cannot remove: " + error.message());
    return {};
}

}  // namespace keel::postgres
