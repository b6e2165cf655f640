// The version of this build: what the control file, the payload and the two Hello frames say.
#pragma once

#include <string_view>

namespace pganalytics {

inline constexpr std::string_view kVersion = "1.0.0";

}  // namespace pganalytics
