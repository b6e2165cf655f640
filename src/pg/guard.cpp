// The seam between C++ and PostgreSQL (see the header). Runs in every process of the server.
#include "pganalytics/pg/guard.hpp"

#include "pganalytics/core/utf8.hpp"
#include "pganalytics/pg/log.hpp"

namespace pganalytics::pg {

void copy_text(char* out, size_t size, std::string_view text) {
    // Most of it is UTF-8.
    const size_t count = utf8_cut(text, size - 1).size();
    text.copy(out, count);
    out[count] = '\0';
}

std::string sqlstate_text(int code) {
    std::string text;
    for (int i = 0; i < 5; ++i) {
        text.push_back(static_cast<char>(PGUNSIXBIT(code)));
        code >>= 6;
    }
    return text;
}

int sqlstate_code(std::string_view text) {
    if (text.size() != 5) return ERRCODE_INTERNAL_ERROR;
    return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

Error to_error(const FlatError& error) {
    return Error{sqlstate_text(error.code), error.message, error.detail, error.hint};
}

void raise(const FlatError& error) {
    ereport(ERROR, (errcode(error.code), errmsg("%s", error.message),
                    error.detail[0] != '\0' ? errdetail("%s", error.detail) : 0,
                    error.hint[0] != '\0' ? errhint("%s", error.hint) : 0));
    pg_unreachable();
}

namespace detail {

namespace {

void flatten(const ErrorData& data, FlatError* error) {
    error->code = data.sqlerrcode;
    copy_text(error->message, data.message != nullptr ? data.message : "");
    copy_text(error->detail, data.detail != nullptr ? data.detail : "");
    copy_text(error->hint, data.hint != nullptr ? data.hint : "");
}

// Copying the error allocates and may fail in its turn; then its text is lost, not the error.
void take_error(MemoryContext context, FlatError* error) {
    MemoryContextSwitchTo(context);
    PG_TRY();
    {
        ErrorData* data = CopyErrorData();
        flatten(*data, error);
        FreeErrorData(data);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error->code = ERRCODE_OUT_OF_MEMORY;
        copy_text(error->message, "out of memory while an error was handled");
    }
    PG_END_TRY();
    FlushErrorState();
}

// An exception must not pass PG_TRY, which would leave its jump buffer behind.
bool run_catching(void (*function)(void*), void* argument, FlatError* error) noexcept {
    try {
        function(argument);
        return true;
    } catch (...) {
        describe_exception(error);
        return false;
    }
}

}  // namespace

bool call_postgres(void (*function)(void*), void* argument, FlatError* error) noexcept {
    const MemoryContext context = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    const uint32 holdoffs = InterruptHoldoffCount;
    volatile bool done = false;
    PG_TRY();
    { done = run_catching(function, argument, error); }
    PG_CATCH();
    { take_error(context, error); }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    if (!done) CurrentResourceOwner = owner;
    // An ERROR resets it; an exception thrown while a lock was held has to have the same done for
    // it, or no interrupt, a shutdown's neither, would ever be taken again.
    if (!done && InterruptHoldoffCount > holdoffs) InterruptHoldoffCount = holdoffs;
    return done;
}

void describe_exception(FlatError* error) noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        error->code = ERRCODE_OUT_OF_MEMORY;
        copy_text(error->message, "out of memory");
    } catch (const std::exception& exception) {
        error->code = ERRCODE_INTERNAL_ERROR;
        copy_text(error->message, exception.what());
    } catch (...) {
        error->code = ERRCODE_INTERNAL_ERROR;
        copy_text(error->message, "unknown exception");
    }
}

void log_exception(const FlatError& error) { log_limited(LOG, "exception", error.message); }

}  // namespace detail

}  // namespace pganalytics::pg
