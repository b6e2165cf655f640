// The event loop and the frames (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/shipper.hpp"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "pganalytics/core/version.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/random.hpp"
#include "pganalytics/ship/host_figures.hpp"
#include "pganalytics/ship/reading_limit.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kLongestWait = 2 * kSecond;
constexpr int64_t kHostPatience = 2 * kSecond;
constexpr int64_t kRequestPatience = 30 * kSecond;
// Frames taken before the hub gets its turn: some 20 ms of work.
constexpr int kFramesAtOnce = 16;

SipKey random_key() { return {net::random_number(), net::random_number()}; }

Moment this_moment() { return {host::monotonic_us(), host::now_us()}; }

uint64_t process_cpu_us() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<uint64_t>(now.tv_nsec) / 1000;
}

template <class Message>
Status with_message(std::string_view payload, auto&& use) {
    const std::optional<Message> message = decode<Message>(payload);
    if (!message)
        return make_error(sqlstate::kProtocolViolation,
                          "malformed frame from the collector: type " +
                              std::to_string(static_cast<int>(Message::kType)));
    return use(*message);
}

}  // namespace

Shipper::Shipper()
    : now_(this_moment()),
      answers_(socket_),
      started_at_(now_.wall),
      filter_(random_key()),
      schedule_(3600 * kSecond),
      incarnation_(net::random_uuid()),
      queue_(incarnation_, [] { return static_cast<uint32_t>(net::random_number()); }),
      link_(queue_) {}

int Shipper::run() {
    Hello hello;
    hello.version = kVersion;
    hello.catalog_digest = catalog_digest();
    start_io_helper();
    if (const Result<Hello> theirs = socket_.exchange_hello(hello); !theirs) return 1;
    while (!anew_) {
        wait();
        now_ = this_moment();
        queue_.settle();
        socket_.service();
        if (!take_frames()) break;
        end_cycle_where_due();
        look_at_state_directory();
        look_at_sandbox();
        begin_anew_where_due();
        // The hub's first byte comes into the sandbox.
        if (sandbox_.entered()) serve_hub();
        answer_waiters();
        answers_.pump();
    }
    if (queue_.keep_all() && journal_) journal(journal_->end(incarnation_));
    return exit_status_;
}

void Shipper::wait() {
    int64_t until = now_.monotonic + kLongestWait;
    const auto also = [&until](std::optional<int64_t> time) {
        if (time) until = std::min(until, *time);
    };
    if (sandbox_.entered()) also(link_.due());  // it is not served before
    also(waiters_.next_deadline());
    if (cycle_ && cycle_->ended()) also(host_deadline_);
    // The descriptor tells nothing of frames that were read with the last ones.
    if (frames_left_) until = now_.monotonic;
    // Rounded up, so that it is not early and turns in a circle.
    const int64_t left = std::max<int64_t>(until - host::monotonic_us(), 0);
    const int timeout = static_cast<int>((left + 999) / 1000);
    pollfd descriptors[] = {{socket_.descriptor(), socket_.events(), 0},
                            {volumes_.descriptor(), POLLIN, 0},
                            {files_.descriptor(), POLLIN, 0},
                            {queue_.descriptor(), POLLIN, 0}};
    if (net::HttpsClient* client = link_.client()) {
        client->wait(descriptors, timeout);
    } else {
        poll(descriptors, std::size(descriptors), timeout);
    }
}

// False: the conversation is over.
bool Shipper::take_frames() {
    frames_left_ = true;
    for (int i = 0; i < kFramesAtOnce && !anew_; ++i) {
        const std::optional<Frame> frame = socket_.next();
        frames_left_ = frame.has_value();
        if (!frame) break;
        if (frame->type == FrameType::kStop) return false;
        if (const Status taken = take(*frame); !taken) {
            log(LogLevel::kError, "frames", taken.error());
            socket_.drain(100);
            exit_status_ = 1;
            return false;
        }
    }
    if (socket_.state() == net::FrameSocket::State::kFailed) exit_status_ = 1;
    return socket_.state() == net::FrameSocket::State::kOpen;
}

