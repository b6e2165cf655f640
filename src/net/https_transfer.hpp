// One request of the https client on its libcurl handle. Private to src/net.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "pganalytics/net/https_client.hpp"
#include "pganalytics/net/https_url.hpp"

namespace pganalytics::net {

struct EasyFree {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListFree {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// libcurl holds a pointer to it while the handle lives.
class HttpsTransfer {
  public:
    HttpsTransfer(uint64_t id, HttpsRequest request, const ClientTls& tls, TlsEvents& events);

    // The options; an error where the request can't be sent at all.
    Status prepare();
    // What became of it. `code` is libcurl's result.
    HttpsOutcome outcome(CURLcode code);
    HttpsOutcome refused(Error error) const;

    uint64_t id() const { return id_; }
    CURL* easy() const { return easy_.get(); }

  private:
    static size_t on_header(char* bytes, size_t size, size_t count, void* self);
    static size_t on_body(char* bytes, size_t size, size_t count, void* self);
    static CURLcode on_tls(CURL* easy, void* context, void* self);
    static int on_socket(void* self, curl_socket_t socket, curlsocktype purpose);

    template <class Value>
    void set(CURLoption option, Value value);
    void set_transport();
    void set_tls();
    void set_limits();
    void set_request();
    void set_callbacks();
    void take_header(std::string_view line);
    HttpsFailure classify(CURLcode code);
    HttpsFailure classify_tls();
    HttpsFailure classify_timeout();
    Error describe(HttpsFailure failure, CURLcode code) const;
    Error describe_timeout(const std::string& hub) const;
    Error describe_tls(HttpsFailure failure, const std::string& hub, std::string_view reason) const;
    int64_t time(CURLINFO what) const;

    uint64_t id_;
    HttpsRequest request_;
    const ClientTls& tls_;
    TlsEvents& events_;
    HttpsUrl url_;
    std::unique_ptr<CURL, EasyFree> easy_;
    std::unique_ptr<curl_slist, ListFree> headers_;
    HttpsResponse response_;
    size_t header_bytes_ = 0;
    bool too_large_ = false;
    bool tls_begun_ = false;  // TCP is connected
    Status tls_status_;
    CURLcode option_code_ = CURLE_OK;
    char error_text_[CURL_ERROR_SIZE] = "";
};

}  // namespace pganalytics::net
