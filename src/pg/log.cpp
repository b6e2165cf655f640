// Lines in the server's log (see the header). Runs in workers.
#include "pganalytics/pg/log.hpp"

#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

namespace {

constexpr size_t kCauses = 64;
constexpr int64_t kQuietMicroseconds = 60 * int64_t{1000000};

struct Cause {
    char name[64];
    int64_t last;
    uint64_t suppressed;
};
Cause causes[kCauses];

struct Line {
    char message[1024];
    char detail[1024];
    char hint[512];
};

// Control characters could forge lines; they become spaces.
template <size_t N>
void clean_copy(char (&out)[N], std::string_view text) {
    copy_text(out, text);
    for (char* at = out; *at != '\0'; ++at) {
        const auto byte = static_cast<unsigned char>(*at);
        if (byte < 0x20 || byte == 0x7f) *at = ' ';
    }
}

// The cause's entry; an old one is given up where all are taken.
Cause& entry_of(std::string_view name) {
    Cause* oldest = &causes[0];
    for (Cause& cause : causes) {
        if (name == cause.name) return cause;
        if (cause.last < oldest->last) oldest = &cause;
    }
    *oldest = Cause{};
    copy_text(oldest->name, name);
    return *oldest;
}

void write(int level, const Line& line, uint64_t suppressed) noexcept {
    FlatError ignored;
    // A failing log line is nobody's concern.
    static_cast<void>(try_postgres(
        [&] {
            if (suppressed > 0) {
                ereport(level, (errmsg("pganalytics: %s (%llu more like this in between)",
                                       line.message, static_cast<unsigned long long>(suppressed)),
                                line.detail[0] != '\0' ? errdetail("%s", line.detail) : 0,
                                line.hint[0] != '\0' ? errhint("%s", line.hint) : 0));
            } else {
                ereport(level, (errmsg("pganalytics: %s", line.message),
                                line.detail[0] != '\0' ? errdetail("%s", line.detail) : 0,
                                line.hint[0] != '\0' ? errhint("%s", line.hint) : 0));
            }
        },
        ignored));
}

}  // namespace

bool log_limited(int level, std::string_view cause, std::string_view message,
                 std::string_view detail, std::string_view hint) noexcept {
    Cause& entry = entry_of(cause.substr(0, sizeof entry.name - 1));
    const int64_t now = GetCurrentTimestamp();
    // A clock set back must not silence us for long.
    if (entry.last != 0 && now >= entry.last && now - entry.last < kQuietMicroseconds) {
        ++entry.suppressed;
        return false;
    }
    Line line;
    clean_copy(line.message, message);
    clean_copy(line.detail, detail);
    clean_copy(line.hint, hint);
    write(level, line, entry.suppressed);
    entry.last = now;
    entry.suppressed = 0;
    return true;
}

void log_for_program(int level, std::string_view cause, std::string_view message,
                     std::string_view detail, std::string_view hint) noexcept {
    constexpr unsigned kLinesAMinute = 60;
    static int64_t minute = 0;  // its begin
    static unsigned lines = 0;  // in it
    const int64_t now = GetCurrentTimestamp();
    if (now < minute || now - minute >= kQuietMicroseconds) {
        minute = now;
        lines = 0;
    }
    if (lines >= kLinesAMinute) {
        log_limited(LOG, "program's lines", "the program has more to say than 60 lines a minute",
                    message);
    } else if (log_limited(level, cause, message, detail, hint)) {
        ++lines;
    }
}

void log_once(int level, std::string_view message) noexcept {
    Line line;
    clean_copy(line.message, message);
    line.detail[0] = line.hint[0] = '\0';
    write(level, line, 0);
}

}  // namespace pganalytics::pg
