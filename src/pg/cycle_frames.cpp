// The frames of a cycle on their way from visitors to the program, and what the cycle learns from
// them. Runs in the collector.
#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr size_t kFrameTypeAt = 4;

int64_t unix_now() {
    return GetCurrentTimestamp() + int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
}

}  // namespace

void Cycle::announce() {
    if (!announcement_) return;
    for (std::string& frame : briefing_.due_frames()) pass_on(std::move(frame));
    pass_on(make_frame(*announcement_));
    announcement_.reset();
}

void Cycle::pass_on(std::string frame) {
    if (lost_) return;
    if (!program_.send(std::move(frame))) program_lost();
}

void Cycle::on_rowset_begin(std::string_view payload) {
    const auto begin = decode<RowsetBegin>(payload);
    if (!begin) return;
    close_rowset();
    announce();
    rowset_ = OpenRowset{begin->rowset, 0, begin->own, begin->slice};
    if (!in_changes_ && begin->slice == 0 && !dry_)
        pass_.begin_reading({begin->datid, begin->rowset});
}

void Cycle::on_rowset_end(std::string_view payload) {
    const auto end = decode<RowsetEnd>(payload);
    if (!end || !rowset_) return;
    const bool good = end->sqlstate.empty();
    // What goes on in another slice is due still, but others come first.
    plan_.read(rowset_->own != 0 ? rowset_->own : rowset_->number, good && end->last == 0,
               static_cast<int64_t>(end->cpu_us));
    if (rowset_->own == 0) on_slice_read(*rowset_, *end);
    if (rowset_->own != 0) on_own_read(rowset_->own, *end);
    pass_.end_reading(good && end->complete && !lost_, end->rows, end->left_out > 0);
    ++figures_.rowsets_read;
    figures_.rows += end->rows;
    figures_.bytes += rowset_->bytes;
    if (lost_) ++figures_.rowsets_dropped;
    if (!good) {
        ++figures_.rowsets_failed;
        const std::string what =
            rowset_name(*rowset_) + " could not be read in database \"" + visited_name_ + "\"";
        // Everybody who may monitor sees this one.
        const bool own = rowset_->own != 0;
        copy_text(
            figures_.last_error,
            what + ": " + (own ? own_error_to_send(end->sqlstate, end->message) : end->message));
        log_limited(LOG, "rowset " + std::to_string(rowset_->number), what, end->message);
    }
    rowset_.reset();
}

// Where it was there before, what was read of it is gone now.
void Cycle::on_rowset_absent(std::string_view payload) {
    const auto absent = decode<RowsetAbsent>(payload);
    if (!absent || !plan_.absent(absent->rowset)) return;
    close_rowset();
    announce();
    RowsetBegin begin;
    begin.rowset = absent->rowset;
    begin.time = unix_now();
    RowsetEnd end;
    end.complete = true;
    pass_on(make_frame(begin));
    pass_on(make_frame(end));
}

void Cycle::take_frame(std::string frame) {
    if (frame.size() < kFrameHeaderBytes) return;
    const auto type = static_cast<FrameType>(static_cast<uint8_t>(frame[kFrameTypeAt]));
    const std::string_view payload = std::string_view(frame).substr(kFrameHeaderBytes);
    switch (type) {
        case FrameType::kServerFacts:
            if (auto facts = decode<ServerFacts>(payload)) {
                briefing_.set_tablespaces(std::move(facts->tablespaces));
            }
            return;
        case FrameType::kRowsetAbsent:
            on_rowset_absent(payload);
            return;
        case FrameType::kOwnDefinitions:
            return on_own_definitions(payload);
        case FrameType::kRowsetBegin:
            on_rowset_begin(payload);
            break;
        case FrameType::kRowsetRows:
            if (rowset_) rowset_->bytes += payload.size();
            pass_.add_rows(payload);
            break;
        case FrameType::kRowsetEnd:
            on_rowset_end(payload);
            break;
        default:
            return;
    }
    pass_on(std::move(frame));
}

// For a visitor that ended in the midst of it.
void Cycle::close_rowset() {
    if (!rowset_) return;
    RowsetEnd end;
    end.sqlstate = sqlstate_text(ERRCODE_QUERY_CANCELED);
    end.message = "the visit ended before the rowset did";
    const std::string frame = make_frame(end);
    on_rowset_end(std::string_view(frame).substr(kFrameHeaderBytes));
    pass_on(frame);
}

}  // namespace pganalytics::pg
