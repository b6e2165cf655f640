// A session asks the collector (see the header). Runs in sessions.
#include "pganalytics/pg/ask.hpp"

#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/request_channel.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr size_t kMaxRequestBytes = 4096;
// The collector's death wakes us; this is for what nobody foresaw.
constexpr int kLookMs = 1000;

struct EncodedRequest {
    size_t size = 0;  // 0: too long
    char bytes[kMaxRequestBytes];
};

// What is held while waiting, given back whatever happens.
struct Held {
    uint64_t number = 0;
    RequestSlot* slot = nullptr;
    dsm_segment* segment = nullptr;
    uint64_t generation = 0;  // of the worker that was asked
};

void encode_request(const Question& question, uint64_t number, EncodedRequest* out) {
    Request request;
    request.number = number;
    request.kind = question.kind;
    request.timeout_ms = question.timeout_ms;
    for (const char* argument : question.arguments) {
        if (argument == nullptr) break;
        request.arguments.emplace_back(argument);
    }
    const std::string bytes = encode(request);
    if (bytes.size() > sizeof out->bytes) return;
    std::memcpy(out->bytes, bytes.data(), bytes.size());
    out->size = bytes.size();
}

void set_error(FlatError* error, int code, const char* message, const char* detail = "",
               const char* hint = "") {
    error->code = code;
    copy_text(error->message, message);
    copy_text(error->detail, detail);
    copy_text(error->hint, hint);
}

// False where the library is not preloaded or no worker runs.
bool find_worker(uint64_t* generation, FlatError* error) {
    if (shared_state() == nullptr) {
        set_error(error, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                  "pganalytics is not loaded by the server", "",
                  "Add pganalytics to shared_preload_libraries and restart the server.");
        return false;
    }
    CollectorShared& shared = shared_state()->collector;
    pid_t pid = 0;
    {
        const SpinLock lock(shared.mutex);
        pid = shared.pid;
        *generation = shared.generation;
    }
    if (pid != 0) return true;
    set_error(error, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
              "the pganalytics collector does not run", "",
              "It starts by itself, after an error within 5 s; the server's log has the reason.");
    return false;
}

bool worker_is_there(uint64_t generation) {
    CollectorShared& shared = shared_state()->collector;
    const SpinLock lock(shared.mutex);
    return shared.pid != 0 && shared.generation == generation;
}

bool is_refused(const Held& held) {
    const SpinLock lock(shared_state()->requests.mutex);
    return held.slot->state == SlotState::kFailed;
}

uint64_t next_number() {
    RequestsShared& shared = shared_state()->requests;
    const SpinLock lock(shared.mutex);
    return ++shared.last_number;
}

bool take_slot(const Question& question, Held* held) {
    RequestsShared& shared = shared_state()->requests;
    const dsm_handle handle = dsm_segment_handle(held->segment);
    const SpinLock lock(shared.mutex);
    for (RequestSlot& slot : shared.slots) {
        if (slot.state != SlotState::kFree) continue;
        slot.state = SlotState::kAsked;
        slot.kind = static_cast<uint8_t>(question.kind);
        slot.number = held->number;
        slot.timeout_ms = question.timeout_ms;
        slot.segment = handle;
        slot.asker_pid = MyProcPid;
        slot.asker = MyLatch;
        held->slot = &slot;
        return true;
    }
    return false;
}

void give_back(int, Datum datum) {
    auto* held = reinterpret_cast<Held*>(DatumGetPointer(datum));
    if (held->slot != nullptr) {
        RequestsShared& shared = shared_state()->requests;
        const SpinLock lock(shared.mutex);
        std::memset(static_cast<void*>(held->slot), 0, sizeof *held->slot);
        held->slot = nullptr;
    }
    // So that it lets go of the segment.
    wake_collector();
}

shm_mq_handle* make_segment(const EncodedRequest& request, Held* held) {
    const auto length = static_cast<uint32_t>(request.size);
    shm_toc_estimator estimator;
    shm_toc_initialize_estimator(&estimator);
    shm_toc_estimate_chunk(&estimator, sizeof length + request.size);
    shm_toc_estimate_chunk(&estimator, kAnswerQueueBytes);
    shm_toc_estimate_keys(&estimator, 2);
    const Size size = shm_toc_estimate(&estimator);
    held->segment = dsm_create(size, 0);
    shm_toc* toc = shm_toc_create(kRequestMagic, dsm_segment_address(held->segment), size);
    auto* text = static_cast<char*>(shm_toc_allocate(toc, sizeof length + request.size));
    std::memcpy(text, &length, sizeof length);
    std::memcpy(text + sizeof length, request.bytes, request.size);
    shm_toc_insert(toc, kRequestKeyText, text);
    shm_mq* mq = shm_mq_create(shm_toc_allocate(toc, kAnswerQueueBytes), kAnswerQueueBytes);
    shm_toc_insert(toc, kRequestKeyQueue, mq);
    shm_mq_set_receiver(mq, MyProc);
    return shm_mq_attach(mq, held->segment, nullptr);
}

