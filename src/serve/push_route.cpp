// POST /metrics/push: identity, limits, inflate, parse, hand over, acknowledge. Runs in
// `pganalytics serve`.
#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/gzip.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/media.hpp"
#include "pganalytics/serve/push_decoder.hpp"
#include "pganalytics/serve/push_frames.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

namespace {

// Gives the collector's place back unless the worker link has taken it over.
class Ingest {
  public:
    Ingest(WorkerLink& worker, const Uuid& collector_id)
        : worker_(worker), collector_id_(collector_id), held_(worker.begin_ingest(collector_id)) {}
    ~Ingest() {
        if (held_) worker_.end_ingest(collector_id_);
    }
    Ingest(const Ingest&) = delete;
    Ingest& operator=(const Ingest&) = delete;
    bool held() const { return held_; }
    void hand_over() { held_ = false; }

  private:
    WorkerLink& worker_;
    Uuid collector_id_;
    bool held_;
};

struct Received {
    size_t bytes = 0;  // on the wire
    std::string json;
    Sha256 digest{};
};

// The body as JSON text; an answer where it is none.
std::optional<Answer> open_body(const FrontState& state, Request& request, Received& received) {
    received.bytes = request.body.bytes.size();
    if (content_coding(request.head) == Coding::kGzip) {
        net::Inflated inflated =
            net::inflate_gzip(request.body.bytes, kInflatedBytes, state.settings.accept_zlib);
        request.body.clear();
        if (!inflated) {
            const bool too_large = inflated.problem == net::InflateProblem::kTooLarge;
            return error_answer(too_large ? 413 : 400, "body not accepted",
                                net::inflate_problem_text(inflated.problem));
        }
        received.json = std::move(inflated.bytes);
    } else {
        received.json = request.body.bytes;
        request.body.clear();
        if (received.json.size() > kInflatedBytes) return error_answer(413, "body too large");
    }
    received.digest = net::sha256(received.json);
    return std::nullopt;
}

// For a push without snapshot_id: the same body gives the same id (version 8 of RFC 9562).
Uuid snapshot_id_of(const Sha256& digest) {
    Uuid uuid{};
    std::copy(digest.begin(), digest.begin() + uuid.size(), uuid.begin());
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
    return uuid;
}

PushBegin begin_of(const PushFrames& frames, const Received& received, const Uuid& collector_id,
                   uint64_t number, int64_t now) {
    const Envelope& envelope = frames.push().envelope;
    PushBegin begin;
    begin.number = number;
    begin.collector_id = collector_id;
    begin.snapshot_id = envelope.snapshot_id.value_or(snapshot_id_of(received.digest));
    begin.incarnation = envelope.incarnation.value_or(Uuid{});
    begin.sequence = envelope.sequence;
    begin.digest = received.digest;
    begin.cycle = envelope.cycle.value_or(Uuid{});
    begin.part = static_cast<uint32_t>(envelope.part);
    begin.parts = static_cast<uint32_t>(envelope.parts);
    begin.time = envelope.timestamp.value_or(now);
    begin.received_at = now;
    begin.hostname = envelope.hostname;
    begin.version = envelope.version;
    begin.system_identifier = envelope.system_identifier;
    begin.in_recovery = envelope.in_recovery;
    begin.config_version = envelope.config_version;
    begin.bytes_received = received.bytes;
    begin.bytes_json = frames.push().body.size();
    begin.too_old = frames.too_old();
    begin.future = frames.future();
    begin.unknown = frames.push().unknown.json();
    return begin;
}

std::string limits_json(const FrontState& state) {
    return JsonObject()
        .number("max_body", static_cast<uint64_t>(state.settings.max_body))
        .number("max_inflated", kInflatedBytes)
        .number("requests_per_second", static_cast<uint64_t>(kPushesPerSecond))
        .number("burst", static_cast<uint64_t>(kPushBurst))
        .number("connections", kConnectionsCertificate)
        .take();
}

// What the worker says to a sender: its own text, but not more of it than a sender needs.
std::string worker_text(std::string_view message) {
    constexpr size_t kLongest = 200;
    std::string text;
    append_utf8_clean(text, message);
    return std::string(utf8_cut(text, kLongest));
}

Answer acknowledgement(const FrontState& state, const Request& request, const PushBegin& begin,
                       const PushResult& result) {
    const auto taken = std::chrono::duration_cast<milliseconds>(Clock::now() - request.started);
    Answer answer;
    answer.body = JsonObject()
                      .text("status", "success")
                      .text("collector_id", uuid_text(begin.collector_id))
                      .text("snapshot_id", uuid_text(begin.snapshot_id))
                      .number("sequence", begin.sequence)
                      .text("digest", hex_text(begin.digest))
                      .number("metrics_inserted", result.inserted)
                      .raw("unknown", begin.unknown)
                      .number("too_old", begin.too_old)
                      .number("future", begin.future)
                      .boolean("duplicate", result.outcome == PushOutcome::kDuplicate)
                      .boolean("want_full", result.want_full)
                      .number("bytes_received", begin.bytes_received)
                      .number("processing_time_ms", static_cast<uint64_t>(taken.count()))
                      .number("next_config_version", 0)
                      .number("next_check_in_seconds", kNextCheckSeconds)
                      .text("ca", state.ca_mark)
                      .raw("limits", limits_json(state))
                      .take();
    return answer;
}

Answer answer_of(const FrontState& state, const Request& request, const PushBegin& begin,
                 const PushResult& result) {
    switch (result.outcome) {
        case PushOutcome::kStored:
        case PushOutcome::kDuplicate:
            return acknowledgement(state, request, begin, result);
        case PushOutcome::kConflict:
            return error_answer(409, "this snapshot or sequence was stored with other content");
        case PushOutcome::kRefused:
            return error_answer(422, "the rows of this push can't be stored",
                                worker_text(result.message));
        case PushOutcome::kOverQuota:
            return wait_answer(429, std::max(result.retry_after_s, 1U),
                               "the storage quota of this collector is used up");
        case PushOutcome::kBusy:
            break;
    }
    return wait_answer(503, std::max(result.retry_after_s, 1U), "busy");
}

}  // namespace

