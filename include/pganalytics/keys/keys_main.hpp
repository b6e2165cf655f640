// `pganalytics keys`: the only process that opens the CA's private key. Started by the hub worker
// for one question over the frame socket, answers it, ends.
#pragma once

#include <span>
#include <string>

#include "pganalytics/net/frame_socket.hpp"

namespace pganalytics::keys {

// Greeting, question, answer; the process' exit status.
int answer_question(net::FrameSocket& socket);

int keys_main(std::span<const std::string> args);

}  // namespace pganalytics::keys
