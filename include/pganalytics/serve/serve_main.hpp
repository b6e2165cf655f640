// `pganalytics serve`: the hub's HTTPS front, started by the hub worker.
#pragma once

#include <span>
#include <string>

namespace pganalytics::serve {

int serve_main(std::span<const std::string> args);

}  // namespace pganalytics::serve
