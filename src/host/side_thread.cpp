// A thread beside the loop (see the header). Runs in ship.
#include "pganalytics/host/side_thread.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <utility>

namespace pganalytics::host {

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;

}  // namespace

// Shared by loop and thread; whoever is last lets go of it.
struct SideThread::Job {
    std::function<void()> work;
    std::shared_ptr<Descriptor> ended;
    std::atomic<bool> done = false;

    void run() {
        try {
            work();
        } catch (const std::exception&) {
            // What it should have answered is not there: that tells.
        }
        // Before the loop hears of it: what it owns may be the loop's again.
        work = nullptr;
        done.store(true, std::memory_order_release);
        const uint64_t one = 1;
        // A full counter is readable, too.
        if (write(ended->number(), &one, sizeof one) < 0) return;
    }
};

SideThread::SideThread()
    : ended_(std::make_shared<Descriptor>(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {}

bool SideThread::start(std::function<void()> work) {
    if (job_ != nullptr) return false;
    auto job = std::make_shared<Job>();
    job->work = std::move(work);
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
        (*own)->run();
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

bool SideThread::running() {
    if (job_ == nullptr) return false;
    if (!job_->done.load(std::memory_order_acquire)) return true;
    // It is readable a little later than done: that one is waited for, or it would wake the loop.
    pollfd told{ended_->number(), POLLIN, 0};
    poll(&told, 1, -1);
    uint64_t count = 0;
    if (read(ended_->number(), &count, sizeof count) < 0) return false;
    job_.reset();
    return false;
}

bool SideThread::running_after(int64_t patience_us) {
    using std::chrono::steady_clock;
    const auto until = steady_clock::now() + std::chrono::microseconds(patience_us);
    while (running()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
        if (left.count() <= 0) return true;
        pollfd told{ended_->number(), POLLIN, 0};
        poll(&told, 1, static_cast<int>(left.count()));
    }
    return false;
}

}  // namespace pganalytics::host