// The answer's last message. False: it says that something went wrong.
bool take_end(std::string_view bytes, FlatError* error) {
    bool good = false;
    guarded([&] {
        const auto end = decode<AnswerEnd>(bytes);
        if (!end) {
            set_error(error, ERRCODE_PROTOCOL_VIOLATION, "malformed answer of the collector");
        } else if (end->sqlstate.empty()) {
            good = true;
        } else {
            error->code = sqlstate_code(end->sqlstate);
            copy_text(error->message, end->message);
            copy_text(error->detail, end->detail);
            copy_text(error->hint, end->hint);
        }
    });
    return good;
}

enum class Step : uint8_t { kGood, kBad, kAgain, kNothing };

Step receive_message(shm_mq_handle* queue, StringInfo answer, FlatError* error) {
    Size size = 0;
    void* data = nullptr;
    switch (shm_mq_receive(queue, &size, &data, true)) {
        case SHM_MQ_WOULD_BLOCK:
            return Step::kNothing;
        case SHM_MQ_DETACHED:
            set_error(error, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                      "the pganalytics collector ended while the request was worked on", "",
                      "Try again; it is started anew within 5 s.");
            return Step::kBad;
        case SHM_MQ_SUCCESS:
            break;
    }
    const std::string_view message(static_cast<const char*>(data), size);
    if (size > 0 && message.front() == kAnswerPiece) {
        appendBinaryStringInfo(answer, message.data() + 1, static_cast<int>(size - 1));
        return Step::kAgain;
    }
    return take_end(message.substr(std::min<size_t>(size, 1)), error) ? Step::kGood : Step::kBad;
}

bool wait_for_answer(const Question& question, const Held& held, shm_mq_handle* queue,
                     StringInfo answer, FlatError* error) {
    // (not by its initialiser, which an ERROR would leave half done for ever)
    static uint32 answer_wait_event = 0;
    if (answer_wait_event == 0) answer_wait_event = wait_event("PganalyticsAnswer");
    const int64_t deadline = monotonic_us() + int64_t{question.timeout_ms} * 1000;
    while (true) {
        const Step step = receive_message(queue, answer, error);
        if (step == Step::kAgain) continue;
        if (step != Step::kNothing) return step == Step::kGood;
        if (!worker_is_there(held.generation)) {
            set_error(error, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                      "the pganalytics collector ended while the request was worked on", "",
                      "Try again; it is started anew within 5 s.");
            return false;
        }
        if (is_refused(held)) {
            set_error(error, ERRCODE_INSUFFICIENT_RESOURCES,
                      "the pganalytics collector could not take the request", "",
                      "It lacks memory or file descriptors; the server's log has the reason.");
            return false;
        }
        const int64_t left_us = deadline - monotonic_us();
        if (left_us <= 0) {
            set_error(error, ERRCODE_QUERY_CANCELED, "no answer within the time limit", "",
                      "select * from pganalytics_status() shows what the collector is doing.");
            return false;
        }
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                  std::min<long>(left_us / 1000 + 1, kLookMs), answer_wait_event);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}

bool converse(const Question& question, Held* held, StringInfo answer, FlatError* error) {
    EncodedRequest request;
    held->number = next_number();
    guarded([&] { encode_request(question, held->number, &request); });
    if (request.size == 0) {
        set_error(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "arguments are too long");
        return false;
    }
    shm_mq_handle* queue = make_segment(request, held);
    bool good = false;
    PG_ENSURE_ERROR_CLEANUP(give_back, PointerGetDatum(held));
    {
        if (take_slot(question, held)) {
            wake_collector();
            good = wait_for_answer(question, *held, queue, answer, error);
        } else {
            set_error(error, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                      "too many sessions ask the pganalytics collector at a time");
        }
    }
    PG_END_ENSURE_ERROR_CLEANUP(give_back, PointerGetDatum(held));
    give_back(0, PointerGetDatum(held));
    dsm_detach(held->segment);
    return good;
}

}  // namespace

StringInfo ask_softly(const Question& question, FlatError* error) {
    StringInfo answer = makeStringInfo();
    Held held;
    if (!find_worker(&held.generation, error)) return nullptr;
    return converse(question, &held, answer, error) ? answer : nullptr;
}

StringInfo ask(const Question& question) {
    FlatError error;
    StringInfo answer = ask_softly(question, &error);
    if (answer == nullptr) raise(error);
    return answer;
}

}  // namespace pganalytics::pg
