// Requests of sessions as the collector sees them: taken from the slots, kept until answered, their
// answers streamed into the sessions' queues. C++; PostgreSQL is called through try_postgres. Runs
// in the collector.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

class Requests {
  public:
    // Requests taken since the last call, in order. Those that ask for a cycle wait their turn with
    // whoever called this; all are answered by number.
    std::vector<Request> take_new();

    // A session that gave up is gone; answers to it are dropped.
    bool is_waiting(uint64_t number) const { return waiting_.contains(number); }
    bool empty() const { return waiting_.empty(); }

    void add_piece(uint64_t number, std::string_view bytes);
    void finish(const AnswerEnd& end);
    void fail(uint64_t number, const Error& error);
    void fail_all(const Error& error);

    // Sends what the queues take; forgets whoever has gone or has been answered.
    void pump();

  private:
    struct Waiting {
        dsm_segment* segment = nullptr;
        shm_mq_handle* queue = nullptr;
        std::deque<std::string> messages;
        size_t bytes = 0;
        bool ended = false;
    };

    std::optional<Request> attach(uint64_t number, dsm_handle handle, Waiting& waiting);
    // False when it is done with.
    static bool send_some(Waiting& waiting);
    static void detach(Waiting& waiting);

    std::map<uint64_t, Waiting> waiting_;
};

}  // namespace pganalytics::pg
