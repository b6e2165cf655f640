// Start of `pganalytics serve`: the process made safe, the worker greeted, the loop run.
#include "pganalytics/serve/serve_main.hpp"

#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/serve/front.hpp"

namespace pganalytics::serve {

namespace {

// Bytes of frames that may wait for the worker: never near it, the link stops long before.
constexpr size_t kWriteLimit = size_t{64} << 20;

// As many connections as the settings may allow need as many descriptors.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// A push needs some megabytes for a moment; the next one gets them again without asking the kernel
// for fresh pages.
void keep_freed_memory() {
    constexpr int kKept = 32 << 20;
    mallopt(M_MMAP_THRESHOLD, kKept);
    mallopt(M_TRIM_THRESHOLD, kKept);
}

}  // namespace

int serve_main(std::span<const std::string>) {
    if (!host::start_under_worker()) return 1;
    raise_descriptor_limit();
    keep_freed_memory();
    net::FrameSocket socket(net::kFrameDescriptor, kWriteLimit);
    const Result<Hello> hello =
        socket.exchange_hello(Hello{kProtocolNumber, std::string(kVersion), catalog_digest()});
    if (!hello) return 1;
    asio::io_context io(1);
    Front front(io, socket);
    front.run();
    // What waits in the loop still holds on to the front, and the front to the loop: neither is
    // taken apart.
    std::exit(0);
}

}  // namespace pganalytics::serve
