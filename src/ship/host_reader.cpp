// The host's rowsets, read in a thread (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/host_reader.hpp"

#include <time.h>

#include <exception>
#include <utility>

#include "pganalytics/host/process.hpp"

namespace pganalytics::ship {

namespace {

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

bool HostReader::start(std::vector<RowsetShape> shapes, ReadHostRowset read) {
    if (rowsets_ != nullptr) return false;
    auto rowsets = std::make_shared<std::vector<HostRowset>>();
    const auto job = [rowsets, shapes = std::move(shapes), read = std::move(read)] {
        for (const RowsetShape& shape : shapes) rowsets->push_back(read_host_rowset(shape, read));
    };
    if (!thread_.start(job)) return false;
    rowsets_ = std::move(rowsets);
    return true;
}

std::optional<std::vector<HostRowset>> HostReader::take() {
    if (rowsets_ == nullptr || thread_.running()) return std::nullopt;
    return std::move(*std::exchange(rowsets_, nullptr));
}

}  // namespace pganalytics::ship
