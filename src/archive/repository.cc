#include "archive/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "archive/bytes.h"
#include "archive/directory.h"
#include "archive/sealed.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kFolderDigits = 16;  // of a segment's name: 256 segments of 16 MiB
constexpr std::size_t kSmall = 1U << 20U;
constexpr int kTailTries = 10;
// Half the processor time of level 3, for WAL that is a twentieth longer.
constexpr int kWalLevel = 1;
constexpr std::string_view kEnding = ".zst";

std::string_view file_of(std::string_view object) { return object.substr(object.rfind('/') + 1); }

// "<name>-<sha256>.zst"
std::optional<std::pair<std::string, std::string>> parts_of(std::string_view file) {
    if (file.size() < kHashDigits + 1 + kEnding.size() || !file.ends_with(kEnding)) return std::nullopt;
    file.remove_suffix(kEnding.size());
    auto const dash = file.size() - kHashDigits - 1;
    if (file[dash] != '-') return std::nullopt;
    return std::pair(std::string(file.substr(0, dash)), std::string(file.substr(dash + 1)));
}

std::string wal_object(std::string const& system, std::string const& name) {
    auto const folder = name.find('.') == std::string::npos ? name.substr(0, kFolderDigits) + "/" : std::string();
    return system + "/wal/" + folder + name;
}

// The hashes under which something of this name is stored.
Result<std::vector<std::string>> hashes_of(Objects const& objects, std::string const& system, std::string const& name) {
    KEEL_TRY(auto const found, objects.list(wal_object(system, name) + "-"));
    std::vector<std::string> out;
    for (auto const& object : found) {
        auto const parts = parts_of(file_of(object));
        if (parts && parts->first == name) out.push_back(parts->second);
    }
    return out;
}

Error altered(std::string const& what) {
    return {Code::corrupt, what + " in the repository is not what was stored",
            "its disk or somebody has changed it: bring it back from a copy of the repository"};
}

std::string of_another(std::string const& object, std::string_view owner) {
    return fmt::format("the repository holds the archive of another cluster (its owner, in {}, is {})", object,
                       owner.substr(0, owner.find('\n')));
}

Error is_gone(std::string const& owner, std::string const& memory) {
    return {
        Code::unavailable, owner + " is gone, though this node has archived there before: nothing is stored",
        fmt::format("is the file system mounted? If the repository was emptied on purpose: rm {}, and take a backup "
                    "(pgkeel backup create)",
                    memory)};
}

}  // namespace

Result<Repository> Repository::open(config::RepositorySettings const& settings, Patience patience) {
    bool const s3 = is_s3(settings.repository);
    KEEL_TRY(auto objects, s3 ? S3::open(settings, std::move(patience)) : Directory::open(settings.repository));
    KEEL_TRY(objects, Sealed::over(std::move(objects), settings.encryption_key_file));
    Repository out(std::move(objects));
    if (s3) out.pace_ = {500ms, 30s, 1s};
    return out;
}

Result<std::vector<std::string>> Repository::systems() const {
    KEEL_TRY(auto names, objects_->folders(""));
    std::erase_if(names, [](std::string const& one) { return !is_system_id(one); });
    return names;
}

Status Repository::claim(std::string const& system, std::string const& cluster_id, std::string const& memory) const {
    auto const object = system + "/owner";
    auto const line = objects_->where(object) + "\n";
    auto seen = runtime::exists(memory) ? runtime::read_file(memory, kSmall) : Result<std::string>("");
    KEEL_CHECK(seen);
    bool const known = ("\n" + *seen).find("\n" + line) != std::string::npos;
    auto owner = objects_->get(object, kSmall);
    if (!owner && owner.error().code == Code::not_found && known) {
        // Somebody may take the owner away on purpose; the archive is there all the same.
        KEEL_TRY(auto const there, systems());
        if (std::ranges::find(there, system) == there.end()) return fail(is_gone(objects_->where(object), memory));
    }
    if (!owner && owner.error().code == Code::not_found) {
        auto const made = objects_->create(object, cluster_id + "\n");
        if (!made && made.error().code != Code::conflict) return fail(made.error());
        owner = objects_->get(object, kSmall);
    }
    KEEL_CHECK(owner);
    if (*owner == cluster_id + "\n" && known) return {};
    if (*owner == cluster_id + "\n") return runtime::write_atomically(memory, *seen + line, 0600);
    return fail(Code::conflict, of_another(objects_->where(object), *owner),
                "a restored copy needs a repository of its own: name another directory or prefix in "
                "backup.repository. If the other cluster is gone for good and this one is to go on with its archive, "
                "remove that object");
}

