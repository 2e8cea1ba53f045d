#include "archive/repository.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "archive/bytes.h"
#include "runtime/clock.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kEnding = ".zst";

Result<std::vector<std::string>> names_in(std::string const& path) {
    std::error_code error;
    fs::directory_iterator each(path, error);
    std::vector<std::string> out;
    if (error == std::errc::no_such_file_or_directory) return out;
    for (; !error && each != fs::directory_iterator(); each.increment(error))
        out.push_back(each->path().filename().string());
    if (error) return fail(runtime::system_error(error.value(), path));
    std::ranges::sort(out);
    return out;
}

// "<name>-<sha256>.zst"
std::optional<std::pair<std::string, std::string>> parts_of(std::string_view file) {
    if (file.size() < kHashDigits + 1 + kEnding.size() || !file.ends_with(kEnding)) return std::nullopt;
    file.remove_suffix(kEnding.size());
    auto const dash = file.size() - kHashDigits - 1;
    if (file[dash] != '-') return std::nullopt;
    return std::pair(std::string(file.substr(0, dash)), std::string(file.substr(dash + 1)));
}

// The hashes under which something of this name is stored.
Result<std::vector<std::string>> hashes_of(std::string const& directory, std::string const& name) {
    KEEL_TRY(auto const files, names_in(directory));
    std::vector<std::string> out;
    for (auto at = std::ranges::lower_bound(files, name); at != files.end() && at->starts_with(name); ++at) {
        auto const parts = parts_of(*at);
        if (parts && parts->first == name) out.push_back(parts->second);
    }
    return out;
}

// link() and not rename(): an existing file stays.
Status create_only(std::string const& path, std::string const& bytes) {
    auto const fresh = path + "." + runtime::random_hex(6) + ".new";
    KEEL_CHECK(runtime::write_atomically(fresh, bytes, 0640));
    int const linked = ::link(fresh.c_str(), path.c_str());
    int const why = errno;
    ::unlink(fresh.c_str());
    if (linked != 0 && why != EEXIST) return fail(runtime::system_error(why, path));
    return runtime::fsync_directory(fs::path(path).parent_path().string());
}

}  // namespace

Result<Repository> Repository::open(std::string const& path) {
    std::error_code error;
    if (!fs::is_directory(path, error))
        return fail(Code::not_found, "the repository " + path + " is no directory",
                    "mount or create it, writable for the node's user, or correct backup.repository in node.toml");
    if (::access(path.c_str(), W_OK | X_OK) != 0)
        return fail(Code::denied, "the repository " + path + " is not writable", "give it to the node's user");
    return Repository(path);
}

Result<std::vector<std::string>> Repository::systems() const {
    KEEL_TRY(auto names, names_in(path_));
    std::erase_if(names, [](std::string const& one) {
        return one.empty() || one.find_first_not_of("0123456789") != std::string::npos;
    });
    return names;
}

Status Repository::put_wal(std::string const& system, std::string const& name, std::string_view bytes) const {
    auto const directory = wal_path(system);
    KEEL_CHECK(runtime::ensure_directory(directory, 0750));
    auto const hash = sha256_hex(bytes);
    KEEL_TRY(auto const present, hashes_of(directory, name));
    if (std::ranges::find(present, hash) == present.end()) {
        KEEL_TRY(auto const packed, compress(bytes));
        KEEL_CHECK(create_only(fmt::format("{}/{}-{}{}", directory, name, hash, kEnding), packed));
    }
    if (std::ranges::all_of(present, [&](auto const& one) { return one == hash; })) return {};
    return fail(Code::conflict, fmt::format("{} is in the repository already, with other content; both are kept", name),
                "two servers wrote the same WAL: find out which one is right (pgkeel history), and move the other "
                "file away");
}

Result<std::string> Repository::get_wal(std::string const& system, std::string const& name, std::size_t most) const {
    KEEL_TRY(auto const present, hashes_of(wal_path(system), name));
    if (present.empty()) {
        // A repository that is not mounted looks empty, and "absent" would end a recovery as if it were done.
        if (!runtime::exists(wal_path(system)))
            return fail(Code::unavailable, wal_path(system) + " is not there", "mount the repository");
        return fail(Code::not_found, name + " is not in the repository");
    }
    if (present.size() > 1) return fail(Code::conflict, name + " is in the repository with two contents");
    KEEL_TRY(
        auto const packed,
        runtime::read_file(fmt::format("{}/{}-{}{}", wal_path(system), name, present[0], kEnding), most + (1U << 20U)));
    auto bytes = decompress(packed, most);
    if (!bytes || sha256_hex(*bytes) != present[0])
        return fail(Code::corrupt, name + " in the repository is not what was stored",
                    "its disk or somebody has changed it: bring the file back from a copy of the repository");
    return bytes;
}

