#include "config/section_reader.h"

namespace keel::config {

namespace {

constexpr std::string_view kS3 = "s3://";

void check_directory(Reader& reader, NodeConfig const& out) {
    auto const& repository = out.backup.repository;
    int const line = reader.line("backup", "repository");
    if (!repository.starts_with('/'))
        reader.complain(line,
                        fmt::format("backup.repository = \"{}\" is neither an absolute path nor s3://", repository),
                        "begin it with '/': a directory that every data node sees under the same path; or write "
                        "s3://bucket/prefix");
    else if ((repository + "/").starts_with(out.directory + "/"))
        reader.complain(line, "backup.repository lies inside the node's own directory",
                        "name one on other machines' disks: this one would be lost together with the data");
    for (char const* key : {"s3_endpoint", "s3_region", "s3_credentials_file", "s3_ca_file", "s3_addressing"}) {
        if (reader.has("backup", key))
            reader.complain(reader.line("backup", key), fmt::format("backup.{} has no meaning for a directory", key),
                            "take it out, or set repository = \"s3://bucket/prefix\"");
    }
}

void check_s3(Reader& reader, Backup const& backup) {
    auto const bad = [&](char const* key, std::string text, std::string mend) {
        reader.complain(reader.line("backup", key), std::move(text), std::move(mend));
    };
    if (backup.repository.size() == kS3.size() || backup.repository[kS3.size()] == '/')
        bad("repository", "backup.repository names no bucket", "write s3://bucket/prefix");
    if (backup.s3_region.empty())
        bad("s3_region", "backup.s3_region is missing",
            "name the bucket's region, such as eu-central-1; a server of your own has one in its settings, often "
            "us-east-1");
    if (backup.s3_credentials_file.empty())
        bad("s3_credentials_file", "backup.s3_credentials_file is missing",
            "name a file of mode 0600 with the lines aws_access_key_id = ... and aws_secret_access_key = ...");
    bool const url = backup.s3_endpoint.starts_with("https://") || backup.s3_endpoint.starts_with("http://");
    if (!backup.s3_endpoint.empty() && !url)
        bad("s3_endpoint", fmt::format("backup.s3_endpoint = \"{}\" is no URL", backup.s3_endpoint),
            fmt::format("write https://{}", backup.s3_endpoint));
    for (auto const& [key, path] :
         {std::pair{"s3_credentials_file", &backup.s3_credentials_file}, std::pair{"s3_ca_file", &backup.s3_ca_file}}) {
        if (!path->empty() && !path->starts_with('/'))
            bad(key, fmt::format("backup.{} = \"{}\" is not an absolute path", key, *path), "begin it with '/'");
    }
}

}  // namespace

void read_repository(Reader& reader, Backup& out) {
    reader.read("backup", "repository", out.repository);
    reader.read("backup", "encryption_key_file", out.encryption_key_file);
    reader.read("backup", "scratch", out.scratch);
    reader.read("backup", "s3_endpoint", out.s3_endpoint);
    reader.read("backup", "s3_region", out.s3_region);
    reader.read("backup", "s3_credentials_file", out.s3_credentials_file);
    reader.read("backup", "s3_ca_file", out.s3_ca_file);
    reader.read_enum("backup", "s3_addressing", out.s3_addressing);
}

void check_repository(Reader& reader, NodeConfig const& out) {
    if (out.backup.repository.empty()) return;
    if (out.backup.repository.starts_with(kS3))
        check_s3(reader, out.backup);
    else
        check_directory(reader, out);
    auto const& key_file = out.backup.encryption_key_file;
    if (!key_file.empty() && !key_file.starts_with('/'))
        reader.complain(reader.line("backup", "encryption_key_file"),
                        fmt::format("backup.encryption_key_file = \"{}\" is not an absolute path", key_file),
                        "begin it with '/'");
    if (!out.backup.scratch.empty() && !out.backup.scratch.starts_with('/'))
        reader.complain(reader.line("backup", "scratch"),
                        fmt::format("backup.scratch = \"{}\" is not an absolute path", out.backup.scratch),
                        "begin it with '/'");
    if (out.kind == cluster::Kind::witness)
        reader.complain(reader.line("backup", "repository"), "a witness archives nothing",
                        "take the section [backup] out, or set kind = \"data\"");
}

}  // namespace keel::config
