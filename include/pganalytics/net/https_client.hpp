// HTTPS requests to one hub with one set of credentials, inside the caller's event loop. Runs in
// ship and register. One client is one connection pool: when credentials or the CA change, make a
// new client and drop this one (no connection, session or answer of the old is used again).
//
//     client.start(request) -> id
//     loop: client.wait(descriptors, timeout); ... client.service();
//           while (auto done = client.next_finished()) ...
//
// Nothing blocks but wait(): names are looked up by libcurl's resolver thread, and dropping the
// client never waits for it.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/tls.hpp"

namespace pganalytics::net {

inline constexpr size_t kMaxAnswerBytes = size_t{64} * 1024;
inline constexpr size_t kMaxAnswerHeaderBytes = size_t{16} * 1024;

struct HttpsRequest {
    std::string method = "GET";
    std::string url;                   // https://host:port/path; the query may be part of it
    std::vector<std::string> headers;  // "Name: value", without line ends
    std::string body;                  // sent with Content-Length where not empty or POST, PUT
    int connect_timeout_ms = 10'000;
    int total_timeout_ms = 60'000;
};

struct HttpsResponse {
    int status = 0;
    std::string content_type;
    std::string retry_after;  // as sent; empty: none
    std::string etag;
    std::string config_version;  // X-Config-Version
    std::string date;
    std::string body;
};

enum class HttpsFailure : uint8_t {
    kNone = 0,
    kRequest,         // our request can't be sent: bad address, out of memory
    kDns,             // name not found, or no answer
    kConnect,         // refused or unreachable
    kTimeout,         // connect or whole request
    kHubCertificate,  // the hub's certificate does not pass: expired, other name, other CA, ...
    kTls,             // no TLS 1.3, or the other side is no TLS server
    kOurCertificate,  // the hub refused our certificate
    kReset,           // connection ended before the whole answer
    kTooLarge,        // answer beyond the limits
    kAnswer,          // not HTTP
    kCanceled,
};

struct HttpsOutcome {
    uint64_t id = 0;
    HttpsFailure failure = HttpsFailure::kNone;
    Error error;             // where failure != kNone: text for a DBA, with hint
    HttpsResponse response;  // where failure == kNone
    // False: not a byte of the request can have reached the hub's HTTP layer.
    bool may_have_arrived = false;
    bool new_connection = false;
    int64_t connect_us = 0;  // name lookup and TCP
    int64_t tls_us = 0;      // handshake
    int64_t total_us = 0;
    std::string peer_address;
    std::string local_address;
};

class HttpsClient {
  public:
    static Result<HttpsClient> make(const ClientTlsOptions& tls);
    ~HttpsClient();
    HttpsClient(HttpsClient&&) noexcept;
    HttpsClient& operator=(HttpsClient&&) noexcept;

    // Queues a request; its outcome comes from next_finished(), never from inside this call.
    uint64_t start(HttpsRequest request);
    // Ends it now; its outcome is kCanceled. Unknown ids are ignored.
    void cancel(uint64_t id);

    // Sleeps until a descriptor of the caller or a transfer is ready, or `timeout_ms` is over.
    // `revents` are set as poll() does (POLLIN, POLLPRI, POLLOUT).
    void wait(std::span<pollfd> descriptors, int timeout_ms);
    // Does what is due, without blocking.
    void service();
    std::optional<HttpsOutcome> next_finished();
    size_t active() const;

    // One request from start to end, for tools without an event loop.
    HttpsOutcome perform(HttpsRequest request);

  private:
    struct State;
    explicit HttpsClient(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// "libcurl 7.88.1, OpenSSL 3.0.19": for status.
std::string https_library_text();

}  // namespace pganalytics::net
