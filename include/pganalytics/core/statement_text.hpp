// Takes out of SQL text what can be data of somebody's: constants of every form, comments, and what
// a setting is set to, which may be a bare word (SET app.password TO hunter2). Names and parameters
// ($1) stay. In doubt (a text that was cut, a quote after a backslash, which means
// different things by standard_conforming_strings) everything to the end is taken out. Runs in
// visitors, between PostgreSQL calls: no allocation, no exception.
#pragma once

#include <string_view>

namespace pganalytics {

// Writes into `out`, which has room for sql.size() bytes; what is returned lies there. Each
// constant becomes ?, each run of white space and comments one space. `sql` is in an encoding in
// which ASCII bytes stand for nothing else (each encoding of a server is).
std::string_view strip_constants(std::string_view sql, char* out) noexcept;

}  // namespace pganalytics
