// `pganalytics keys`: the only process that opens the CA's private key. Started by the hub worker
// for one question over the frame socket, answers it, ends.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/net/frame_socket.hpp"

namespace pganalytics::keys {

// Greeting, question, answer; the process' exit status. `confine` is called when it is known which
// files the answer is about, before the question's other parts are looked at.
int answer_question(net::FrameSocket& socket,
                    const std::function<void(const HubFiles&)>& confine = {});

int keys_main(std::span<const std::string> args);

}  // namespace pganalytics::keys
