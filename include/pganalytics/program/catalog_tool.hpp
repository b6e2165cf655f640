// `pganalytics catalog`: what is collected, for people, tests and the documentation.
#pragma once

#include <span>
#include <string>

namespace pganalytics {

// [--markdown | --sql MAJOR | --json MAJOR]; without an option a short list. Returns the exit
// status.
int catalog_main(std::span<const std::string> args);

}  // namespace pganalytics
