#include "config/section_reader.h"

namespace keel::config {

namespace {

constexpr std::string_view kS3 = "s3://";

// One of the sections that name a repository: [backup], and each [backup.copies.<name>].
class Section {
  public:
    // `name`: as the reader knows it; `shown`: as people do.
    Section(Reader& reader, std::string name, std::string shown)
        : reader_(reader), name_(std::move(name)), shown_(std::move(shown)) {}

    void read(RepositorySettings& out) {
        reader_.read(name_, "repository", out.repository);
        reader_.read(name_, "encryption_key_file", out.encryption_key_file);
        reader_.read(name_, "s3_endpoint", out.s3_endpoint);
        reader_.read(name_, "s3_region", out.s3_region);
        reader_.read(name_, "s3_credentials_file", out.s3_credentials_file);
        reader_.read(name_, "s3_ca_file", out.s3_ca_file);
        reader_.read_enum(name_, "s3_addressing", out.s3_addressing);
    }

    // `own_directory`: the node's.
    void check(RepositorySettings const& settings, std::string const& own_directory) {
        if (settings.repository.starts_with(kS3))
            check_s3(settings);
        else
            check_directory(settings.repository, own_directory);
        check_path("encryption_key_file", settings.encryption_key_file);
    }

    void check_path(char const* key, std::string const& path) {
        if (!path.empty() && !path.starts_with('/'))
            bad(key, fmt::format("{}.{} = \"{}\" is not an absolute path", shown_, key, path), "begin it with '/'");
    }

    void bad(char const* key, std::string text, std::string mend) {
        reader_.complain(reader_.line(name_, key), std::move(text), std::move(mend));
    }

  private:
    void check_directory(std::string const& repository, std::string const& own_directory) {
        if (!repository.starts_with('/'))
            bad("repository",
                fmt::format("{}.repository = \"{}\" is neither an absolute path nor s3://", shown_, repository),
                "begin it with '/': a directory that every data node sees under the same path; or write "
                "s3://bucket/prefix");
        else if ((repository + "/").starts_with(own_directory + "/"))
            bad("repository", fmt::format("{}.repository lies inside the node's own directory", shown_),
                "name one on other machines' disks: this one would be lost together with the data");
        for (char const* key : {"s3_endpoint", "s3_region", "s3_credentials_file", "s3_ca_file", "s3_addressing"}) {
            if (reader_.has(name_, key))
                bad(key, fmt::format("{}.{} has no meaning for a directory", shown_, key),
                    "take it out, or set repository = \"s3://bucket/prefix\"");
        }
    }

    void check_s3(RepositorySettings const& settings) {
        if (settings.repository.size() == kS3.size() || settings.repository[kS3.size()] == '/')
            bad("repository", shown_ + ".repository names no bucket", "write s3://bucket/prefix");
        if (settings.s3_region.empty())
            bad("s3_region", shown_ + ".s3_region is missing",
                "name the bucket's region, such as eu-central-1; a server of your own has one in its settings, often "
                "us-east-1");
        if (settings.s3_credentials_file.empty())
            bad("s3_credentials_file", shown_ + ".s3_credentials_file is missing",
                "name a file of mode 0600 with the lines aws_access_key_id = ... and aws_secret_access_key = ...");
        auto const& endpoint = settings.s3_endpoint;
        if (!endpoint.empty() && !endpoint.starts_with("https://") && !endpoint.starts_with("http://"))
            bad("s3_endpoint", fmt::format("{}.s3_endpoint = \"{}\" is no URL", shown_, endpoint),
                fmt::format("write https://{}", endpoint));
        check_path("s3_credentials_file", settings.s3_credentials_file);
        check_path("s3_ca_file", settings.s3_ca_file);
    }

    Reader& reader_;
    std::string name_, shown_;
};

void read_copies(Reader& reader, NodeConfig& out) {
    static Keys const keys = {"repository",          "encryption_key_file", "s3_endpoint",  "s3_region",
                              "s3_credentials_file", "s3_ca_file",          "s3_addressing"};
    auto const* const tables = reader.tables("backup", "copies");
    if (tables == nullptr) return;
    auto inner = reader.below(*tables, keys);
    std::set<std::string> taken = {out.backup.repository};
    for (auto const& [key, unused] : *tables) {
        auto& one = out.backup.copies.emplace_back();
        one.name = key.str();
        Section section(inner, one.name, "backup.copies." + one.name);
        section.read(one);
        section.check(one, out.directory);
        if (!is_name(one.name))
            section.bad("repository", fmt::format("\"{}\" is no name of a copy", one.name),
                        "use a-z, 0-9 and '-', a letter first, as in [backup.copies.offsite]");
        if (!taken.insert(one.repository).second)
            section.bad("repository", fmt::format("{} is named twice", one.repository),
                        "a copy needs a place of its own, on other disks");
        if (out.backup.repository.empty())
            section.bad("repository", fmt::format("copy {} is one of nothing: backup.repository is not set", one.name),
                        "set repository in the section [backup]");
    }
}

}  // namespace

void read_repository(Reader& reader, Backup& out) {
    Section(reader, "backup", "backup").read(out);
    reader.read("backup", "scratch", out.scratch);
}

void check_repository(Reader& reader, NodeConfig& out) {
    read_copies(reader, out);
    if (out.backup.repository.empty()) return;
    Section section(reader, "backup", "backup");
    section.check(out.backup, out.directory);
    section.check_path("scratch", out.backup.scratch);
    if (out.kind == cluster::Kind::witness)
        section.bad("repository", "a witness archives nothing",
                    "take the section [backup] out, or set kind = \"data\"");
}

}  // namespace keel::config
