// A TLS connection on a socket: OpenSSL reads and writes the descriptor itself, Asio tells when it
// can (two buffers less for each connection than a stream between two memory BIOs). Every wait ends
// when the owner says expire(). Runs in `pganalytics serve`.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/net/openssl_handles.hpp"
#include "pganalytics/serve/asio.hpp"

namespace pganalytics::serve {

class TlsStream {
  public:
    enum class Outcome : uint8_t {
        kDone,
        kClosed,   // by the other side, or broken
        kExpired,  // expire() was called
    };
    struct Read {
        Outcome outcome = Outcome::kClosed;
        size_t bytes = 0;
    };

    TlsStream(Tcp::socket socket, SSL_CTX& context);

    Task<Outcome> handshake();
    // What was wrong with it, for the local log; empty where the other side just went.
    const std::string& handshake_problem() const { return handshake_problem_; }
    // Waits for some bytes.
    Task<Read> read_some(char* out, size_t size);
    Task<Outcome> write_all(std::string_view bytes);
    // Says goodbye, stops writing, and reads what still comes (up to `bytes`), so that an answer is
    // not lost to a reset because its request was not read.
    Task<> close(size_t bytes);

    void expire();
    bool expired() const { return expired_; }
    // Waits again after an expiry that was seen.
    void clear_expiry() { expired_ = false; }

    // Of the client's certificate, after the handshake; empty: it showed none.
    std::optional<Sha256> peer_fingerprint() const;

  private:
    Task<bool> wait_for(int ssl_error);

    Tcp::socket socket_;
    std::unique_ptr<SSL, net::OpensslFree<SSL_free>> ssl_;
    bool established_ = false;
    bool expired_ = false;
    std::string handshake_problem_;
};

}  // namespace pganalytics::serve
