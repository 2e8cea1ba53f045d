#include "archive/directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "runtime/clock.h"
#include "runtime/files.h"

namespace keel::archive {

namespace {

namespace fs = std::filesystem;
constexpr std::string_view kUnfinished = ".new";

std::string parent_of(std::string const& path) { return fs::path(path).parent_path().string(); }

// A directory that is not there is empty: another process may remove it at any moment.
Result<std::vector<fs::directory_entry>> entries_of(std::string const& path) {
    std::error_code error;
    std::vector<fs::directory_entry> out;
    fs::directory_iterator each(path, error);
    for (; !error && each != fs::directory_iterator(); each.increment(error)) out.push_back(*each);
    if (error && error != std::errc::no_such_file_or_directory) return fail(runtime::system_error(error.value(), path));
    return out;
}

// A file under a name of its own, which gets its real one when it is whole and on the disk.
class FileUpload final : public Upload {
  public:
    FileUpload(std::string path, bool replaces)
        : path_(std::move(path)),
          fresh_(path_ + "." + runtime::random_hex(6) + std::string(kUnfinished)),
          replaces_(replaces) {}
    ~FileUpload() override {
        if (file_ < 0) return;
        ::close(file_);
        ::unlink(fresh_.c_str());
    }
    Status begin() {
        file_ = ::open(fresh_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (file_ < 0 && errno == ENOENT) {
            KEEL_CHECK(runtime::ensure_directory(parent_of(path_), 0750));
            KEEL_CHECK(runtime::fsync_directory(parent_of(parent_of(path_))));
            file_ = ::open(fresh_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        }
        if (file_ < 0) return fail(runtime::system_error(errno, fresh_));
        return {};
    }
    Status add(std::string_view bytes) override {
        while (!bytes.empty()) {
            auto const done = ::write(file_, bytes.data(), bytes.size());
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return fail(runtime::system_error(errno, path_));
            bytes.remove_prefix(static_cast<std::size_t>(done));
        }
        return {};
    }
    Status finish() override {
        if (::fsync(file_) != 0) return fail(runtime::system_error(errno, path_));
        // link(): an existing file stays.
        int const named = replaces_ ? ::rename(fresh_.c_str(), path_.c_str()) : ::link(fresh_.c_str(), path_.c_str());
        int const why = errno;
        ::close(std::exchange(file_, -1));
        if (!replaces_ || named != 0) ::unlink(fresh_.c_str());
        if (named != 0 && why == EEXIST) return fail(Code::conflict, path_ + " exists already");
        if (named != 0) return fail(runtime::system_error(why, path_));
        return runtime::fsync_directory(parent_of(path_));
    }

  private:
    std::string path_, fresh_;
    bool replaces_;
    int file_ = -1;
};

Status store(std::string const& path, std::string_view bytes, bool replaces) {
    FileUpload file(path, replaces);
    KEEL_CHECK(file.begin());
    KEEL_CHECK(file.add(bytes));
    return file.finish();
}

Status collect(std::string const& directory, std::string const& name, std::string const& prefix,
               std::vector<std::string>& out) {
    KEEL_TRY(auto const entries, entries_of(directory));
    for (auto const& one : entries) {
        auto const file = one.path().filename().string();
        auto const full = name + file;
        std::error_code gone;
        bool const folder = one.is_directory(gone);
        bool const wanted = full.starts_with(prefix) || (folder && prefix.starts_with(full + "/"));
        if (!wanted || file.ends_with(kUnfinished)) continue;
        if (!folder) out.push_back(full);
        if (folder) KEEL_CHECK(collect(directory + "/" + file, full + "/", prefix, out));
    }
    return {};
}

}  // namespace

Result<std::shared_ptr<Objects const>> Directory::open(std::string const& path) {
    std::error_code error;
    if (!fs::is_directory(path, error))
        return fail(Code::not_found, "the repository " + path + " is no directory",
                    "mount or create it, writable for the node's user, or correct backup.repository in node.toml");
    if (::access(path.c_str(), W_OK | X_OK) != 0)
        return fail(Code::denied, "the repository " + path + " is not writable", "give it to the node's user");
    return std::shared_ptr<Objects const>(new Directory(path));
}

Result<std::vector<std::string>> Directory::list(std::string const& prefix) const {
    auto const slash = prefix.rfind('/');
    auto const folder = slash == std::string::npos ? std::string() : prefix.substr(0, slash + 1);
    std::vector<std::string> out;
    KEEL_CHECK(collect(path_ + "/" + folder, folder, prefix, out));
    std::ranges::sort(out);
    return out;
}

Result<std::vector<std::string>> Directory::folders(std::string const& prefix) const {
    KEEL_TRY(auto const entries, entries_of(path_ + "/" + prefix));
    std::vector<std::string> out;
    std::error_code gone;
    for (auto const& one : entries)
        if (one.is_directory(gone)) out.push_back(one.path().filename().string());
    std::ranges::sort(out);
    return out;
}

Status Directory::read(std::string const& name, Bytes const& sink) const {
    auto const path = where(name);
    int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail(runtime::system_error(errno, path));
    std::unique_ptr<int const, decltype([](int const* one) { ::close(*one); })> const owner(&file);
    std::string room(1U << 20U, '\0');
    for (;;) {
        auto const size = ::read(file, room.data(), room.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail(runtime::system_error(errno, path));
        if (size == 0) return {};
        KEEL_CHECK(sink(std::string_view(room.data(), static_cast<std::size_t>(size))));
    }
}

Status Directory::put(std::string const& name, std::string_view bytes) const { return store(where(name), bytes, true); }

Status Directory::create(std::string const& name, std::string_view bytes) const {
    return store(where(name), bytes, false);
}

Result<std::unique_ptr<Upload>> Directory::upload(std::string const& name, std::uint64_t) const {
    auto out = std::make_unique<FileUpload>(where(name), true);
    KEEL_CHECK(out->begin());
    return out;
}

Status Directory::remove(std::string const& name) const { return runtime::remove_durably(where(name)); }

Status Directory::remove_all(std::string const& prefix) const {
    std::error_code error;
    fs::remove_all(where(prefix.substr(0, prefix.rfind('/'))), error);
    if (error && error != std::errc::no_such_file_or_directory)
        return fail(runtime::system_error(error.value(), where(prefix)));
    return {};
}

}  // namespace keel::archive