std::optional<Answer> check_push(FrontState& state, Request& request) {
    if (!check_certificate(state, request) || !check_token(state, request)) return unauthorized();
    if (state.collectors.take_first_use(*request.fingerprint)) {
        state.worker->send(CertificateUsed{request.collector.collector_id, *request.fingerprint});
    }
    const uint32_t wait =
        state.rates.pushes.take(net::as_text(request.collector.collector_id), Clock::now());
    if (wait > 0) return wait_answer(429, wait, "too many requests");
    if (!is_json(request.head)) return error_answer(415, "Content-Type must be application/json");
    if (!content_coding(request.head)) {
        return error_answer(415, "Content-Encoding must be gzip or identity");
    }
    if (state.worker->worker_away()) {
        return wait_answer(503, kRetryAfterAway, "the hub cannot store now");
    }
    return std::nullopt;
}

Task<Answer> handle_push(FrontState& state, Request& request) {
    WorkerLink& worker = *state.worker;
    const Uuid collector_id = request.collector.collector_id;
    Ingest ingest(worker, collector_id);
    if (!ingest.held()) co_return wait_answer(503, 1, "a push of this collector is on its way");
    std::optional<WorkerLink::Slot> slot = co_await worker.take_slot();
    if (!slot) co_return wait_answer(503, kRetryAfterBusy, "busy");

    Received received;
    if (std::optional<Answer> refused = open_body(state, request, received)) co_return *refused;
    const std::shared_ptr<const PushTargets> targets = state.targets;
    auto decoded = decode_push(std::move(received.json), *targets);
    if (const auto* problem = std::get_if<JsonProblem>(&decoded)) {
        co_return error_answer(400, "body not accepted", problem->text());
    }
    const int64_t now = host::now_us();
    const uint64_t number = worker.next_number();
    PushFrames frames(std::get<Push>(std::move(decoded)), targets, collector_id, number,
                      row_window(now, state.settings.retention_s));
    if (frames.push().envelope.collector_id != collector_id) {
        co_return error_answer(403, "collector_id is not the certificate's");
    }
    if (const char* reason = frames.refusal()) {
        co_return error_answer(400, "body not accepted", reason);
    }
    const PushBegin begin = begin_of(frames, received, collector_id, number, now);
    Task<std::optional<PushResult>> storing =
        worker.store(begin, std::move(frames), *std::move(slot));
    ingest.hand_over();
    const std::optional<PushResult> result = co_await std::move(storing);
    if (!result) co_return wait_answer(503, kRetryAfterAway, "the hub cannot store now");
    co_return answer_of(state, request, begin, *result);
}

}  // namespace pganalytics::serve
