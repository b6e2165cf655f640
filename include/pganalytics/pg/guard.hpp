// The seam between C++ and PostgreSQL, both ways.
//
// PostgreSQL's ERROR is a siglongjmp that runs no destructor, and a C++ exception that leaves a
// function PostgreSQL called aborts the server. So:
//
//   C++ -> PostgreSQL   try_postgres(lambda, error): runs the lambda under PG_TRY. The lambda, and
//                       everything it calls that calls PostgreSQL, keeps only plain data on its
//                       stack. An ERROR comes back as a FlatError; what it left behind (locks,
//                       transaction) is the caller's to clean up, see transaction.hpp.
//   PostgreSQL -> C++   guarded(lambda): for what PostgreSQL calls. Catches everything, leaves the
//                       handler, and only then raises ERROR. Each entry point of the library is
//                       one (module.cpp, which lint holds to it); those further in bring the error
//                       to where nothing of PostgreSQL's is left half done. guarded_or(value,
//                       lambda): the same for workers' loops and callbacks, where an exception is
//                       logged and answered with `value`.
//
// Never ereport inside catch, never throw inside the lambda of try_postgres.
#pragma once

#include "pganalytics/core/result.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// An ERROR of PostgreSQL as plain data; texts are cut where they are longer.
struct FlatError {
    int code = 0;  // as from MAKE_SQLSTATE; 0: none
    char message[512] = {};
    char detail[512] = {};
    char hint[256] = {};
};

// The five characters of an SQLSTATE, and back.
std::string sqlstate_text(int code);
int sqlstate_code(std::string_view text);

// As values; only outside PostgreSQL calls.
Error to_error(const FlatError& error);
void copy_text(char* out, size_t size, std::string_view text);
template <size_t N>
void copy_text(char (&out)[N], std::string_view text) {
    copy_text(out, N, text);
}

// Raises ERROR with what `error` holds. For SQL functions, with nothing but plain data alive.
[[noreturn]] void raise(const FlatError& error);

namespace detail {
// False after an ERROR, which is then in `error` and no longer in PostgreSQL's hands. Memory
// context and resource owner are what they were; a held lock or an open transaction stays.
bool call_postgres(void (*function)(void*), void* argument, FlatError* error) noexcept;
void describe_exception(FlatError* error) noexcept;  // inside a catch block only
void log_exception(const FlatError& error);

// Where PostgreSQL goes after an ERROR. An exception that passed a PG_TRY has left them as they
// were in there.
class Handlers {
  public:
    void restore() const noexcept {
        PG_exception_stack = jump_;
        error_context_stack = context_;
    }

  private:
    sigjmp_buf* jump_ = PG_exception_stack;
    ErrorContextCallback* context_ = error_context_stack;
};
}  // namespace detail

template <class Function>
[[nodiscard]] bool try_postgres(Function&& function, FlatError& error) noexcept {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Function>>,
                  "a lambda that runs between setjmp and longjmp captures by reference only");
    using Plain = std::remove_reference_t<Function>;
    return detail::call_postgres(
        [](void* argument) { (*static_cast<Plain*>(argument))(); },
        const_cast<void*>(static_cast<const void*>(std::addressof(function))), &error);
}

// What `function` throws becomes an ERROR. Its result must be plain. The lambda may hold C++ values
// as long as none is alive across a call that raises ERROR.
template <class Function>
auto guarded(Function&& function) {
    using Answer = std::invoke_result_t<Function>;
    static_assert(std::is_void_v<Answer> || std::is_trivially_destructible_v<Answer>);
    const detail::Handlers handlers;
    FlatError error;
    bool failed = false;
    if constexpr (std::is_void_v<Answer>) {
        try {
            function();
        } catch (...) {
            detail::describe_exception(&error);
            failed = true;
        }
        if (!failed) return;
        handlers.restore();
        raise(error);
    } else {
        Answer answer{};
        try {
            answer = function();
        } catch (...) {
            detail::describe_exception(&error);
            failed = true;
        }
        if (!failed) return answer;
        handlers.restore();
        raise(error);
    }
}

// For loops and callbacks that must go on: an exception is logged (one line a minute) and answered
// with `fallback`.
template <class Answer, class Function>
Answer guarded_or(Answer fallback, Function&& function) noexcept {
    static_assert(std::is_trivially_destructible_v<Answer>);
    FlatError error;
    try {
        return function();
    } catch (...) {
        detail::describe_exception(&error);
    }
    detail::log_exception(error);
    return fallback;
}

}  // namespace pganalytics::pg
