// `pganalytics keys` as a process (see the header).
#include "pganalytics/keys/keys_main.hpp"

#include <cstdio>
#include <optional>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/keys/answers.hpp"
#include "pganalytics/keys/rotation.hpp"

namespace pganalytics::keys {

namespace {

constexpr uint64_t kMemory = 64u << 20;
constexpr int kQuestionTimeoutMs = 30'000;
constexpr int kAnswerTimeoutMs = 5'000;

template <class Question>
bool answer_frame(net::FrameSocket& socket, std::string_view payload,
                  const std::function<void(const HubFiles&)>& confine) {
    const auto question = decode<Question>(payload);
    if (!question) return false;
    // Before the very first answer there is no directory to leave words in.
    const Status kept = host::keep_last_words(question->files.state_directory, "keys");
    static_cast<void>(kept);
    if (confine) confine(question->files);
    const auto result = answer(*question, host::now_seconds());
    return socket.send_message(result) && socket.drain(kAnswerTimeoutMs);
}

// Where the directory can't be made, the answer says so; it will not be made from inside.
void confine(const HubFiles& files) {
    const Status made = host::make_state_directory(files.state_directory, true);
    static_cast<void>(made);
    host::SandboxPlan plan;
    plan.role = host::SandboxRole::kKeys;
    plan.files = {files.ca_file, files.ca_key_file, files.cert_file, files.key_file,
                  files.master_key_file};
    std::erase(plan.files, std::string());
    plan.list = {files.state_directory};
    plan.write = {files.state_directory + "/hub"};
    host::Sandbox().enter(plan);
}

constexpr char kUsage[] =
    "usage: pganalytics keys rotate-ca begin|switch|end --state-directory D\n"
    "       pganalytics keys rotate-master --state-directory D\n"
    "\n"
    "Changes the certificate authority or the master key of a hub while it works. Run it as the\n"
    "server's user; D is the hub's pganalytics.state_directory. What to do in which order is in\n"
    "docs/operations.md.\n";

std::optional<Result<std::string>> rotate(const std::vector<std::string>& words,
                                          const std::string& directory) {
    const int64_t now = host::now_seconds();
    if (words == std::vector<std::string>{"rotate-ca", "begin"})
        return begin_ca_rotation(directory, now);
    if (words == std::vector<std::string>{"rotate-ca", "switch"}) return switch_ca(directory, now);
    if (words == std::vector<std::string>{"rotate-ca", "end"})
        return end_ca_rotation(directory, now);
    if (words == std::vector<std::string>{"rotate-master"}) return rotate_master_key(directory);
    return std::nullopt;
}

int complain(const Error& error) {
    std::fprintf(stderr, "pganalytics: error: %s\n", error.message.c_str());
    if (!error.detail.empty())
        std::fprintf(stderr, "pganalytics: detail: %s\n", error.detail.c_str());
    if (!error.hint.empty()) std::fprintf(stderr, "pganalytics: hint: %s\n", error.hint.c_str());
    return 1;
}

int rotate_main(std::span<const std::string> args) {
    std::vector<std::string> words;
    std::string directory;
    for (size_t i = 0; i < args.size(); ++i) {
        if (args[i] == "--state-directory" && i + 1 < args.size()) {
            directory = args[++i];
        } else {
            words.push_back(args[i]);
        }
    }
    const bool asked = words == std::vector<std::string>{"--help"};
    if (Status started = host::start_as_tool(); !started) return complain(started.error());
    const auto done = directory.empty() ? std::nullopt : rotate(words, directory);
    if (!done) {
        std::fputs(kUsage, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    if (!*done) return complain(done->error());
    std::printf("%s\n", (*done)->c_str());
    return 0;
}

}  // namespace

int answer_question(net::FrameSocket& socket, const std::function<void(const HubFiles&)>& confine) {
    const Hello ours{.version = std::string(kVersion), .catalog_digest = catalog_digest()};
    if (!socket.exchange_hello(ours)) return 1;
    const auto frame = socket.wait_frame(kQuestionTimeoutMs);
    if (!frame) return 1;
    bool answered = false;
    if (frame->type == FrameType::kKeysInit) {
        answered = answer_frame<KeysInit>(socket, frame->payload, confine);
    } else if (frame->type == FrameType::kKeysSign) {
        answered = answer_frame<KeysSign>(socket, frame->payload, confine);
    } else {
        answered = frame->type == FrameType::kStop;
    }
    return answered ? 0 : 1;
}

int keys_main(std::span<const std::string> args) {
    if (!args.empty()) return rotate_main(args);
    if (const Status started = host::start_under_worker(); !started) {
        std::fprintf(stderr, "pganalytics: %s\n", started.error().message.c_str());
        return 1;
    }
    if (!host::limit_memory(kMemory)) return 1;
    net::FrameSocket socket;
    return answer_question(socket, confine);
}

}  // namespace pganalytics::keys