Status Repository::check_owner(std::string const& system, std::string const& cluster_id) const {
    auto const object = system + "/owner";
    auto const owner = objects_->get(object, kSmall);
    if (!owner && owner.error().code == Code::not_found)
        return fail(
            Code::conflict, "the repository's archive has no owner: " + objects_->where(object) + " is not there",
            "is the archiver of the primary at work? It makes the archive its cluster's; its node's log says why "
            "not");
    KEEL_CHECK(owner);
    if (*owner == cluster_id + "\n") return {};
    return fail(Code::conflict, of_another(objects_->where(object), *owner),
                "run it on a node of that cluster. If that is gone for good, name what is meant with both --repository "
                "and --system");
}

Status Repository::put_wal(std::string const& system, std::string const& name, std::string_view bytes) const {
    KEEL_TRY(auto present, find_wal(system, name));
    KEEL_TRY(auto const packed, pack_wal(name, bytes, std::move(present)));
    return store_wal(system, packed);
}

Result<std::vector<std::string>> Repository::find_wal(std::string const& system, std::string const& name) const {
    return hashes_of(*objects_, system, name);
}

Result<Repository::PackedWal> Repository::pack_wal(std::string const& name, std::string_view bytes,
                                                   std::vector<std::string> present) const {
    PackedWal out{name, objects_->fingerprint(bytes), {}, std::move(present)};
    if (std::ranges::find(out.present, out.hash) == out.present.end()) {
        KEEL_TRY(out.bytes, compress(bytes, kWalLevel));
    }
    return out;
}

Status Repository::store_wal(std::string const& system, PackedWal const& packed) const {
    auto const& [name, hash, bytes, present] = packed;
    if (std::ranges::find(present, hash) == present.end())
        KEEL_CHECK(objects_->put(fmt::format("{}-{}{}", wal_object(system, name), hash, kEnding), bytes));
    if (std::ranges::all_of(present, [&](auto const& one) { return one == hash; })) return {};
    return fail(Code::conflict, fmt::format("{} is in the repository already, with other content; both are kept", name),
                "two servers wrote the same WAL: find out which one is right (pgkeel history), and move the other "
                "file away");
}

Result<std::string> Repository::unpack(std::string const& object, std::string const& hash, std::size_t most) const {
    KEEL_TRY(auto const packed, objects_->get(object, most + kSmall));
    auto bytes = decompress(packed, most);
    if (!bytes || objects_->fingerprint(*bytes) != hash) return fail(altered(objects_->where(object)));
    return bytes;
}

Result<std::string> Repository::get_wal(std::string const& system, std::string const& name, std::size_t most) const {
    KEEL_TRY(auto const present, hashes_of(*objects_, system, name));
    if (present.empty()) {
        // A repository that is not mounted looks empty, and "absent" would end a recovery as if it were done.
        KEEL_TRY(auto const folders, objects_->folders(system + "/"));
        if (std::ranges::find(folders, "wal") == folders.end())
            return fail(Code::unavailable, objects_->where(system + "/wal") + " is not there", "mount the repository");
        return fail(Code::not_found, name + " is not in the repository");
    }
    if (present.size() > 1) return fail(Code::conflict, name + " is in the repository with two contents");
    return unpack(fmt::format("{}-{}{}", wal_object(system, name), present[0], kEnding), present[0], most);
}

Result<std::vector<TailPiece>> Repository::tail_pieces(std::string const& system, std::string const& name) const {
    KEEL_TRY(auto const found, objects_->list(system + "/tail/" + name + "/"));
    std::vector<TailPiece> out;
    for (auto const& object : found)
        if (auto piece = parse_tail_piece(file_of(object))) out.push_back(std::move(*piece));
    return out;
}

Result<std::string> Repository::get_tail(std::string const& system, std::string const& name, std::size_t most) const {
    for (int i = 1;; ++i) {
        auto bytes = join_tail(system, name, most);
        // Pieces are replaced by longer ones while somebody reads.
        if (bytes || bytes.error().code != Code::not_found || i == kTailTries) return bytes;
        KEEL_TRY(auto const pieces, tail_pieces(system, name));
        if (pieces.empty()) return bytes;
    }
}

Result<std::string> Repository::join_tail(std::string const& system, std::string const& name, std::size_t most) const {
    KEEL_TRY(auto pieces, tail_pieces(system, name));
    std::string out;
    for (auto const& one : chain_of(std::move(pieces))) {
        if (one.to > most) return fail(Code::exhausted, name + " is longer than it may be");
        KEEL_TRY(auto const bytes,
                 unpack(system + "/tail/" + name + "/" + tail_piece_name(one), one.sha256, one.to - one.from));
        auto const shared = out.size() - one.from;
        if (std::string_view(out).substr(one.from) != std::string_view(bytes).substr(0, shared))
            return fail(Code::conflict, "the beginning of " + name + " is in the repository with two contents");
        out += std::string_view(bytes).substr(shared);
    }
    if (out.empty()) return fail(Code::not_found, name + " is not in the repository");
    return out;
}

