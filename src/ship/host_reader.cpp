// The host's rowsets, read in a thread (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/host_reader.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <utility>

#include "pganalytics/host/process.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;

uint64_t thread_cpu_us() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

HostRowset read_host_rowset(const RowsetShape& shape, const ReadHostRowset& read) {
    HostRowset out;
    out.number = shape.number;
    out.time = host::now_us();
    const int64_t start = host::monotonic_us();
    const uint64_t cpu = thread_cpu_us();
    try {
        RowBuilder builder(shape.types);
        if (Status done = read(*shape.rowset, builder); !done) out.error = done.error();
        out.count = builder.count();
        out.rows = builder.take();
    } catch (const std::exception& problem) {
        out.error = make_error(sqlstate::kInternal, problem.what());
    }
    out.elapsed_us = static_cast<uint64_t>(host::monotonic_us() - start);
    out.cpu_us = thread_cpu_us() - cpu;
    return out;
}

// Shared by loop and thread; whoever is last lets go of it. `rowsets` is the thread's until
// `done`.
struct HostReader::Job {
    std::vector<RowsetShape> shapes;
    ReadHostRowset read;
    std::vector<HostRowset> rowsets;
    std::shared_ptr<host::Descriptor> ended;
    std::atomic<bool> done = false;
};

HostReader::HostReader()
    : ended_(std::make_shared<host::Descriptor>(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {}

int HostReader::descriptor() const { return ended_->number(); }

void HostReader::run(Job& job) {
    for (const RowsetShape& shape : job.shapes)
        job.rowsets.push_back(read_host_rowset(shape, job.read));
    job.done.store(true, std::memory_order_release);
    const uint64_t one = 1;
    if (write(job.ended->number(), &one, sizeof one) < 0) return;  // a full counter is readable too
}

bool HostReader::start(std::vector<RowsetShape> shapes, ReadHostRowset read) {
    if (job_ != nullptr) return false;
    auto job = std::make_shared<Job>();
    job->shapes = std::move(shapes);
    job->read = std::move(read);
    job->ended = ended_;
    auto argument = std::make_unique<std::shared_ptr<Job>>(job);

    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, kStackBytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const auto body = [](void* raw) -> void* {
        const std::unique_ptr<std::shared_ptr<Job>> own(static_cast<std::shared_ptr<Job>*>(raw));
        run(**own);
        return nullptr;
    };
    const bool started = pthread_create(&thread, &attributes, body, argument.get()) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (!started) return false;
    (void)argument.release();  // the thread's now
    job_ = std::move(job);
    return true;
}

std::optional<std::vector<HostRowset>> HostReader::take() {
    uint64_t count = 0;
    if (read(ended_->number(), &count, sizeof count) < 0) count = 0;
    if (job_ == nullptr || !job_->done.load(std::memory_order_acquire)) return std::nullopt;
    std::vector<HostRowset> rowsets = std::move(job_->rowsets);
    job_.reset();
    return rowsets;
}

}  // namespace pganalytics::ship
