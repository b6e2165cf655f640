// The two questions of `pganalytics keys`, answered. Everything but the process and its socket, so
// that tests can ask.
#pragma once

#include <cstdint>

#include "pganalytics/core/keys_messages.hpp"

namespace pganalytics::keys {

// `now` is seconds since 1970.
KeysInitResult answer(const KeysInit& question, int64_t now);
KeysSignResult answer(const KeysSign& question, int64_t now);

}  // namespace pganalytics::keys
