// Lists of relations' files (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/file_lists.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::ship {

void FileLists::set_limit(size_t bytes) {
    limit_ = bytes;
    if (bytes_ <= limit_) return;
    known_.clear();
    bytes_ = 0;
}

void FileLists::forget(uint32_t datid) {
    const auto place = known_.find(datid);
    if (place == known_.end()) return;
    bytes_ -= place->second.list.rows->size();
    known_.erase(place);
}

void FileLists::keep(FileList list, int64_t now_us) {
    forget(list.datid);
    if (bytes_ + list.rows->size() > limit_) return;
    bytes_ += list.rows->size();
    const uint32_t datid = list.datid;
    known_[datid] = {std::move(list), now_us, false};
}

void FileLists::touch(uint32_t datid) {
    const auto place = known_.find(datid);
    if (place != known_.end()) place->second.touched = true;
}

std::vector<FileList> FileLists::take_due(int64_t now_us) {
    std::vector<Known*> due;
    for (auto& [datid, known] : known_)
        if (known.touched && now_us - known.measured_us >= kPeriodUs) due.push_back(&known);
    std::stable_sort(due.begin(), due.end(), [](const Known* a, const Known* b) {
        return a->measured_us < b->measured_us;
    });
    std::vector<FileList> taken;
    size_t bytes = 0;
    for (Known* known : due) {
        bytes += known->list.rows->size();
        if (!taken.empty() && bytes > kBytesAtOnce) break;
        known->measured_us = now_us;
        known->touched = false;
        taken.push_back(known->list);
    }
    return taken;
}

void FileLists::keep_databases(std::span<const uint32_t> datids) {
    std::vector<uint32_t> gone;
    for (const auto& [datid, known] : known_)
        if (std::find(datids.begin(), datids.end(), datid) == datids.end()) gone.push_back(datid);
    for (const uint32_t datid : gone) forget(datid);
}

}  // namespace pganalytics::ship
