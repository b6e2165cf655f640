// Lines in the server's log: at most one a cause a minute, with how many more there were, control
// characters replaced. For workers; each process keeps its own count.
#pragma once

#include <string_view>

namespace pganalytics::pg {

// `level` is PostgreSQL's (LOG, WARNING, DEBUG1; never ERROR). `cause` is short and fixed: it is
// what is counted. Never raises ERROR; callable between PostgreSQL calls and outside of them.
// False: it was counted only.
bool log_limited(int level, std::string_view cause, std::string_view message,
                 std::string_view detail = {}, std::string_view hint = {}) noexcept;

// The same for what a program says, which may name any number of causes: 60 lines a minute in all.
void log_for_program(int level, std::string_view cause, std::string_view message,
                     std::string_view detail, std::string_view hint) noexcept;

// At once and uncounted; for what happens once in a process's life.
void log_once(int level, std::string_view message) noexcept;

}  // namespace pganalytics::pg
