// The pool of one client, by libcurl's multi interface (see the header).
#include "pganalytics/net/https_client.hpp"

#include <algorithm>
#include <deque>
#include <map>

#include "https_transfer.hpp"

namespace pganalytics::net {

namespace {

struct MultiFree {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

constexpr long kMostConnectionsToHub = 2;
constexpr long kMostConnections = 4;

// Once in a process, after OpenSSL: libcurl then finds it ready.
bool init_curl() {
    init_openssl();
    static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return done;
}

}  // namespace

struct HttpsClient::State {
    explicit State(ClientTls client_tls) : tls(std::move(client_tls)) {}
    ~State() {
        for (auto& [id, transfer] : transfers)
            curl_multi_remove_handle(multi.get(), transfer->easy());
    }

    void finish(CURL* easy, CURLcode code) {
        for (auto at = transfers.begin(); at != transfers.end(); ++at) {
            if (at->second->easy() != easy) continue;
            finished.push_back(at->second->outcome(code));
            curl_multi_remove_handle(multi.get(), easy);
            transfers.erase(at);
            return;
        }
    }

    ClientTls tls;
    TlsEvents events;
    std::unique_ptr<CURLM, MultiFree> multi;
    // After `multi`: each handle ends before it.
    std::map<uint64_t, std::unique_ptr<HttpsTransfer>> transfers;
    std::deque<HttpsOutcome> finished;
    uint64_t last_id = 0;
};

HttpsClient::HttpsClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpsClient::~HttpsClient() = default;
HttpsClient::HttpsClient(HttpsClient&&) noexcept = default;
HttpsClient& HttpsClient::operator=(HttpsClient&&) noexcept = default;

Result<HttpsClient> HttpsClient::make(const ClientTlsOptions& options) {
    if (!init_curl()) return make_error(sqlstate::kInternal, "could not start libcurl");
    auto tls = ClientTls::make(options);
    if (!tls) return std::move(tls).error();
    auto state = std::make_unique<State>(std::move(*tls));
    state->multi.reset(curl_multi_init());
    if (!state->multi) return make_error(sqlstate::kInternal, "could not start libcurl");
    CURLM* multi = state->multi.get();
    if (curl_multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING)) !=
            CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, kMostConnectionsToHub) !=
            CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, kMostConnections) != CURLM_OK) {
        return make_error(sqlstate::kInternal, "libcurl lacks an option that is needed");
    }
    return HttpsClient(std::move(state));
}

uint64_t HttpsClient::start(HttpsRequest request) {
    State& state = *state_;
    const uint64_t id = ++state.last_id;
    if (state.transfers.empty()) state.events.clear();
    auto transfer =
        std::make_unique<HttpsTransfer>(id, std::move(request), state.tls, state.events);
    if (Status prepared = transfer->prepare(); !prepared) {
        state.finished.push_back(transfer->refused(std::move(prepared).error()));
        return id;
    }
    if (curl_multi_add_handle(state.multi.get(), transfer->easy()) != CURLM_OK) {
        state.finished.push_back(
            transfer->refused(make_error(sqlstate::kInternal, "could not start a request")));
        return id;
    }
    state.transfers.emplace(id, std::move(transfer));
    return id;
}

void HttpsClient::cancel(uint64_t id) {
    const auto at = state_->transfers.find(id);
    if (at != state_->transfers.end()) {
        state_->finish(at->second->easy(), CURLE_ABORTED_BY_CALLBACK);
    }
}

void HttpsClient::wait(std::span<pollfd> descriptors, int timeout_ms) {
    std::vector<curl_waitfd> extra(descriptors.size());
    for (size_t i = 0; i < descriptors.size(); ++i) {
        const short events = descriptors[i].events;
        extra[i].fd = descriptors[i].fd;
        if ((events & POLLIN) != 0) extra[i].events |= CURL_WAIT_POLLIN;
        if ((events & POLLPRI) != 0) extra[i].events |= CURL_WAIT_POLLPRI;
        if ((events & POLLOUT) != 0) extra[i].events |= CURL_WAIT_POLLOUT;
    }
    const CURLMcode code =
        curl_multi_poll(state_->multi.get(), extra.data(), static_cast<unsigned>(extra.size()),
                        timeout_ms, nullptr);
    if (code != CURLM_OK) {
        // For want of memory: the transfers look again after the wait.
        constexpr int kShort = 100;
        poll(descriptors.data(), descriptors.size(), std::min(timeout_ms, kShort));
        return;
    }
    for (size_t i = 0; i < descriptors.size(); ++i) {
        const short events = extra[i].revents;
        short& ready = descriptors[i].revents;
        ready = 0;
        if ((events & CURL_WAIT_POLLIN) != 0) ready = static_cast<short>(ready | POLLIN);
        if ((events & CURL_WAIT_POLLPRI) != 0) ready = static_cast<short>(ready | POLLPRI);
        if ((events & CURL_WAIT_POLLOUT) != 0) ready = static_cast<short>(ready | POLLOUT);
    }
}

void HttpsClient::service() {
    int running = 0;
    curl_multi_perform(state_->multi.get(), &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(state_->multi.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        // finish() ends what `message` points to.
        const CURLcode code = message->data.result;
        state_->finish(message->easy_handle, code);
    }
}

std::optional<HttpsOutcome> HttpsClient::next_finished() {
    if (state_->finished.empty()) return std::nullopt;
    HttpsOutcome outcome = std::move(state_->finished.front());
    state_->finished.pop_front();
    return outcome;
}

size_t HttpsClient::active() const { return state_->transfers.size(); }

HttpsOutcome HttpsClient::perform(HttpsRequest request) {
    const uint64_t id = start(std::move(request));
    while (true) {
        service();
        while (auto outcome = next_finished()) {
            if (outcome->id == id) return *std::move(outcome);
        }
        constexpr int kLookAgainMs = 1000;
        wait({}, kLookAgainMs);
    }
}

std::string https_library_text() {
    const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
    return std::string("libcurl ") + info->version + ", " +
           (info->ssl_version != nullptr ? info->ssl_version : "no TLS");
}

}  // namespace pganalytics::net