Status Shipper::take(const Frame& frame) {
    switch (frame.type) {
        case FrameType::kShipSettings:
            return with_message<ShipSettings>(
                frame.payload, [this](const ShipSettings& m) { return take_settings(m); });
        case FrameType::kServerFacts:
            return with_message<ServerFacts>(frame.payload, [this](const ServerFacts& m) {
                take_facts(m);
                return Status();
            });
        case FrameType::kCycleBegin:
            return with_message<CycleBegin>(frame.payload,
                                            [this](const CycleBegin& m) { return begin_cycle(m); });
        case FrameType::kRequest:
            return with_message<Request>(frame.payload, [this](const Request& m) {
                take_request(m);
                return Status();
            });
        case FrameType::kSelfEnrol:
            return with_message<SelfEnrol>(frame.payload, [this](const SelfEnrol& m) {
                const Status begun = link_.enrol(m.url, m.token, 0, now_.monotonic + 30 * kSecond);
                if (!begun) log(LogLevel::kWarning, "enrolment", begun.error());
                return Status();
            });
        default:
            break;
    }
    if (!cycle_ || cycle_->ended())
        return make_error(sqlstate::kProtocolViolation,
                          "unexpected frame from the collector: type " +
                              std::to_string(static_cast<int>(frame.type)));
    switch (frame.type) {
        case FrameType::kRowsetBegin:
            return with_message<RowsetBegin>(
                frame.payload, [this](const RowsetBegin& m) { return cycle_->begin_rowset(m); });
        case FrameType::kRowsetRows:
            return cycle_->rows(frame.payload);
        case FrameType::kRowsetEnd:
            return with_message<RowsetEnd>(
                frame.payload, [this](const RowsetEnd& m) { return cycle_->end_rowset(m); });
        case FrameType::kCycleEnd:
            return with_message<CycleEnd>(frame.payload, [this](const CycleEnd& m) {
                cycle_->end(m);
                if (!cycle_->need_complete().empty())
                    socket_.send_message(NeedComplete{cycle_->need_complete()});
                host_deadline_ = now_.monotonic + kHostPatience;
                begin_file_sizes();
                return Status();
            });
        default:
            return make_error(sqlstate::kProtocolViolation,
                              "unknown frame from the collector: type " +
                                  std::to_string(static_cast<int>(frame.type)));
    }
}

Status Shipper::take_settings(const ShipSettings& settings) {
    const bool same_state =
        settings_ && settings_->state_directory == settings.state_directory && state_lock_;
    if (!settings_ || settings_->memory_limit != settings.memory_limit) {
        if (settings.memory_limit > 0)
            if (Status limited = host::limit_memory(static_cast<uint64_t>(settings.memory_limit));
                !limited)
                log(LogLevel::kWarning, "memory limit", limited.error());
    }
    settings_ = settings;
    if (needs_new_process()) {
        begin_anew("Its settings name files that were none of its business before.");
        return {};
    }
    if (!same_state) set_up_state_directory();
    schedule_.set_interval(int64_t{settings.full_interval_s} * kSecond);
    // A fifth of what is allowed to all of this process.
    file_lists_.set_limit(static_cast<size_t>(std::max<int64_t>(settings.memory_limit, 0)) / 5);
    // A third of the memory; the rest is for a cycle under way, the filter and the libraries.
    const int64_t memory = std::max<int64_t>(settings.memory_limit, 0);
    queue_.set_limits(static_cast<size_t>(std::max<int64_t>(
                          std::min(settings.spool_limit, memory / 3), int64_t{1} << 20)),
                      static_cast<uint64_t>(std::max<int64_t>(settings.spool_limit, 0)));
    queue_.use_directory(state_problem_ ? std::string() : settings.state_directory + "/spool",
                         now_);
    if (!same_state) forget_losses_before();
    link_.configure(settings, !state_problem_, now_);
    // At once: the next frame may be a cycle, and that is the new identity's.
    take_link_change();
    enter_sandbox();
    return {};
}

void Shipper::take_facts(const ServerFacts& facts) {
    const int major = facts.server_version_num / 10000;
    // Shapes are pointed to by the cycle under way; a server does not change its major in a run.
    if (!shapes_) shapes_.emplace(major);
    facts_ = facts;
    enter_sandbox();
}

Status Shipper::begin_cycle(const CycleBegin& begin) {
    if (!settings_ || !shapes_)
        return make_error(sqlstate::kProtocolViolation, "cycle before settings and facts");
    if (cycle_ && !cycle_->ended())
        return make_error(sqlstate::kProtocolViolation, "cycle within a cycle");
    if (cycle_) finish_cycle();  // the host's figures of that one come too late
    CycleOptions options;
    options.begin = begin;
    options.now = now_.monotonic;
    options.reading_limit = reading_limits(settings_->memory_limit);
    const bool hub = link_.identity() || link_.enrolling() || link_.expects_self_enrolment();
    options.use = begin.purpose == CyclePurpose::kPreview ? CycleUse::kPreview
                  : hub                                   ? CycleUse::kSend
                                                          : CycleUse::kCount;
    if (options.use == CycleUse::kSend) drop_held_cycle();
    if (const auto asked = cycle_requests_.find(begin.request); asked != cycle_requests_.end()) {
        options.plugin = asked->second.plugin;
        cycle_requests_.erase(asked);
    } else if (begin.purpose == CyclePurpose::kPushNow) {
        waiters_.ask(begin.request, now_.monotonic + kRequestPatience);
    }
    EnvelopeHead& head = options.snapshots.head;
    head.hostname = host_name();
    head.time = begin.time;
    head.version = kVersion;
    head.system_identifier = facts_->system_identifier;
    head.in_recovery = facts_->in_recovery;
    head.incarnation = incarnation_;
    head.cycle = net::random_uuid();
    options.snapshots.slice_bytes = slice_bytes_;
    options.snapshots.new_id = net::random_uuid;
    cycle_cpu_ = process_cpu_us();
    cycle_ = std::make_unique<Cycle>(std::move(options), *shapes_, filter_, schedule_, own_groups_,
                                     slices_);
    begin_host_reading();
    return {};
}