Status Repository::put_tail(std::string const& system, std::string const& name, std::string_view bytes,
                            std::size_t from) const {
    std::vector<TailPiece> before;
    if (from == 0) {
        KEEL_TRY(before, tail_pieces(system, name));
    }
    auto const fresh = bytes.substr(from);
    TailPiece const piece{from, bytes.size(), objects_->fingerprint(fresh)};
    KEEL_TRY(auto const packed, compress(fresh, kWalLevel));
    auto const folder = system + "/tail/" + name + "/";
    KEEL_CHECK(objects_->put(folder + tail_piece_name(piece), packed));
    for (auto const& one : before)
        if (one.to <= piece.to && one != piece) KEEL_CHECK(objects_->remove(folder + tail_piece_name(one)));
    return {};
}

Status Repository::remove_tail(std::string const& system, std::string const& name) const {
    return objects_->remove_all(system + "/tail/" + name + "/");
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

Status Repository::add_history(std::string const& object, std::string const& hash, Listing& out) const {
    auto const number = std::strtoul(std::string(file_of(object).substr(0, 8)).c_str(), nullptr, 16);
    Timeline const timeline{static_cast<std::uint32_t>(number)};
    if (std::ranges::find(out.lineages, timeline, &Lineage::timeline) != out.lineages.end())
        return fail(Code::conflict,
                    fmt::format("the history of timeline {} is in the repository with two contents", number));
    if (!histories_->contains(object)) {
        KEEL_TRY(auto const text, unpack(object, hash, kSmall));
        KEEL_TRY((*histories_)[object], postgres::parse_history(text));
    }
    out.lineages.push_back({timeline, histories_->at(object)});
    return {};
}

Result<Repository::Listing> Repository::list(std::string const& system, std::uint64_t segment_bytes) const {
    Listing out;
    out.lineages.push_back({Timeline{1}, {}});
    // The tails first: a segment that is completed meanwhile is in both lists, and not in neither.
    KEEL_TRY(auto const tails, objects_->list(system + "/tail/"));
    KEEL_TRY(auto const objects, objects_->list(system + "/wal/"));
    for (auto const& object : objects) {
        auto const parts = parts_of(file_of(object));
        if (!parts) continue;
        if (auto const id = parse_segment_name(parts->first, segment_bytes)) {
            out.segments.insert(*id);
        } else if (parts->first.ends_with(".history")) {
            KEEL_CHECK(add_history(object, parts->second, out));
        }
    }
    std::map<SegmentId, std::vector<TailPiece>> pieces;
    for (auto const& object : tails) {
        auto const folder = std::string_view(object).substr(0, object.rfind('/'));
        auto const id = parse_segment_name(file_of(folder), segment_bytes);
        auto piece = parse_tail_piece(file_of(object));
        if (id && piece) pieces[*id].push_back(std::move(*piece));
    }
    for (auto& [id, each] : pieces) {
        auto const chain = chain_of(std::move(each));
        if (!chain.empty()) out.tails[id] = std::min(chain.back().to, segment_bytes);
    }
    return out;
}

Result<std::vector<Backup>> Repository::backups(std::string const& system) const {
    KEEL_TRY(auto const labels, objects_->folders(system + "/backup/"));
    std::vector<Backup> out;
    for (auto const& label : labels) {
        auto const object = backup_object(system, label, "backup.json");
        auto const text = objects_->get(object, kSmall);
        if (!text && text.error().code == Code::not_found) continue;
        KEEL_CHECK(text);
        auto one = parse_backup(*text);
        if (!one || one->label != label || one->system_id != system)
            return fail(Code::corrupt, objects_->where(object) + " is not of this backup",
                        "bring the file back from a copy of the repository, or move the backup away");
        out.push_back(std::move(*one));
    }
    std::ranges::sort(out, {}, [](Backup const& one) { return one.end; });
    return out;
}

Status Repository::remove_backup(std::string const& system, std::string const& label) const {
    KEEL_CHECK(objects_->remove(backup_object(system, label, "backup.json")));
    KEEL_TRY(auto const names, objects_->list(backup_object(system, label, "")));
    for (auto const& name : names)
        if (file_of(name) != kHidden) KEEL_CHECK(objects_->remove(name));
    return objects_->remove_all(backup_object(system, label, ""));
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
        auto read = whole ? repository.get_wal(system, name, size) : repository.get_tail(system, name, size);
        // It has been completed since the list was made.
        if (!read && !whole && read.error().code == Code::not_found) read = repository.get_wal(system, name, size);
        KEEL_TRY(auto bytes, std::move(read));
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
