// `pganalytics ledger` (see the header).
#include "pganalytics/ship/ledger_main.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/host/system_error.hpp"
#include "pganalytics/ship/journal.hpp"
#include "pganalytics/ship/ledger.hpp"
#include "pganalytics/ship/spool_contents.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMostIds = 5'000'000;
constexpr size_t kNamed = 20;
constexpr size_t kMostLocks = size_t{1} << 20;
constexpr int kSpoolTries = 5;
constexpr char kUsage[] =
    "usage: pganalytics ledger --state D [--kills N] [--hub F]\n"
    "\n"
    "Compares the journal of a state directory with its spool and with what the hub has stored.\n"
    "\n"
    "  --state D  the server's pganalytics.state_directory; its file \"journal\" must have been\n"
    "             there when the server was started\n"
    "  --kills N  runs that may have lost the cycle they had in memory when they were killed;\n"
    "             default: as many as have no end in the journal\n"
    "  --hub F    file with the ids of the snapshots stored, one a line; - or without: standard\n"
    "             input. They come from the hub's database:\n"
    "             psql -At -c 'select snapshot_id from pganalytics.ledger'\n"
    "\n"
    "Exit status: 0 nothing is lost or doubled, 1 something is, 2 it could not be told.\n";

struct Arguments {
    std::string state;
    std::string hub = "-";
    std::optional<uint64_t> kills;
};

std::optional<Arguments> parse(std::span<const std::string> args) {
    Arguments parsed;
    for (size_t i = 0; i + 1 < args.size(); i += 2) {
        const std::string& value = args[i + 1];
        if (args[i] == "--state") {
            parsed.state = value;
        } else if (args[i] == "--hub") {
            parsed.hub = value;
        } else if (args[i] == "--kills") {
            uint64_t kills = 0;
            const char* const end = value.data() + value.size();
            const auto [at, error] = std::from_chars(value.data(), end, kills);
            if (error != std::errc() || at != end) return std::nullopt;
            parsed.kills = kills;
        } else {
            return std::nullopt;
        }
    }
    if (args.size() % 2 != 0 || parsed.state.empty()) return std::nullopt;
    return parsed;
}

int complain(const Error& error) {
    std::fprintf(stderr, "pganalytics: error: %s\n", error.message.c_str());
    if (!error.hint.empty()) std::fprintf(stderr, "pganalytics: hint: %s\n", error.hint.c_str());
    return 2;
}

// Hands over line by line, without the end; the last one also where its end is missing.
Status each_line(const host::Descriptor& file, const std::string& path, uint64_t most_bytes,
                 const std::function<Status(std::string_view)>& take) {
    std::string left;
    std::string piece(size_t{64} << 10, '\0');
    for (uint64_t total = 0;;) {
        const ssize_t count = read(file.number(), piece.data(), piece.size());
        if (count < 0) {
            if (errno == EINTR) continue;
            return host::system_error("could not read", path, errno);
        }
        total += static_cast<uint64_t>(count);
        if (total > most_bytes)
            return make_error(sqlstate::kProgramLimit, "\"" + path + "\" is too large");
        left.append(piece, 0, static_cast<size_t>(count));
        size_t begin = 0;
        for (size_t end = left.find('\n'); end != std::string::npos; end = left.find('\n', begin)) {
            if (Status taken = take(std::string_view(left).substr(begin, end - begin)); !taken)
                return taken;
            begin = end + 1;
        }
        left.erase(0, begin);
        if (left.size() > kLongestJournalLine)
            return make_error(sqlstate::kInvalidText,
                              "\"" + path + "\" has a line that is too long");
        if (count == 0) return left.empty() ? Status() : take(left);
    }
}

