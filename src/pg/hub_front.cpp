// `pganalytics serve` under the hub worker (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_front.hpp"

#include <sys/epoll.h>

#include <utility>

namespace pganalytics::pg {

namespace {

// Room for the states of some ten thousand collectors.
constexpr size_t kQueueLimit = size_t{32} << 20;
constexpr int kNothingDueMs = 60000;

}  // namespace

void HubFront::start() {
    if (program_) return;
    Program::Options options;
    options.path = program_path_;
    options.subcommand = "serve";
    options.queue_limit = kQueueLimit;
    program_ = std::make_unique<Program>(std::move(options));
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = program_->wait_fd();
    epoll_ctl(poll_, EPOLL_CTL_ADD, program_->wait_fd(), &event);
}

void HubFront::stop() {
    if (!program_) return;
    program_->stop_now();
    epoll_ctl(poll_, EPOLL_CTL_DEL, program_->wait_fd(), nullptr);
    starts_before_ += program_->starts();
    cpu_before_ += program_->cpu_us();
    program_.reset();
    told_ = false;
    ended_ = true;
}

int HubFront::service(int64_t now_us) {
    if (!program_) return kNothingDueMs;
    const int wait_ms = program_->service(now_us);
    if (told_ && program_->state() != Program::State::kRunning) {
        told_ = false;
        ended_ = true;
    }
    return wait_ms;
}

bool HubFront::take_ended() { return std::exchange(ended_, false); }

std::optional<Frame> HubFront::next() {
    if (!program_) return std::nullopt;
    auto frame = program_->next();
    if (program_->take_started()) tell_all();
    return frame;
}

void HubFront::reject(std::string why) {
    if (program_) program_->reject(std::move(why));
}

std::string HubFront::take_failure() { return program_ ? program_->take_failure() : std::string(); }

void HubFront::tell_all() {
    told_ = true;
    program_->send(settings_);
    program_->send(targets_);
    for (const auto& [id, frame] : collectors_) program_->send(frame);
    program_->send(health_);
    program_->send(make_frame(Open{}));
}

void HubFront::set_settings(const ServeSettings& settings) {
    std::string frame = make_frame(settings);
    if (frame == settings_ && !again_) return;
    again_ = false;
    settings_ = std::move(frame);
    if (running()) program_->send(settings_);
}

void HubFront::set_targets(std::vector<ServeTarget> targets) {
    ServeTargets message;
    message.targets = std::move(targets);
    std::string frame = make_frame(message);
    if (frame == targets_) return;
    targets_ = std::move(frame);
    if (running()) program_->send(targets_);
}

void HubFront::set_health(const HubHealth& health) {
    std::string frame = make_frame(health);
    if (frame == health_) return;
    health_ = std::move(frame);
    if (running()) program_->send(health_);
}

void HubFront::set_collectors(const std::vector<CollectorState>& collectors) {
    std::map<Uuid, std::string> now;
    for (const CollectorState& collector : collectors)
        now[collector.collector_id] = make_frame(collector);
    if (running()) {
        for (const auto& [id, frame] : now) {
            const auto before = collectors_.find(id);
            if (before == collectors_.end() || before->second != frame) program_->send(frame);
        }
        for (const auto& [id, frame] : collectors_) {
            if (now.find(id) == now.end()) program_->send(make_frame(CollectorGone{id}));
        }
    }
    collectors_ = std::move(now);
}

}  // namespace pganalytics::pg
