// Which files the relations of each database have, as visitors told last, so that their sizes can
// be asked for again without a visit: while the catalogs are as they were, nobody else brings them
// (core/change_marks.hpp). Runs in `pganalytics ship`.
//
//   a visitor's rows --keep()--> measured --touch(): rows were written or read--> due after 15
//   minutes --take_due()--> measured
//
// A file that is not there any more belongs to a relation that was written anew; the collector sees
// that too, and its visitor brings another list.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace pganalytics::ship {

struct FileList {
    uint32_t datid = 0;
    std::string datname;
    std::shared_ptr<const std::string> rows;  // without sizes, as they came (row_format.hpp)
};

class FileLists {
  public:
    // That of file_sizes in the catalog.
    static constexpr int64_t kPeriodUs = int64_t{900} * 1'000'000;
    // At once, after the first: the directories of many databases are not read in one cycle.
    static constexpr size_t kBytesAtOnce = size_t{2} << 20;

    // What does not fit is not kept: such a database's sizes come with its visits only.
    void set_limit(size_t bytes);
    size_t bytes() const { return bytes_; }

    // It was just measured. In place of what was known of the database.
    void keep(FileList list, int64_t now_us);
    void forget(uint32_t datid);
    // Sizes may have changed. Of databases that are not known nothing is noted.
    void touch(uint32_t datid);
    // Those that were touched since they were measured, fifteen minutes ago or more; they count as
    // measured now. First those that wait longest.
    std::vector<FileList> take_due(int64_t now_us);

    void keep_databases(std::span<const uint32_t> datids);

  private:
    struct Known {
        FileList list;
        int64_t measured_us = 0;
        bool touched = false;
    };
    std::map<uint32_t, Known> known_;
    size_t limit_ = 0;
    size_t bytes_ = 0;
};

}  // namespace pganalytics::ship