Result<host::Descriptor> open_file(const std::string& path, bool follow) {
    host::Descriptor file(
        open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
    struct stat facts {};
    if (!file || fstat(file.number(), &facts) != 0)
        return host::system_error("could not open", path, errno);
    if (!S_ISREG(facts.st_mode))
        return make_error(sqlstate::kIoError, "\"" + path + "\" is not a regular file");
    return file;
}

Result<JournalRecords> read_journal(const std::string& path) {
    Result<host::Descriptor> file = open_file(path, false);
    if (!file) return file.error();
    JournalRecords records;
    uint64_t number = 0;
    uint64_t first_torn = 0;
    const Status read = each_line(*file, path, kMostJournalBytes, [&](std::string_view line) {
        ++number;
        if (!records.take(line) && first_torn == 0) first_torn = number;
        return Status();
    });
    if (!read) return read.error();
    // A kill cuts off one line, also of a run that had no other.
    if (records.torn > records.killed_runs() + 1)
        return make_error(sqlstate::kInvalidText,
                          "\"" + path + "\" is no journal: line " + std::to_string(first_torn));
    return records;
}

Result<std::vector<Uuid>> read_stored(const std::string& path) {
    host::Descriptor file(path == "-" ? dup(STDIN_FILENO) : -1);
    if (path != "-") {
        Result<host::Descriptor> opened = open_file(path, true);
        if (!opened) return opened.error();
        file = *std::move(opened);
    }
    const std::string name = path == "-" ? "standard input" : path;
    std::vector<Uuid> ids;
    const Status read = each_line(file, name, kMostIds * 64, [&](std::string_view line) -> Status {
        if (line.empty()) return {};
        const std::optional<Uuid> id = parse_uuid(line);
        if (!id || ids.size() >= kMostIds)
            return make_error(sqlstate::kInvalidText,
                              "\"" + name + "\" has " +
                                  (id ? "too many lines" : "a line that is no snapshot's id"));
        ids.push_back(*id);
        return {};
    });
    if (!read) return read.error();
    return ids;
}

// Whether a shipper works in the directory, asked without touching its lock.
bool is_locked(const std::string& state) {
    struct stat facts {};
    if (stat((state + "/ship.lock").c_str(), &facts) != 0) return false;
    const host::Descriptor file(open("/proc/locks", O_RDONLY | O_CLOEXEC));
    const Result<std::string> locks = host::read_descriptor(file, "/proc/locks", kMostLocks);
    char place[64];
    std::snprintf(place, sizeof place, " %02x:%02x:%llu ", major(facts.st_dev), minor(facts.st_dev),
                  static_cast<unsigned long long>(facts.st_ino));
    return locks && locks->find(place) != std::string::npos;
}

// Beside a shipper at work a file may go, or be written, while it is read.
Result<SpoolContents> read_quiet_spool(const std::string& state) {
    for (int tries = 1;; ++tries) {
        Result<SpoolContents> contents = read_spool_directory(state + "/spool");
        const bool sure = contents && contents->found_damaged == 0;
        if (sure || tries == kSpoolTries || !is_locked(state)) return contents;
    }
}

void print_ids(const char* what, const std::vector<Uuid>& ids) {
    for (size_t i = 0; i < ids.size() && i < kNamed; ++i)
        std::printf("%s %s\n", what, uuid_text(ids[i]).c_str());
    if (ids.size() > kNamed) std::printf("%s %zu more\n", what, ids.size() - kNamed);
}

void print_report(const LedgerReport& report, const SpoolContents& spool, bool running) {
    const auto line = [](const char* name, uint64_t count, const std::string& note) {
        std::printf("%-14s %8llu%s%s\n", name, static_cast<unsigned long long>(count),
                    note.empty() ? "" : "  ", note.c_str());
    };
    line("produced", report.produced,
         std::to_string(report.runs) + " runs, " + std::to_string(report.killed_runs) +
             " without an end" + (running ? ", one of them at work" : ""));
    if (report.parts != report.produced) line("in parts", report.parts, "");
    line("stored", report.stored,
         report.spooled_and_stored == 0
             ? ""
             : std::to_string(report.spooled_and_stored) + " of them are in the spool, too");
    line("spooled", report.spooled, "");
    std::string reasons;
    for (size_t i = 0; i < kLossReasons; ++i) {
        const auto reason = static_cast<LossReason>(i);
        const uint64_t count = spool.losses.total(reason).snapshots;
        if (count == 0) continue;
        reasons.append(reasons.empty() ? "" : ", ").append(loss_name(reason));
        reasons.append(" ").append(std::to_string(count));
    }
    line("declared lost", report.declared, reasons);
    line("in flight", report.in_flight, running ? "or in memory now" : "");
    line("lost", report.lost, report.lost == 0 ? "" : "neither here nor there, nor declared");
    line("doubled", report.doubled.size(), "");
    if (report.over_declared > 0)
        line("declared twice", report.over_declared, "declared lost, but stored or in the spool");
    if (report.others > 0) line("others", report.others, "stored, but not of this journal");
    print_ids("missing", report.missing);
    print_ids("doubled", report.doubled);
    std::puts(report.balanced() ? "the ledger is in balance" : "the ledger is NOT in balance");
}

}  // namespace

int ledger_main(std::span<const std::string> args) {
    const std::optional<Arguments> arguments = parse(args);
    if (!arguments) {
        const bool asked = args.size() == 1 && (args[0] == "--help" || args[0] == "-?");
        std::fputs(kUsage, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    if (Status started = host::start_as_tool(); !started) return complain(started.error());
    const bool running = is_locked(arguments->state);
    // In this order what moves on meanwhile, from the spool to the hub, is seen in one of them.
    Result<JournalRecords> journal = read_journal(arguments->state + kJournalFile);
    if (!journal) return complain(journal.error());
    const Result<SpoolContents> spool = read_quiet_spool(arguments->state);
    if (!spool) return complain(spool.error());
    Result<std::vector<Uuid>> stored = read_stored(arguments->hub);
    if (!stored) return complain(stored.error());
    LedgerSides sides;
    sides.journal = *std::move(journal);
    sides.stored = *std::move(stored);
    sides.spooled = spool->waiting;
    for (size_t i = 0; i < kLossReasons; ++i)
        sides.declared += spool->losses.total(static_cast<LossReason>(i)).snapshots;
    sides.kills = arguments->kills;
    const LedgerReport report = compare_ledger(std::move(sides));
    print_report(report, *spool, running);
    return report.balanced() ? 0 : 1;
}

}  // namespace pganalytics::ship
