// Pushes on their way to the tables (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_pushes.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::pg {

namespace {

PushedRows& rows_of(Push& push, uint16_t rowset) {
    for (PushedRows& rows : push.rowsets) {
        if (rows.rowset == rowset) return rows;
    }
    PushedRows& rows = push.rowsets.emplace_back();
    rows.rowset = rowset;
    return rows;
}

void refuse(Push& push, std::string why) {
    push.refusal = std::move(why);
    push.rowsets.clear();
    push.bytes = 0;
}

// Nothing is wrong with it; it is to be sent again.
void put_off(Push& push) {
    push.again = true;
    push.rowsets.clear();
    push.bytes = 0;
}

}  // namespace

bool HubPushes::begin(PushBegin begin) {
    if (open_) return false;
    open_.emplace();
    open_->begin = std::move(begin);
    // A collector's clock may run ahead; what is kept of it must not.
    const TimeWindow window = rules_.window();
    int64_t& received_at = open_->begin.received_at;
    received_at = std::clamp(received_at, window.earliest, window.latest);
    if (open_->begin.time > window.latest) open_->begin.time = received_at;
    return true;
}

bool HubPushes::rows(PushRows rows) {
    if (!open_ || open_->begin.number != rows.number) return false;
    Push& push = *open_;
    const size_t fields = rules_.fields(rows.rowset);
    if (fields == 0) return false;
    // The rest of a push that is lost already.
    if (!push.refusal.empty() || push.again) return true;
    if (rows.rows.empty() && rows.count == 0) return true;
    // Also rows made for columns announced before.
    if (copy_field_count(rows.rows) != fields) {
        put_off(push);
        return true;
    }
    push.bytes += rows.rows.size();
    if (push.bytes > kPushBytes) {
        refuse(push, "it is larger than a push may be");
        return true;
    }
    PushedRows& kept = rows_of(push, rows.rowset);
    const uint64_t before = kept.facts.rows;
    const Status walked =
        walk_copy_rows(rows.rows, {fields, push.begin.collector_id, rules_.window()}, kept.facts);
    if (!walked) {
        refuse(push, walked.error().message);
        return true;
    }
    if (kept.facts.rows - before != rows.count) {
        put_off(push);
        return true;
    }
    push.rows += rows.count;
    kept.chunks.push_back(std::move(rows.rows));
    return true;
}

bool HubPushes::end(const PushEnd& end) {
    if (!open_ || open_->begin.number != end.number) return false;
    if (open_->refusal.empty() && open_->rows != end.rows) put_off(*open_);
    ready_bytes_ += open_->bytes;
    ready_.push_back(std::move(*open_));
    open_.reset();
    return true;
}

std::vector<Push> HubPushes::take_ready() {
    ready_bytes_ = 0;
    return std::exchange(ready_, {});
}

void HubPushes::clear() {
    open_.reset();
    ready_.clear();
    ready_bytes_ = 0;
}

}  // namespace pganalytics::pg
