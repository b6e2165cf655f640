// Answers to sessions' requests, sent to the collector as its socket takes them: rows, or texts of
// any size in pieces. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/frame_socket.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

class Answers {
  public:
    explicit Answers(net::FrameSocket& socket) : socket_(socket) {}

    // A whole answer; rows as in row_format.hpp, text, or nothing.
    void send(uint64_t number, std::string bytes);
    void send_error(uint64_t number, const Error& error);
    // The JSON of these snapshots: the document itself where it is one, else an array of them.
    void send_documents(uint64_t number, std::vector<Snapshot> snapshots);

    // Goes on while the socket takes it. Call after each service() of the socket.
    void pump();

  private:
    // What is still to be sent; texts are inflated one after the other.
    struct Waiting {
        uint64_t number = 0;
        std::string bytes;
        size_t sent = 0;
        std::deque<Snapshot> more;
        bool is_array = false;
        Error error;  // empty message: none
    };
    bool next_piece(Waiting& answer);
    void end(const Waiting& answer);

    net::FrameSocket& socket_;
    std::deque<Waiting> waiting_;
};

}  // namespace pganalytics::ship
