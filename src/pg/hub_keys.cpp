// Questions to `pganalytics keys` (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_keys.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace pganalytics::pg {

namespace {

constexpr int64_t kRunLimitUs = 20 * int64_t{1000000};
constexpr int64_t kEndLimitUs = 1 * int64_t{1000000};
constexpr size_t kQueueLimit = size_t{1} << 20;
constexpr size_t kLines = 16;
constexpr int kNothingDueMs = 60000;

}  // namespace

uint64_t HubKeys::ask(const KeysInit& question) { return enqueue(make_frame(question)); }
uint64_t HubKeys::ask(const KeysSign& question) { return enqueue(make_frame(question)); }

uint64_t HubKeys::enqueue(std::string frame) {
    if (questions_.size() >= kWaiting) return 0;
    questions_.push_back({++last_number_, std::move(frame)});
    return last_number_;
}

void HubKeys::start(int64_t now_us) {
    Program::Options options;
    options.path = program_;
    options.subcommand = "keys";
    options.queue_limit = kQueueLimit;
    options.restart = false;
    run_ = std::make_unique<Program>(std::move(options));
    asked_ = questions_.front().number;
    answered_ = false;
    deadline_us_ = now_us + kRunLimitUs;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = run_->wait_fd();
    epoll_ctl(poll_, EPOLL_CTL_ADD, run_->wait_fd(), &event);
}

int HubKeys::service(int64_t now_us) {
    if (!run_ && questions_.empty()) return kNothingDueMs;
    if (!run_) start(now_us);
    int wait_ms = run_->service(now_us);
    take_frames(now_us);
    if (run_->take_started() && !run_->send(std::move(questions_.front().frame)))
        run_->reject("its question could not be sent");
    if (now_us >= deadline_us_) {
        run_->reject(answered_ ? "it did not end after its answer" : "it took longer than 20 s");
        deadline_us_ = INT64_MAX;
    }
    if (deadline_us_ != INT64_MAX)
        wait_ms = std::min(wait_ms, static_cast<int>((deadline_us_ - now_us) / 1000 + 1));
    const bool over =
        run_->state() == Program::State::kWaiting || run_->state() == Program::State::kMismatched;
    if (!over) return wait_ms;
    end_run();
    return 0;
}

void HubKeys::end_run() {
    std::string failure = run_->take_failure();
    if (!answered_) {
        if (failure.empty()) failure = "program \"pganalytics keys\" ended without an answer";
        finish({asked_, std::move(failure)});
    }
    epoll_ctl(poll_, EPOLL_CTL_DEL, run_->wait_fd(), nullptr);
    run_.reset();
}

void HubKeys::take_frames(int64_t now_us) {
    while (const auto frame = run_->next()) {
        if (frame->type == FrameType::kLog) {
            if (lines_.size() < kLines) lines_.emplace_back(frame->payload);
            continue;
        }
        if (!answered_ && frame->type == FrameType::kKeysInitResult) {
            if (auto result = decode<KeysInitResult>(frame->payload)) {
                finish({asked_, std::move(*result)});
                deadline_us_ = now_us + kEndLimitUs;
                continue;
            }
        }
        if (!answered_ && frame->type == FrameType::kKeysSignResult) {
            if (auto result = decode<KeysSignResult>(frame->payload)) {
                finish({asked_, std::move(*result)});
                deadline_us_ = now_us + kEndLimitUs;
                continue;
            }
        }
        return run_->reject("it sent a frame that is not understood");
    }
}

void HubKeys::finish(Answer answer) {
    // First what may fail: who asked waits for it.
    answers_.push_back(std::move(answer));
    answered_ = true;
    questions_.pop_front();
}

std::optional<HubKeys::Answer> HubKeys::take_answer() {
    if (answers_.empty()) return std::nullopt;
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
}

std::optional<std::string> HubKeys::take_line() {
    if (lines_.empty()) return std::nullopt;
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    return line;
}

void HubKeys::stop_now() {
    if (run_) run_->stop_now();
}

}  // namespace pganalytics::pg
