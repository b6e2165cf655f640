// Plugin disk_usage: the file systems the server uses, read by the program (src/host).
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column bytes(std::string_view name, std::string_view help) {
    return gauge(name, kInt64, "bytes", "", help);
}
constexpr Column inodes(std::string_view name, std::string_view help) {
    return gauge(name, kInt64, "inodes", "", help);
}

constexpr Column kFilesystems[] = {
    key("mount", kText, "", "where it is mounted"),
    label("device", kText, "", "what is mounted: a block device, a share, a name"),
    label("fs_type", kText, "", "kind of file system"),
    label("uses", kText, "",
          "what the server has there: data, wal, log, temporary, tablespace NAME; by comma"),
    label("read_only", kBool, "", "whether it is mounted read-only"),
    bytes("total_bytes", "size"),
    bytes("free_bytes", "free, what is reserved for root included"),
    bytes("available_bytes", "free for the server"),
    inodes("inodes_total", "inodes; null where the file system has no fixed number"),
    inodes("inodes_free", "free inodes"),
    inodes("inodes_available", "free inodes for the server"),
};

constexpr Rowset kRowsets[] = {
    {"disk_usage",
     "filesystems",
     Scope::kHost,
     0,
     {},
     kFilesystems,
     "file systems that hold data, WAL, tablespaces, temporary files or logs of the server"},
};

}  // namespace

std::span<const Rowset> disk_usage() { return kRowsets; }

}  // namespace pganalytics::parts