Result<std::string> Repository::get_tail(std::string const& system, std::string const& name, std::size_t most) const {
    return runtime::read_file(tail_path(system) + "/" + name, most);
}

Lineage Repository::Listing::highest() const {
    return *std::ranges::max_element(lineages, {}, [](Lineage const& one) { return one.timeline; });
}

Lineage Repository::Listing::newest() const {
    std::set<Timeline> present;
    for (auto const& id : segments) present.insert(id.timeline);
    for (auto const& [id, size] : tails) present.insert(id.timeline);
    Lineage out{Timeline{1}, {}};
    for (auto const& one : lineages) {
        if (one.timeline >= out.timeline && present.contains(one.timeline)) out = one;
    }
    return out;
}

Holdings Repository::Listing::holdings(std::uint64_t segment_bytes, Lineage const& lineage) const {
    Holdings out{segment_bytes, segments, {}};
    Lsn fork{~std::uint64_t{0}};
    for (auto const& ancestor : highest().history) {
        if (ancestor.timeline == lineage.timeline) fork = ancestor.until;
    }
    for (auto const& [id, size] : tails) {
        Lsn const start{id.number * segment_bytes};
        if (id.timeline == lineage.timeline && start < fork) out.tail = {id, std::min(size, fork.value - start.value)};
    }
    std::erase_if(out.segments, [&](SegmentId const& id) {
        return id.timeline == lineage.timeline && (id.number + 1) * segment_bytes > fork.value;
    });
    return out;
}

Result<Repository::Listing> Repository::list(std::string const& system, std::uint64_t segment_bytes) const {
    Listing out;
    out.lineages.push_back({Timeline{1}, {}});
    KEEL_TRY(auto const files, names_in(wal_path(system)));
    for (auto const& file : files) {
        auto const parts = parts_of(file);
        if (!parts) continue;
        if (auto const id = parse_segment_name(parts->first, segment_bytes)) {
            out.segments.insert(*id);
        } else if (parts->first.ends_with(".history")) {
            KEEL_TRY(auto const text, get_wal(system, parts->first, 1U << 20U));
            KEEL_TRY(auto history, postgres::parse_history(text));
            auto const number = std::strtoul(parts->first.substr(0, 8).c_str(), nullptr, 16);
            out.lineages.push_back({Timeline{static_cast<std::uint32_t>(number)}, std::move(history)});
        }
    }
    KEEL_TRY(auto const tails, names_in(tail_path(system)));
    for (auto const& name : tails) {
        auto const id = parse_segment_name(name, segment_bytes);
        std::error_code error;
        auto const size = fs::file_size(tail_path(system) + "/" + name, error);
        if (id && !error) out.tails[*id] = std::min<std::uint64_t>(size, segment_bytes);
    }
    return out;
}

Result<std::vector<Backup>> Repository::backups(std::string const& system) const {
    KEEL_TRY(auto const labels, names_in(backup_path(system)));
    std::vector<Backup> out;
    for (auto const& label : labels) {
        if (label.ends_with(".new")) continue;
        KEEL_TRY(auto const text, runtime::read_file(backup_path(system, label) + "/backup.json", 1U << 20U));
        auto one = parse_backup(text);
        if (!one || one->label != label || one->system_id != system)
            return fail(Code::corrupt, backup_path(system, label) + "/backup.json is not of this backup",
                        "bring the file back from a copy of the repository, or move the backup away");
        out.push_back(std::move(*one));
    }
    std::ranges::sort(out, {}, [](Backup const& one) { return one.end; });
    return out;
}

Result<Records> records_at_end(Repository const& repository, std::string const& system, Origin const& origin,
                               Lineage const& lineage, Range const& range) {
    constexpr int kSegmentsMost = 64;
    auto const size = origin.segment_bytes;
    Records out;
    std::string behind;  // the segment after the one that is read
    auto number = (range.to.value - 1) / size;
    for (int i = 0; i < kSegmentsMost && number * size >= range.from.value; ++i, --number) {
        auto const name = postgres::segment_name(owner_of_segment(lineage, number, size), number, size);
        bool const whole = (number + 1) * size <= range.to.value;
        KEEL_TRY(auto bytes, whole ? repository.get_wal(system, name, size) : repository.get_tail(system, name, size));
        // One that grew since has more than the range, never less.
        if (!whole) bytes.resize(std::min<std::uint64_t>(bytes.size(), range.to.value - number * size));
        auto const found = scan_records(origin, Lsn{number * size}, bytes + behind);
        if (!out.last) out.last = found.last;
        if (!out.last_commit_us) out.last_commit_us = found.last_commit_us;
        if ((out.last && out.last_commit_us) || number == 0) break;
        behind = out.last ? std::string() : std::move(bytes) + behind;
    }
    return out;
}

}  // namespace keel::archive
