// One request: its options and its answer (see the header). What went wrong is told in
// https_failure.cpp.
#include "https_transfer.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>

#include "pganalytics/core/version.hpp"

namespace pganalytics::net {

namespace {

constexpr long kLowSpeedBytes = 1024;  // a second
constexpr long kLowSpeedSeconds = 15;
constexpr long kKeepAliveIdle = 30;
constexpr long kKeepAliveInterval = 10;
constexpr int kTcpUserTimeoutMs = 30'000;
constexpr long kMostConnectionAge = 600;

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        };
        return lower(x) == lower(y);
    });
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool has_line_end(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

HttpsTransfer::HttpsTransfer(uint64_t id, HttpsRequest request, const ClientTls& tls,
                             TlsEvents& events)
    : id_(id), request_(std::move(request)), tls_(tls), events_(events) {}

template <class Value>
void HttpsTransfer::set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_.get(), option, value);
    if (option_code_ == CURLE_OK) option_code_ = code;
}

Status HttpsTransfer::prepare() {
    // The query belongs to the request, not to the hub's address.
    const std::string_view address =
        std::string_view(request_.url).substr(0, request_.url.find('?'));
    auto url = parse_https_url(address);
    if (!url) return std::move(url).error();
    url_ = *std::move(url);
    if (has_line_end(request_.url) || has_line_end(request_.method) ||
        std::any_of(request_.headers.begin(), request_.headers.end(), has_line_end)) {
        return make_error(sqlstate::kInvalidParameter, "line end in a request's head");
    }
    easy_.reset(curl_easy_init());
    if (!easy_) return make_error(sqlstate::kInternal, "could not prepare a request");
    set_transport();
    set_tls();
    set_limits();
    set_request();
    set_callbacks();
    if (option_code_ != CURLE_OK) {
        return make_error(sqlstate::kInternal,
                          std::string("libcurl lacks an option that is needed: ") +
                              curl_easy_strerror(option_code_));
    }
    return {};
}

void HttpsTransfer::set_transport() {
#if LIBCURL_VERSION_NUM >= 0x075500
    set(CURLOPT_PROTOCOLS_STR, "https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTPS));
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTPS));
#endif
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOPROXY, "*");
    set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    set(CURLOPT_QUICK_EXIT, 1L);
#endif
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_TCP_KEEPIDLE, kKeepAliveIdle);
    set(CURLOPT_TCP_KEEPINTVL, kKeepAliveInterval);
#if LIBCURL_VERSION_NUM >= 0x075000
    set(CURLOPT_MAXLIFETIME_CONN, kMostConnectionAge);
#endif
}

void HttpsTransfer::set_tls() {
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, long{+CURL_SSLVERSION_TLSv1_3 | +CURL_SSLVERSION_MAX_TLSv1_3});
    set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    // Nothing of the system's: on_tls() puts our own store in place.
    set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
#if LIBCURL_VERSION_NUM >= 0x075700
    set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    set(CURLOPT_SSL_CTX_FUNCTION, &HttpsTransfer::on_tls);
    set(CURLOPT_SSL_CTX_DATA, this);
}

void HttpsTransfer::set_limits() {
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout_ms));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.total_timeout_ms));
    set(CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytes);
    set(CURLOPT_LOW_SPEED_TIME, kLowSpeedSeconds);
    set(CURLOPT_MAXFILESIZE, static_cast<long>(kMaxAnswerBytes));
    set(CURLOPT_ERRORBUFFER, error_text_);
}

void HttpsTransfer::set_request() {
    set(CURLOPT_URL, request_.url.c_str());
    set(CURLOPT_USERAGENT, ("pganalytics/" + std::string(kVersion)).c_str());
    bool has_type = false;
    const auto add = [this](const char* line) {
        curl_slist* longer = curl_slist_append(headers_.get(), line);
        if (longer == nullptr) option_code_ = CURLE_OUT_OF_MEMORY;
        if (longer != nullptr && !headers_) headers_.reset(longer);
    };
    for (const std::string& line : request_.headers) {
        has_type |= same_name(line.substr(0, line.find(':')), "content-type");
        add(line.c_str());
    }
    // The hub answers no "Expect", and libcurl's guess of the type is never right.
    add("Expect:");
    const bool body =
        !request_.body.empty() || request_.method == "POST" || request_.method == "PUT";
    if (body) {
        if (!has_type) add("Content-Type:");
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(CURLOPT_POSTFIELDS, request_.body.data());
    }
    if (request_.method != (body ? "POST" : "GET")) {
        set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
}

void HttpsTransfer::set_callbacks() {
    set(CURLOPT_HEADERFUNCTION, &HttpsTransfer::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &HttpsTransfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_SOCKOPTFUNCTION, &HttpsTransfer::on_socket);
    set(CURLOPT_SOCKOPTDATA, this);
}

// --- callbacks: nothing may be thrown through libcurl; what they append is bounded.

size_t HttpsTransfer::on_header(char* bytes, size_t size, size_t count, void* self) {
    HttpsTransfer& transfer = *static_cast<HttpsTransfer*>(self);
    const size_t length = size * count;
    transfer.header_bytes_ += length;
    if (transfer.header_bytes_ > kMaxAnswerHeaderBytes) {
        transfer.too_large_ = true;
        return 0;
    }
    try {
        transfer.take_header({bytes, length});
    } catch (...) {
        return 0;
    }
    return length;
}

void HttpsTransfer::take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) {
        response_ = HttpsResponse{};
        return;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (same_name(name, "content-type")) response_.content_type = value;
    if (same_name(name, "retry-after")) response_.retry_after = value;
    if (same_name(name, "etag")) response_.etag = value;
    if (same_name(name, "x-config-version")) response_.config_version = value;
    if (same_name(name, "date")) response_.date = value;
}

size_t HttpsTransfer::on_body(char* bytes, size_t size, size_t count, void* self) {
    HttpsTransfer& transfer = *static_cast<HttpsTransfer*>(self);
    const size_t length = size * count;
    if (length > kMaxAnswerBytes - transfer.response_.body.size()) {
        transfer.too_large_ = true;
        return 0;
    }
    try {
        transfer.response_.body.append(bytes, length);
    } catch (...) {
        return 0;
    }
    return length;
}

CURLcode HttpsTransfer::on_tls(CURL*, void* context, void* self) {
    HttpsTransfer& transfer = *static_cast<HttpsTransfer*>(self);
    transfer.tls_begun_ = true;
    try {
        transfer.tls_status_ = transfer.tls_.apply(*static_cast<SSL_CTX*>(context),
                                                   transfer.url_.host, transfer.events_);
    } catch (...) {
        return CURLE_OUT_OF_MEMORY;
    }
    return transfer.tls_status_ ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

int HttpsTransfer::on_socket(void*, curl_socket_t socket, curlsocktype) {
    const unsigned limit = kTcpUserTimeoutMs;
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
    return CURL_SOCKOPT_OK;
}

}  // namespace pganalytics::net