void Shipper::begin_host_reading() {
    const ReadHostRowset read = host_figures(*facts_, processes_);
    std::vector<RowsetShape> volumes;
    for (RowsetShape& shape : cycle_->own_shapes(Scope::kHost)) {
        if (may_hang(*shape.rowset)) {
            volumes.push_back(std::move(shape));
        } else {
            host_rowsets_.push_back(read_host_rowset(shape, read));
        }
    }
    awaits_volumes_ = !volumes.empty();
    volumes_missed_ = awaits_volumes_ && !volumes_.start(std::move(volumes), read);
    if (volumes_missed_) awaits_volumes_ = false;
}

// A cycle ends when the worker has ended it and the host's figures are there, or don't come.
void Shipper::end_cycle_where_due() {
    std::optional<std::vector<HostRowset>> read = volumes_.take();
    if (read && awaits_volumes_) {
        awaits_volumes_ = false;
        std::move(read->begin(), read->end(), std::back_inserter(host_rowsets_));
    }
    take_file_sizes();
    if (!cycle_ || !cycle_->ended()) return;
    if ((!awaits_volumes_ && !awaits_files_) || now_.monotonic >= host_deadline_) finish_cycle();
}

void Shipper::finish_cycle() {
    if (awaits_volumes_ || volumes_missed_) {
        ++figures_.host_readings_missed;
        log(LogLevel::kWarning, "volumes",
            make_error(sqlstate::kIoError,
                       "the file systems did not tell their sizes within 2 seconds",
                       "One of the volumes that this server uses may hang."));
    }
    awaits_volumes_ = volumes_missed_ = false;
    for (const HostRowset& rowset : host_rowsets_) cycle_->add_host_rowset(rowset);
    host_rowsets_.clear();
    finish_file_sizes();
    add_own_rowsets();
    const std::unique_ptr<Cycle> cycle = std::move(cycle_);
    keep_own_groups();
    count(*cycle);
    const CycleBegin& begin = cycle->begin();
    if (begin.purpose == CyclePurpose::kCollectNow) answer_collect_now(begin.request, *cycle);
    switch (cycle->use()) {
        case CycleUse::kPreview: {
            uint64_t unused = next_sequence_;
            const Uuid id = link_.identity() ? link_.identity()->collector_id : Uuid{};
            answers_.send_documents(begin.request, cycle->take_writer()->finish(id, unused));
            break;
        }
        case CycleUse::kSend:
            held_ = cycle->take_writer();
            held_request_ = begin.request;
            send_held_cycle();
            break;
        case CycleUse::kCount:
            ++figures_.cycles_not_sent;
            waiters_.fail(begin.request, link_.problem());
            break;
    }
    host::give_back_memory();
    figures_.cycle_cpu_us = process_cpu_us() - cycle_cpu_;
}

void Shipper::count(const Cycle& cycle) {
    ++figures_.cycles;
    costs_.count(cycle.reports(), cycle.use() == CycleUse::kSend, now_.wall);
    for (const RowsetReport& report : cycle.reports()) {
        figures_.rows_read += report.rows;
        if (cycle.use() == CycleUse::kSend) figures_.rows_sent += report.sent;
        if (report.error.empty()) continue;
        ++figures_.rowset_errors;
        figures_.last_rowset_error =
            std::string(report.rowset->plugin) + "." + std::string(report.name()) + " of " +
            (report.datname.empty() ? "the server" : report.datname) + ": " + report.error;
    }
}

void Shipper::answer_collect_now(uint64_t request, const Cycle& cycle) {
    RowBuilder rows(answer_types(RequestKind::kCollectNow));
    for (const RowsetReport& report : cycle.reports()) {
        rows.begin();
        rows.text(report.rowset->plugin);
        rows.text(report.name());
        if (is_of_database(*report.rowset)) {
            rows.text(report.datname);
        } else {
            rows.null();
        }
        rows.integer(static_cast<int64_t>(report.rows));
        rows.real(static_cast<double>(report.elapsed_us) / 1000);
        if (!report.error.empty()) {
            rows.text(report.error);
        } else if (report.left_out > 0) {
            rows.text(std::to_string(report.left_out) + " rows left out (pganalytics.max_rows)");
        } else if (report.slice > 0) {
            rows.text("slice " + std::to_string(report.slice) + "; the rest comes in other cycles");
        } else {
            rows.null();
        }
        rows.end();
    }
    answers_.send(request, rows.take());
}

void Shipper::log(LogLevel level, std::string_view cause, const Error& error) {
    LogLine line;
    line.level = level;
    line.cause = cause;
    line.message = error.message;
    line.detail = error.detail;
    line.hint = error.hint;
    socket_.send_message(line);
}

}  // namespace pganalytics::ship
