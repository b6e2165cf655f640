// A push whose n-th allocation fails, for each n, from its whole body to the answer: whatever it
// ends in, the same collector's next push is served, or the front has ended (its worker starts
// another).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "memory/failing_allocation.hpp"
#include "pganalytics/serve/routes.hpp"
#include "serve/played_worker.hpp"
#include "serve/push_fixture.hpp"

namespace pganalytics::serve {
namespace {

using testing::FailingAllocation;
using testing::Uncounted;

// What a child found, as its exit status: none that a sanitizer's runtime or a failed start has.
enum Finding : int {
    kServed = 0,
    kNoSuchAllocation = 100,
    kNotServedAgain,
    kHalfAPush,
    kBytesOfBodiesLeft,
};

// A front with one collector, and its worker, which stores each push that is whole.
class Bench {
  public:
    explicit Bench(int buffer) : worker_(buffer) {
        state_.worker = &worker_.link();
        state_.targets = catalog_targets();
        state_.settings.retention_s = int64_t{400} * 366 * 86'400;
    }

    bool over() const { return worker_.over(); }
    // A push that was begun and not ended: the worker would wait for the rest.
    bool half_a_push() const { return worker_.pushes_begun() != worker_.pushes().size(); }
    size_t body_bytes() const { return state_.bodies.used(); }

    // The status of the answer; 0: it died; empty: none came.
    std::optional<int> push(const std::string& body) {
        std::optional<int> status;
        Request request(state_.bodies);
        try {
            request.collector.collector_id = *parse_uuid(kCollector);
            if (!request.body.grow(body.size())) return 503;
            std::copy(body.begin(), body.end(), request.body.bytes.begin());
            asio::co_spawn(worker_.io(), handle_push(state_, request),
                           [&](const std::exception_ptr& failure, const Answer& answer) {
                               status = failure ? 0 : answer.status;
                           });
        } catch (const std::bad_alloc&) {
            return 0;
        }
        const Clock::time_point deadline = Clock::now() + seconds(4);
        while (!status && !worker_.over() && Clock::now() < deadline) {
            worker_.turn();
            const Uncounted other_side;
            worker_.read();
            for (; answered_ < worker_.pushes().size(); ++answered_) {
                worker_.stored(worker_.pushes()[answered_]);
            }
        }
        return status;
    }

  private:
    PlayedWorker worker_;
    FrontState state_;
    size_t answered_ = 0;
};

// As often as there are places, so that one that is kept each time is missed in the end.
constexpr size_t kTimes = kPushesInMemory;

Finding find(uint64_t at, const std::string& body, int buffer) {
    Bench bench(buffer);
    bench.push(body);  // what is allocated once only
    for (size_t i = 0; i < kTimes; ++i) {
        const FailingAllocation failing(at);
        bench.push(body);
        if (i == 0 && !failing.failed()) return kNoSuchAllocation;
    }
    if (bench.over()) return kServed;
    if (bench.push(body) != 200) return bench.over() ? kServed : kNotServedAgain;
    if (bench.half_a_push()) return kHalfAPush;
    return bench.body_bytes() > 0 ? kBytesOfBodiesLeft : kServed;
}

// In a process of its own, since the front may end by std::terminate().
int status_of_child(uint64_t at, const std::string& body, int buffer) {
    const pid_t child = fork();
    if (child == 0) {
        const rlimit no_core{};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        _exit(find(at, body, buffer));
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

void each_allocation(const std::string& body, int buffer) {
    uint64_t at = 1;
    size_t ended = 0;
    for (;; ++at) {
        ASSERT_LT(at, 5000U);
        const int status = status_of_child(at, body, buffer);
        if (WIFSIGNALED(status)) {
            ASSERT_EQ(WTERMSIG(status), SIGABRT) << "allocation " << at;
            ++ended;
            continue;
        }
        if (WEXITSTATUS(status) == kNoSuchAllocation) break;
        EXPECT_EQ(WEXITSTATUS(status), kServed) << "allocation " << at;
    }
    // Of a push in all, and of those from its handing over on.
    EXPECT_GT(at, 30U);
    EXPECT_GT(ended, 3U);
    std::cout << at - 1 << " allocations, the front ended at " << ended << std::endl;
}

TEST(PushOutOfMemory, OneRow) {
    each_allocation(tables(R"("relid":[1],"relname":["t"],"seq_scan":[5])"), 0);
}

TEST(PushOutOfMemory, MoreThanTheSocketTakes) {
    std::string relid, relname;
    for (int i = 0; i < 300; ++i) {
        relid += (i > 0 ? "," : "") + std::to_string(i + 1);
        relname += std::string(i > 0 ? "," : "") + "\"" + std::string(50, 'x') + "\"";
    }
    each_allocation(tables("\"relid\":[" + relid + "],\"relname\":[" + relname + "]"), 4096);
}

}  // namespace
}  // namespace pganalytics::serve
