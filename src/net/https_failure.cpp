// What became of a request, in words for a DBA. Part of https_transfer.hpp.
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <string_view>

#include "https_transfer.hpp"

namespace pganalytics::net {

namespace {

std::string place(const HttpsUrl& url) {
    const bool brackets = url.host.find(':') != std::string::npos;
    return (brackets ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
}

std::string seconds(int milliseconds) {
    const int tenths = (milliseconds + 50) / 100;
    return std::to_string(tenths / 10) +
           (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + " s";
}

Error connection_error(std::string message, std::string detail, std::string hint) {
    return make_error(sqlstate::kConnectionFailure, std::move(message), std::move(detail),
                      std::move(hint));
}

}  // namespace

int64_t HttpsTransfer::time(CURLINFO what) const {
    curl_off_t value = 0;
    curl_easy_getinfo(easy_.get(), what, &value);
    return value;
}

HttpsFailure HttpsTransfer::classify_tls() {
    if (events_.verify_error != 0) return HttpsFailure::kHubCertificate;
    if (alert_refuses_certificate(events_.alert_received)) return HttpsFailure::kOurCertificate;
    return HttpsFailure::kTls;
}

HttpsFailure HttpsTransfer::classify_timeout() {
    // libcurl gives the answer of an unfinished look-up as a time-out.
    return time(CURLINFO_NAMELOOKUP_TIME_T) == 0 ? HttpsFailure::kDns : HttpsFailure::kTimeout;
}

HttpsFailure HttpsTransfer::classify(CURLcode code) {
    if (too_large_) return HttpsFailure::kTooLarge;
    if (!tls_status_) return HttpsFailure::kRequest;
    switch (code) {
        case CURLE_OK:
            return HttpsFailure::kNone;
        case CURLE_COULDNT_RESOLVE_HOST:
            return HttpsFailure::kDns;
        case CURLE_COULDNT_CONNECT:
        case CURLE_INTERFACE_FAILED:
            return HttpsFailure::kConnect;
        case CURLE_OPERATION_TIMEDOUT:
            return classify_timeout();
        case CURLE_PEER_FAILED_VERIFICATION:
            return HttpsFailure::kHubCertificate;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
            return classify_tls();
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
            // TLS 1.3 tells a client of its refused certificate after the handshake.
            return alert_refuses_certificate(events_.alert_received) ? HttpsFailure::kOurCertificate
                                                                     : HttpsFailure::kReset;
        case CURLE_FILESIZE_EXCEEDED:
            return HttpsFailure::kTooLarge;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_BAD_CONTENT_ENCODING:
            return HttpsFailure::kAnswer;
        default:
            return HttpsFailure::kRequest;
    }
}

Error HttpsTransfer::describe_timeout(const std::string& hub) const {
    const bool connected = time(CURLINFO_APPCONNECT_TIME_T) != 0;
    const char* missing = connected ? "answer" : tls_begun_ ? "TLS handshake" : "TCP connection";
    const int limit = connected ? request_.total_timeout_ms : request_.connect_timeout_ms;
    return connection_error(
        connected ? "hub " + hub + " did not answer in time"
                  : "could not connect to hub " + hub + " in time",
        "No " + std::string(missing) + " within " + seconds(limit) + ", or too slow.",
        "Check the hub's load and the network between.");
}

Error HttpsTransfer::describe_tls(HttpsFailure failure, const std::string& hub,
                                  std::string_view reason) const {
    if (failure == HttpsFailure::kHubCertificate) {
        const int problem =
            events_.verify_error != 0 ? events_.verify_error : X509_V_ERR_HOSTNAME_MISMATCH;
        return connection_error(
            "certificate of hub " + hub + " was refused: " + verify_error_text(problem), {},
            verify_error_hint(problem));
    }
    if (failure == HttpsFailure::kOurCertificate) {
        return make_error(sqlstate::kInvalidAuthorization,
                          "hub " + hub + " refused this collector's certificate",
                          "It says: " + alert_text(events_.alert_received) + ".",
                          "Enrol this server again with pganalytics_register().");
    }
    return connection_error("could not agree on TLS with hub " + hub,
                            events_.alert_received >= 0
                                ? "It says: " + alert_text(events_.alert_received) + "."
                                : std::string(reason) + ".",
                            "The hub must speak TLS 1.3 on that port; check address and port.");
}

Error HttpsTransfer::describe(HttpsFailure failure, CURLcode code) const {
    const std::string hub = place(url_);
    const std::string_view reason =
        error_text_[0] != '\0' ? std::string_view(error_text_) : curl_easy_strerror(code);
    switch (failure) {
        case HttpsFailure::kDns:
            return connection_error("could not find the address of hub \"" + url_.host + "\"",
                                    code == CURLE_OPERATION_TIMEDOUT
                                        ? "The name service gave no answer in time."
                                        : "The name service does not know this name.",
                                    "Check the host name in pganalytics.hub_url and the name "
                                    "service of this machine.");
        case HttpsFailure::kConnect:
            return connection_error("could not connect to hub " + hub, std::string(reason) + ".",
                                    "Check that the hub is running, that it listens on that "
                                    "address, and that no firewall is between.");
        case HttpsFailure::kTimeout:
            return describe_timeout(hub);
        case HttpsFailure::kHubCertificate:
        case HttpsFailure::kTls:
        case HttpsFailure::kOurCertificate:
            return describe_tls(failure, hub, reason);
        case HttpsFailure::kReset:
            return connection_error(
                "connection to hub " + hub + " ended before its answer", std::string(reason) + ".",
                tls_.has_certificate()
                    ? "Look into the hub's log; it may have been restarted, or refused this "
                      "collector's certificate."
                    : "Look into the hub's log; it may have been restarted, or want a client "
                      "certificate on that port.");
        case HttpsFailure::kTooLarge:
            return make_error(sqlstate::kProtocolViolation,
                              "answer of hub " + hub + " is larger than allowed", {},
                              "Check that the address is a pganalytics hub.");
        case HttpsFailure::kAnswer:
            return make_error(
                sqlstate::kProtocolViolation, "answer of hub " + hub + " is not HTTP/1.1",
                std::string(reason) + ".", "Check that the address is a pganalytics hub.");
        case HttpsFailure::kRequest:
            if (!tls_status_) return tls_status_.error();
            return make_error(sqlstate::kInternal, "could not send a request to hub " + hub,
                              std::string(reason) + ".");
        case HttpsFailure::kCanceled:
            return make_error(sqlstate::kQueryCanceled, "request to hub " + hub + " was canceled");
        case HttpsFailure::kNone:
            break;
    }
    return {};
}

HttpsOutcome HttpsTransfer::outcome(CURLcode code) {
    HttpsOutcome outcome;
    outcome.id = id_;
    outcome.failure = code == CURLE_ABORTED_BY_CALLBACK ? HttpsFailure::kCanceled : classify(code);
    long value = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &value);
    outcome.may_have_arrived = value > 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &value);
    outcome.new_connection = value > 0;
    outcome.connect_us = time(CURLINFO_CONNECT_TIME_T);
    outcome.tls_us = std::max<int64_t>(0, time(CURLINFO_APPCONNECT_TIME_T) - outcome.connect_us);
    outcome.total_us = time(CURLINFO_TOTAL_TIME_T);
    const char* address = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &address);
    if (address != nullptr) outcome.peer_address = address;
    address = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_LOCAL_IP, &address);
    if (address != nullptr) outcome.local_address = address;
    if (outcome.failure != HttpsFailure::kNone) {
        outcome.error = describe(outcome.failure, code);
        events_.clear();
        return outcome;
    }
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &value);
    outcome.response = std::move(response_);
    outcome.response.status = static_cast<int>(value);
    return outcome;
}

HttpsOutcome HttpsTransfer::refused(Error error) const {
    HttpsOutcome outcome;
    outcome.id = id_;
    outcome.failure = HttpsFailure::kRequest;
    outcome.error = std::move(error);
    return outcome;
}

}  // namespace pganalytics::net
