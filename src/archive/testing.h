// For the tests of this folder: a repository in a directory of its own, and backups in it that have no content.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "archive/repository.h"
#include "runtime/testing.h"

namespace keel::archive::testing {

inline constexpr std::uint64_t kSize = 16U << 20U;

inline Lsn at(std::uint64_t segment, std::uint64_t more = 0) { return Lsn{segment * kSize + more}; }

// Of the system "1"; its own WAL is in segment `segment`.
inline Backup backup_of(std::string label, std::uint64_t segment) {
    Backup out;
    out.label = std::move(label);
    out.system_id = "1";
    out.segment_bytes = kSize;
    out.timeline = out.end_timeline = Timeline{1};
    out.start = at(segment, 40);
    out.end = at(segment, 900);
    return out;
}

class Stored : public ::testing::Test {
  protected:
    Stored() {
        settings_.repository = directory_ / "r";
        std::filesystem::create_directory(settings_.repository);
    }
    Repository open() { return *Repository::open(settings_); }
    bool exists(std::string const& object) const {
        return std::filesystem::exists(settings_.repository + "/" + object);
    }
    void put(std::string const& object, std::string const& text = "x") {
        ASSERT_TRUE(open().objects().put(object, text));
    }
    void put_files(std::string const& label) {
        put("1/backup/" + label + "/base.tar.zst");
        put("1/backup/" + label + "/backup_manifest");
    }
    void put_backup(Backup const& one) {
        put_files(one.label);
        put("1/backup/" + one.label + "/backup.json", json::write(one));
    }
    std::vector<std::string> labels() {
        std::vector<std::string> out;
        for (auto const& one : *open().backups("1")) out.push_back(one.label);
        return out;
    }

    runtime::testing::Directory directory_;
    config::RepositorySettings settings_;
};

}  // namespace keel::archive::testing
