// One connection's life (see the header). Runs in `pganalytics serve`.
#include "pganalytics/serve/connection.hpp"

#include <algorithm>
#include <new>

#include "pganalytics/host/process.hpp"

namespace pganalytics::serve {

namespace {

constexpr size_t kReadPiece = 4096;

}  // namespace

Connection::Connection(FrontState& state, Tcp::socket socket, SSL_CTX& context, Peer peer)
    : state_(state),
      stream_(std::move(socket), context),
      peer_(std::move(peer)),
      deadline_(Clock::now() + kHandshakeTime),
      end_(Clock::now() + kConnectionAge) {}

void Connection::set_deadline(Clock::time_point deadline) {
    if (!aborted_) deadline_ = deadline;
}

Task<> Connection::run() {
    const TlsStream::Outcome outcome = co_await stream_.handshake();
    const bool established = outcome == TlsStream::Outcome::kDone;
    if (!stream_.handshake_problem().empty()) {
        state_.note_refusal(stream_.handshake_problem(), peer_.address);
    }
    if (established) {
        fingerprint_ = stream_.peer_fingerprint();
        seated_ = state_.admission.finish_handshake(peer_.id, !fingerprint_) &&
                  (!fingerprint_ || state_.admission.bind_certificate(peer_.id, *fingerprint_));
        bool again = true;
        while (again && !aborted_) again = co_await serve_one();
    }
    if (!aborted_) {
        set_deadline(Clock::now() + kLingerTime);
        stream_.clear_expiry();
    }
    co_await stream_.close(established ? kLingerBytes : 0);
}

// One request; out of memory is an answer like another.
Task<bool> Connection::serve_one() {
    bool out_of_memory = false;
    try {
        const bool again = co_await serve_request();
        co_return again;
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    if (out_of_memory) co_await write_answer(wait_answer(503, kRetryAfterBusy, "busy"), false);
    co_return false;
}

Task<bool> Connection::serve_request() {
    is_head_ = false;
    const Step come = co_await await_request();
    if (come == Step::kClose) co_return false;
    Request request(state_.bodies);
    Answer refusal;
    const Step read = co_await read_head(request.head, refusal);
    if (read == Step::kClose) {
        if (refusal.status != 200) co_await write_answer(refusal, false);
        co_return false;
    }
    is_head_ = request.head.method == "HEAD";
    request.started = request_start_;
    request.fingerprint = fingerprint_;
    request.address = peer_.address;
    request.network = peer_.network;
    const size_t length = static_cast<size_t>(request.head.content_length.value_or(0));
    const bool may_keep = request.head.keep_alive && Clock::now() < end_;
    if (!seated_) {
        co_return co_await refuse(wait_answer(503, kRetryAfterAway, "too many connections"), false,
                                  length);
    }
    if (!state_.knows_host(request.head.host)) {
        co_return co_await refuse(error_answer(400, "unknown Host"), false, length);
    }
    const Route* route = find_route(peer_.listener, request.head, refusal);
    if (route == nullptr) co_return co_await refuse(std::move(refusal), may_keep, length);
    if (route->needs_body && !request.head.content_length) {
        co_return co_await refuse(error_answer(411, "a Content-Length is required"), false, 0);
    }
    if (length > route->body_limit(state_)) {
        co_return co_await refuse(error_answer(413, "body too large"), false, length);
    }
    if (std::optional<Answer> refused = route->check(state_, request)) {
        co_return co_await refuse(*std::move(refused), may_keep, length);
    }
    const Step have_body = co_await read_body(request, length, refusal);
    if (have_body == Step::kClose) {
        if (refusal.status != 200) co_await write_answer(refusal, false);
        co_return false;
    }
    set_deadline(Clock::time_point::max());
    const Answer answer = co_await route->handle(state_, request);
    co_return co_await write_answer(answer, may_keep && !answer.close);
}

// Waits for the first byte of a request.
Task<Connection::Step> Connection::await_request() {
    const Clock::time_point now = Clock::now();
    request_start_ = now;
    if (now >= end_) co_return Step::kClose;
    if (!input_.empty()) co_return Step::kGo;
    // Who has no certificate and has not asked anything yet gets the time of a head.
    const bool patient = seated_ && (fingerprint_.has_value() || requests_ > 0);
    set_deadline(std::min(end_, now + (patient ? seconds(kIdleTime) : kHeadTime)));
    const TlsStream::Outcome outcome = co_await read_more(kReadPiece);
    request_start_ = Clock::now();
    co_return outcome == TlsStream::Outcome::kDone ? Step::kGo : Step::kClose;
}

// Appends what comes to input_.
Task<TlsStream::Outcome> Connection::read_more(size_t most) {
    const size_t before = input_.size();
    input_.resize(before + most);
    const TlsStream::Read read = co_await stream_.read_some(input_.data() + before, most);
    input_.resize(before + read.bytes);
    co_return read.outcome;
}

Task<Connection::Step> Connection::read_head(RequestHead& head, Answer& refusal) {
    set_deadline(request_start_ + kHeadTime);
    HeadScanner scanner;
    HeadScanner::State state = scanner.scan(input_);
    while (state == HeadScanner::State::kMore) {
        const TlsStream::Outcome outcome = co_await read_more(kReadPiece);
        if (outcome == TlsStream::Outcome::kExpired) {
            refusal = error_answer(408, "headers took too long");
        }
        if (outcome != TlsStream::Outcome::kDone) co_return Step::kClose;
        state = scanner.scan(input_);
    }
    HeadRefusal refused = scanner.refusal();
    if (!refused) {
        head_text_ = input_.substr(0, scanner.head_bytes());
        input_.erase(0, scanner.head_bytes());
        refused = parse_request_head(head_text_, head);
    }
    if (!refused) co_return Step::kGo;
    refusal = error_answer(refused.status, refused.reason);
    co_return Step::kClose;
}

Task<Connection::Step> Connection::read_body(Request& request, size_t length, Answer& refusal) {
    const Clock::time_point start = Clock::now();
    size_t have = 0;
    while (have < length) {
        std::string& body = request.body.bytes;
        if (have == body.size()) {
            const size_t size = std::min(length, std::max(kReadPiece * 4, have * 2));
            if (!request.body.grow(size)) {
                refusal = wait_answer(503, kRetryAfterBusy, "busy");
                co_return Step::kClose;
            }
        }
        if (!input_.empty()) {
            const size_t taken = std::min(input_.size(), body.size() - have);
            std::copy_n(input_.data(), taken, body.data() + have);
            input_.erase(0, taken);
            have += taken;
            continue;
        }
        const auto earned = milliseconds(have * 1000 / kBodyRate);
        set_deadline(std::min(request_start_ + kRequestTime, start + kBodyGrace + earned));
        const TlsStream::Read read =
            co_await stream_.read_some(body.data() + have, body.size() - have);
        if (read.outcome == TlsStream::Outcome::kExpired) {
            refusal = error_answer(408, "body took too long");
        }
        if (read.outcome != TlsStream::Outcome::kDone) co_return Step::kClose;
        have += read.bytes;
    }
    co_return Step::kGo;
}

// Reads a body that nobody wants, so that the connection can be kept.
Task<bool> Connection::skip_body(size_t length) {
    const size_t here = std::min(length, input_.size());
    input_.erase(0, here);
    length -= here;
    set_deadline(Clock::now() + kHeadTime);
    while (length > 0) {
        const TlsStream::Outcome outcome = co_await read_more(std::min(length, kReadPiece));
        if (outcome != TlsStream::Outcome::kDone) co_return false;
        length -= input_.size();
        input_.clear();
    }
    co_return true;
}

// An answer to a request whose body of `unread` bytes has not been read.
Task<bool> Connection::refuse(Answer answer, bool may_keep, size_t unread) {
    bool keep = may_keep && !answer.close && unread <= kSkippedBodyBytes;
    if (keep) keep = co_await skip_body(unread);
    co_return co_await write_answer(answer, keep);
}

Task<bool> Connection::write_answer(const Answer& answer, bool keep_alive) {
    if (aborted_) co_return false;
    stream_.clear_expiry();
    set_deadline(Clock::now() + kAnswerTime);
    ++requests_;
    const std::string bytes = answer_bytes(answer, keep_alive, host::now_seconds(), is_head_);
    const TlsStream::Outcome outcome = co_await stream_.write_all(bytes);
    // What a request may have needed is given back.
    if (input_.empty()) std::string().swap(input_);
    std::string().swap(head_text_);
    co_return keep_alive&& outcome == TlsStream::Outcome::kDone;
}

}  // namespace pganalytics::serve
