// One visit as the collector sees it: the segment, the visitor's process, its frames, its end. C++;
// PostgreSQL is called through try_postgres. Runs in the collector.
//
//   none --start()--> running --queue empty and visitor gone--> none
//   running --past its deadline--> terminated once, still running until it is gone
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/visit_order.hpp"

namespace pganalytics::pg {

class Visit {
  public:
    enum class Started : uint8_t { kYes, kNoWorkerSlot, kFailed };
    enum class Received : uint8_t { kFrame, kNothing, kOver };

    // `error` is filled for kFailed.
    Started start(const VisitOrder& order, FlatError& error);

    bool running() const { return handle_ != nullptr; }
    int64_t deadline_us() const { return deadline_us_; }

    // The next frame, without waiting; the view lives until the next call. kOver: the visitor is
    // gone and everything it said has been received; report() is final then.
    Received receive(std::string_view& frame);

    // Asks the visitor to end.
    void terminate();
    bool terminated() const { return running() && terminated_; }
    // The same of the visit that is over.
    bool was_terminated() const { return terminated_; }

    // Forgets the queue, so that the visitor ends at its next word; receive() then answers kNothing
    // until it is gone.
    void stop_listening();

    const VisitReport& report() const { return report_; }

  private:
    bool make_segment(const VisitOrder& order, const std::string& bytes, FlatError& error);
    Started launch(FlatError& error);
    bool visitor_gone();
    void finish();

    MemoryContext context_ = nullptr;
    dsm_segment* segment_ = nullptr;
    shm_mq_handle* queue_ = nullptr;
    BackgroundWorkerHandle* handle_ = nullptr;
    VisitReport* shared_report_ = nullptr;
    VisitReport report_ = {};
    int64_t deadline_us_ = 0;
    bool queue_ended_ = false;
    bool terminated_ = false;
};

}  // namespace pganalytics::pg
