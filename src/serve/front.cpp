// The front: frames from the worker, connections, times (see the header). Listeners are in
// front_listen.cpp. Runs in `pganalytics serve`.
#include "pganalytics/serve/front.hpp"

#include <algorithm>
#include <exception>

#include "pganalytics/host/process.hpp"
#include "pganalytics/serve/hub_files.hpp"

namespace pganalytics::serve {

namespace {

constexpr int kFarewellMs = 100;

template <class Message>
bool decoded(const Frame& frame, Message& message) {
    std::optional<Message> read = decode<Message>(frame.payload);
    if (!read) return false;
    message = *std::move(read);
    return true;
}

}  // namespace

Front::Front(asio::io_context& io, net::FrameSocket& socket)
    : io_(io),
      socket_(socket),
      link_(io, socket, [this](const Frame& frame) { return take_frame(frame); }) {
    state_.worker = &link_;
}

void Front::run() {
    spawn(talk());
    spawn(sweep());
    spawn(watch());
    io_.run();
}

void Front::spawn(Task<> part) {
    asio::co_spawn(io_, std::move(part), [this](const std::exception_ptr& failure) {
        if (failure) io_.stop();
    });
}

// The worker's end is ours: nothing here outlives its conversation.
Task<> Front::talk() {
    co_await link_.run();
    io_.stop();
}

bool Front::take_frame(const Frame& frame) {
    switch (frame.type) {
        case FrameType::kServeSettings: {
            ServeSettings settings;
            if (!decoded(frame, settings)) return false;
            return take_settings(std::move(settings));
        }
        case FrameType::kServeTargets: {
            ServeTargets targets;
            return decoded(frame, targets) && take_targets(targets);
        }
        case FrameType::kCollectorState: {
            CollectorState collector;
            if (!decoded(frame, collector)) return false;
            if (!state_.collectors.apply(collector)) {
                link_.log(LogLevel::kWarning, "collector not let in",
                          "a collector can't be let in: too many, or a certificate of another's");
            }
            return true;
        }
        case FrameType::kCollectorGone: {
            CollectorGone gone;
            if (!decoded(frame, gone)) return false;
            state_.collectors.remove(gone.collector_id);
            return true;
        }
        case FrameType::kHubHealth:
            return decoded(frame, state_.health.emplace());
        case FrameType::kOpen:
            open_ = true;
            listen();
            return true;
        default:
            // Stop, and what the worker has no reason to say.
            return false;
    }
}

bool Front::take_targets(const ServeTargets& targets) {
    Result<PushTargets> made = PushTargets::make(targets);
    if (!made) {
        link_.log(LogLevel::kError, "tables not usable", made.error().message);
        return false;
    }
    state_.targets = std::make_shared<PushTargets>(*std::move(made));
    return true;
}

// What needs the first settings and is not done again.
void Front::start_once() {
    const std::string& directory = state_.settings.state_directory;
    if (directory.empty() || lock_) return;
    Result<host::FileLock> lock = host::FileLock::take(directory + "/serve.lock");
    if (!lock) {
        return link_.log(LogLevel::kWarning, "state directory in use", lock.error().message,
                         lock.error().detail, lock.error().hint);
    }
    lock_ = *std::move(lock);
    if (const Status kept = host::keep_last_words(directory, "serve"); !kept) {
        link_.log(LogLevel::kWarning, "last words not kept", kept.error().message);
    }
}

bool Front::enter_sandbox() {
    const ServeSettings& now = state_.settings;
    const std::vector<std::string> files = {now.cert_file, now.key_file, now.ca_file,
                                            now.master_key_file};
    if (sandbox_.entered()) {
        return std::all_of(files.begin(), files.end(),
                           [this](const std::string& file) { return sandbox_.covers_file(file); });
    }
    host::SandboxPlan plan;
    plan.role = host::SandboxRole::kServe;
    plan.files = files;
    plan.kept_out = {now.ca_key_file, now.state_directory + "/hub"};
    plan.resolves_names = true;
    sandbox_.enter(plan);
    if (const std::string missing = sandbox_.missing(); !missing.empty()) {
        link_.log(LogLevel::kInfo, "sandbox",
                  "pganalytics serve runs without a part of its sandbox", missing);
    }
    return true;
}

// It ends, and the worker starts one that gets at what this one must not reach.
void Front::begin_anew(std::string why) {
    link_.log(LogLevel::kInfo, "front begins anew", "pganalytics serve is being started again",
              std::move(why));
    socket_.drain(kFarewellMs);
    io_.stop();
}

bool Front::take_settings(ServeSettings settings) {
    const ServeSettings& old = state_.settings;
    const bool same_doors = settings.listen_addresses == old.listen_addresses &&
                            settings.port == old.port && settings.console_port == old.console_port;
    // The single port asks for certificates in another way.
    if ((settings.console_port == 0) != (old.console_port == 0)) files_mark_.clear();
    state_.settings = std::move(settings);
    start_once();
    if (!enter_sandbox()) {
        begin_anew("Files that its settings name are others than before.");
        return false;
    }
    const auto connections =
        static_cast<size_t>(std::max<int32_t>(state_.settings.max_connections, 1));
    state_.admission.set_limit(connections);
    if (const Status limited = host::limit_memory(kMemoryBase + connections * kMemoryConnection);
        !limited) {
        link_.log(LogLevel::kWarning, "memory not limited", limited.error().message);
    }
    read_files();
    if (!same_doors) listening_ = false;
    listen();
    return true;
}

void Front::read_files() {
    std::string mark = hub_files_mark(state_.settings);
    if (mark == files_mark_) return;
    Result<HubFilesRead> read = read_hub_files(state_.settings);
    if (!read) {
        files_problem_ = read.error().message;
        return link_.log(LogLevel::kError, "hub's files not usable", read.error().message,
                         read.error().detail, read.error().hint);
    }
    files_problem_.clear();
    files_mark_ = std::move(mark);
    state_.certificate = std::move(read->certificate);
    state_.master_keys = std::move(read->master_keys);
    state_.ca_pem = std::move(read->ca_pem);
    state_.ca_mark = std::move(read->ca_mark);
    collectors_tls_ = std::move(read->collectors);
    console_tls_ = std::move(read->console);
    const Clock::time_point end = Clock::now() + kAgeAfterReload;
    for (const auto& [id, connection] : connections_) connection->limit_age(end);
}

void Front::admit(Tcp::socket socket, Listener kind) {
    error_code error;
    const Tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(Tcp::no_delay(true), error);
    const std::string network = network_text(peer.address());
    const Admission::Id id = ++last_id_;
    const Admission::Begin begin = state_.admission.begin_handshake(id, network);
    if (begin.evicted) {
        const auto evicted = connections_.find(*begin.evicted);
        if (evicted != connections_.end()) evicted->second->abort();
    }
    if (!begin.accepted) return;
    SSL_CTX& tls = kind == Listener::kConsole ? *console_tls_ : *collectors_tls_;
    try {
        auto connection = std::make_shared<Connection>(
            state_, std::move(socket), tls, Peer{id, kind, address_text(peer.address()), network});
        connections_.emplace(id, connection);
        asio::co_spawn(io_, keep(std::move(connection)), asio::detached);
    } catch (const std::bad_alloc&) {
        connections_.erase(id);
        state_.admission.end(id);
    }
}

Task<> Front::keep(std::shared_ptr<Connection> connection) {
    try {
        co_await connection->run();
    } catch (const std::exception&) {
        // Out of memory in the middle of something: the connection goes, the front stays.
    }
    state_.admission.end(connection->peer().id);
    connections_.erase(connection->peer().id);
}

// Each wait of a connection has its time; this looks at them all.
Task<> Front::sweep() {
    asio::steady_timer timer(io_);
    error_code error;
    while (!error) {
        timer.expires_after(kSweepInterval);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        const Clock::time_point now = Clock::now();
        for (const auto& [id, connection] : connections_) connection->tick(now);
    }
}

Task<> Front::watch() {
    asio::steady_timer timer(io_);
    error_code error;
    Clock::time_point look = Clock::now() + kFilesLook;
    while (!error) {
        timer.expires_after(kListenRetry);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        const bool due = Clock::now() >= look;
        if (due) look = Clock::now() + kFilesLook;
        if (due && sandbox_.outdated()) link_.send(FilesReplaced{});
        if (open_ && (due || collectors_tls_ == nullptr)) read_files();
        if (open_ && !listening_) listen();
    }
}

}  // namespace pganalytics::serve
