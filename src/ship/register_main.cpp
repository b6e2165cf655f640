// `pganalytics register` (see the header).
#include "pganalytics/ship/register_main.hpp"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/ship/enrolment.hpp"
#include "pganalytics/ship/hub_link.hpp"
#include "pganalytics/ship/identity.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kPatience = 60 * kSecond;
constexpr size_t kMaxTokenFile = 4096;
constexpr char kUsage[] =
    "usage: pganalytics register --state-directory D --url U --token-file F [--name N]\n"
    "\n"
    "  --state-directory D  the server's pganalytics.state_directory\n"
    "                       (default of the setting: the data directory's path and .pganalytics)\n"
    "  --url U              the hub's console address, such as https://hub.example:8444\n"
    "  --token-file F       file with the token that pganalytics_create_token() made on the hub\n"
    "  --name N             this server's name; default: the one the token was made for\n";

struct Arguments {
    std::string state_directory;
    std::string url;
    std::string token_file;
    std::string name;
};

std::optional<Arguments> parse(std::span<const std::string> args) {
    Arguments parsed;
    const std::pair<std::string_view, std::string*> known[] = {
        {"--state-directory", &parsed.state_directory},
        {"--url", &parsed.url},
        {"--token-file", &parsed.token_file},
        {"--name", &parsed.name}};
    for (size_t i = 0; i < args.size(); ++i) {
        bool taken = false;
        for (const auto& [option, value] : known) {
            const std::string_view arg = args[i];
            if (arg == option && i + 1 < args.size()) {
                *value = args[++i];
                taken = true;
            } else if (arg.starts_with(option) && arg.substr(option.size()).starts_with('=')) {
                *value = arg.substr(option.size() + 1);
                taken = true;
            }
            if (taken) break;
        }
        if (!taken) return std::nullopt;
    }
    if (parsed.state_directory.empty() || parsed.url.empty() || parsed.token_file.empty())
        return std::nullopt;
    return parsed;
}

int complain(const Error& error) {
    std::fprintf(stderr, "pganalytics: error: %s\n", error.message.c_str());
    if (!error.detail.empty())
        std::fprintf(stderr, "pganalytics: detail: %s\n", error.detail.c_str());
    if (!error.hint.empty()) std::fprintf(stderr, "pganalytics: hint: %s\n", error.hint.c_str());
    return 1;
}

Result<Enrolled> enrol(EnrolmentOptions options) {
    Result<Enrolment> enrolment = Enrolment::begin(std::move(options));
    if (!enrolment) return enrolment.error();
    while (true) {
        const Moment now{host::monotonic_us(), host::now_us()};
        if (std::optional<Result<Enrolled>> result = enrolment->service(now))
            return *std::move(result);
        const int64_t until = enrolment->due().value_or(now.monotonic + kSecond);
        const int64_t left = std::max<int64_t>(until - now.monotonic, 0);
        enrolment->client().wait({}, static_cast<int>((left + 999) / 1000));
    }
}

}  // namespace

int register_main(std::span<const std::string> args) {
    const std::optional<Arguments> arguments = parse(args);
    if (!arguments) {
        const bool asked = args.size() == 1 && (args[0] == "--help" || args[0] == "-?");
        std::fputs(kUsage, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    if (Status started = host::start_as_tool(); !started) return complain(started.error());
    if (Status made = host::make_state_directory(arguments->state_directory, false); !made)
        return complain(made.error());
    const Result<std::string> token = host::read_file(arguments->token_file, kMaxTokenFile);
    if (!token) return complain(token.error());
    const IdentityStore store(arguments->state_directory);
    const Result<std::string> key = store.pending_key(*token);
    if (!key) return complain(key.error());
    EnrolmentOptions options;
    options.url = arguments->url;
    options.token = *token;
    options.name = arguments->name;
    options.hostname = host_name();
    options.key_pem = *key;
    options.give_up_at = host::monotonic_us() + kPatience;
    const Result<Enrolled> enrolled = enrol(std::move(options));
    if (!enrolled) return complain(enrolled.error());
    if (Status saved = store.save(enrolled->identity); !saved) return complain(saved.error());
    std::printf("registered with %s as collector %s\n", enrolled->identity.hub_url.c_str(),
                uuid_text(enrolled->identity.collector_id).c_str());
    return 0;
}

}  // namespace pganalytics::ship
