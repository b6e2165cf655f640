// The program `pganalytics`: finds the sub-command, hands over. The server starts ship, serve and
// keys; people run register, catalog, ledger, version and help.
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/version.hpp"
#include "pganalytics/keys/keys_main.hpp"
#include "pganalytics/program/catalog_tool.hpp"
#include "pganalytics/serve/serve_main.hpp"
#include "pganalytics/ship/ledger_main.hpp"
#include "pganalytics/ship/register_main.hpp"
#include "pganalytics/ship/ship_main.hpp"

#ifdef PGANALYTICS_SANITIZED
// The environment it starts with is empty, and in the sandbox nobody may look into it for leaks.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
    return "detect_leaks=0:quarantine_size_mb=16:malloc_context_size=12";
}
#endif

namespace pganalytics {
namespace {

using Main = int (*)(std::span<const std::string> args);

constexpr int kUsageError = 2;

int print_version(std::span<const std::string>) {
    std::printf("pganalytics %s\n", std::string(kVersion).c_str());
    return 0;
}

int print_help(std::span<const std::string> args);

struct Command {
    std::string_view name;
    Main run;
    std::string_view help;  // empty: not for people
};

constexpr Command kCommands[] = {
    {"ship", ship::ship_main, ""},
    {"keys", keys::keys_main, "change a hub's CA or master key (keys --help)"},
    {"register", ship::register_main, "enrol a server with a hub (register --help)"},
    {"catalog", catalog_main, "print what is collected (catalog --help)"},
    {"ledger", ship::ledger_main, "check that nothing was lost or stored twice (ledger --help)"},
    {"serve", serve::serve_main, ""},
    {"version", print_version, "print the version"},
    {"help", print_help, "print this text"},
};

int print_help(std::span<const std::string>) {
    std::puts(
        "pganalytics: the program of the PostgreSQL extension of that name.\n"
        "\n"
        "Usage: pganalytics COMMAND [OPTION...]\n"
        "\n"
        "Commands:");
    for (const Command& command : kCommands) {
        if (command.help.empty()) continue;
        std::printf("  %-10s %s\n", std::string(command.name).c_str(),
                    std::string(command.help).c_str());
    }
    std::puts("\nThe server starts ship and serve by itself; they do nothing by hand.");
    return 0;
}

int run(std::span<const std::string> words) {
    if (words.empty()) {
        print_help({});
        return kUsageError;
    }
    std::string_view name = words.front();
    if (name == "--version" || name == "-V") name = "version";
    if (name == "--help" || name == "-h") name = "help";
    for (const Command& command : kCommands) {
        if (command.name == name) return command.run(words.subspan(1));
    }
    std::fputs("pganalytics: unknown command\nTry \"pganalytics help\".\n", stderr);
    return kUsageError;
}

}  // namespace
}  // namespace pganalytics

int main(int count, char** values) {
    const std::vector<std::string> words(values + (count > 0 ? 1 : 0), values + count);
    return pganalytics::run(words);
}
