// SQL functions that ask the collector, and the simple ones (see the header). Run in sessions; what
// needs C++ values stands in lambdas without a PostgreSQL call in them.
#include "pganalytics/pg/functions.hpp"

#include <csignal>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/setting_forms.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/pg/ask.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/result_rows.hpp"

namespace pganalytics::pg {

namespace {

constexpr int kCollectMs = 60000;
constexpr int kPreviewMs = 60000;
constexpr int kShortMs = 10000;
constexpr int kRegisterMs = 30000;
constexpr int64_t kLeastPushMs = 1;
constexpr int64_t kMostPushMs = 3600000;

std::string_view bytes_of(StringInfo text) { return {text->data, static_cast<size_t>(text->len)}; }

[[noreturn]] void refuse_argument(const char* message, const char* hint = "") {
    FlatError error;
    error.code = ERRCODE_INVALID_PARAMETER_VALUE;
    copy_text(error.message, message);
    copy_text(error.hint, hint);
    raise(error);
}

int milliseconds(const Interval* interval) {
    const int64_t days = interval->day + int64_t{interval->month} * DAYS_PER_MONTH;
    const int64_t ms = interval->time / 1000 + days * (SECS_PER_DAY * 1000);
    if (ms < kLeastPushMs || ms > kMostPushMs) {
        refuse_argument("timeout must be between 1 millisecond and 1 hour");
    }
    return static_cast<int>(ms);
}

Datum rows_of(FunctionCallInfo call, const Question& question) {
    ResultRows result = begin_result(call);
    StringInfo answer = ask(question);
    put_encoded_rows(&result, bytes_of(answer), answer_types(question.kind));
    return Datum{0};
}

bool is_plugin(const char* name) {
    return std::any_of(catalog().begin(), catalog().end(),
                       [&](const Rowset& rowset) { return rowset.plugin == name; });
}

// Empty: it has the form. Errors are copied out, since nothing may be raised in here.
void check_url(const char* url, FlatError* error) {
    guarded([&] {
        if (const Status form = check_https_url(url); !form) {
            copy_text(error->message, form.error().message);
        }
    });
}

}  // namespace

Datum sql_version(FunctionCallInfo) {
    return PointerGetDatum(
        cstring_to_text_with_len(kVersion.data(), static_cast<int>(kVersion.size())));
}

Datum sql_collect_now(FunctionCallInfo call) {
    return rows_of(call, {.kind = RequestKind::kCollectNow, .timeout_ms = kCollectMs});
}

Datum sql_push_now(FunctionCallInfo call) {
    const int timeout_ms = milliseconds(DatumGetIntervalP(call->args[0].value));
    return rows_of(call, {.kind = RequestKind::kPushNow, .timeout_ms = timeout_ms});
}

Datum sql_preview(FunctionCallInfo call) {
    Question question = {.kind = RequestKind::kPreview, .timeout_ms = kPreviewMs};
    if (!call->args[0].isnull) {
        const char* plugin = text_to_cstring(DatumGetTextPP(call->args[0].value));
        if (!is_plugin(plugin)) {
            refuse_argument("there is no such plugin",
                            "select distinct plugin from pganalytics_catalog() names them.");
        }
        question.arguments[0] = plugin;
    }
    return PointerGetDatum(json_from_utf8(bytes_of(ask(question))));
}

// The server reads its configuration again, then the program what it keeps in files.
Datum sql_reload(FunctionCallInfo) {
    if (kill(PostmasterPid, SIGHUP) != 0) {
        ereport(WARNING, (errmsg("could not signal the postmaster: %m")));
    }
    ask({.kind = RequestKind::kReload, .timeout_ms = kShortMs});
    return BoolGetDatum(true);
}

Datum sql_register(FunctionCallInfo call) {
    const char* url = text_to_cstring(DatumGetTextPP(call->args[0].value));
    const char* token = text_to_cstring(DatumGetTextPP(call->args[1].value));
    FlatError error;
    check_url(url, &error);
    if (error.message[0] != '\0') refuse_argument(error.message);
    const Question question = {
        .kind = RequestKind::kRegister, .arguments = {url, token}, .timeout_ms = kRegisterMs};
    const std::string_view answer = from_utf8(bytes_of(ask(question)));
    return PointerGetDatum(
        cstring_to_text_with_len(answer.data(), static_cast<int>(answer.size())));
}

Datum sql_unregister(FunctionCallInfo) {
    ask({.kind = RequestKind::kUnregister, .timeout_ms = kShortMs});
    return BoolGetDatum(true);
}

}  // namespace pganalytics::pg
