// One TLS connection: handshake, then requests one after the other, each step within its time.
// Runs in `pganalytics serve`.
//
//   handshake -> idle -> head -> body -> handled -> answer -> idle ...
//   any of these --time over, limit, broken framing, client gone--> closing
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pganalytics/serve/front_state.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/tls_stream.hpp"

namespace pganalytics::serve {

struct Peer {
    Admission::Id id = 0;
    Listener listener = Listener::kCollectors;
    std::string address;
    std::string network;  // as limits count addresses
};

class Connection {
  public:
    Connection(FrontState& state, Tcp::socket socket, SSL_CTX& context, Peer peer);

    // To its end. `ended` of the owner is its business.
    Task<> run();

    // Called again and again by the owner: ends a wait whose time is over.
    void tick(Clock::time_point now) {
        if (now >= deadline_ && !stream_.expired()) stream_.expire();
    }
    // The files it was made with have been replaced: it may live a little longer only.
    void limit_age(Clock::time_point end) { end_ = std::min(end_, end); }
    // Ends it now.
    void abort() {
        aborted_ = true;
        deadline_ = Clock::time_point::min();
        stream_.expire();
    }
    const Peer& peer() const { return peer_; }

  private:
    enum class Step : uint8_t { kGo, kClose };

    Task<bool> serve_one();
    Task<bool> serve_request();
    Task<Step> await_request();
    Task<Step> read_head(RequestHead& head, Answer& refusal);
    Task<Step> read_body(Request& request, size_t length, Answer& refusal);
    Task<bool> refuse(Answer answer, bool may_keep, size_t unread);
    Task<bool> write_answer(const Answer& answer, bool keep_alive);
    Task<bool> skip_body(size_t length);
    Task<TlsStream::Outcome> read_more(size_t most);
    void set_deadline(Clock::time_point deadline);

    FrontState& state_;
    TlsStream stream_;
    Peer peer_;
    std::optional<Sha256> fingerprint_;
    bool seated_ = false;  // false: its requests are answered 503
    bool aborted_ = false;
    std::string input_;      // received, not used yet
    std::string head_text_;  // of the request in hand
    bool is_head_ = false;   // HEAD, that is
    Clock::time_point request_start_;
    Clock::time_point deadline_;
    Clock::time_point end_;  // of its life
    uint64_t requests_ = 0;
};

}  // namespace pganalytics::serve
