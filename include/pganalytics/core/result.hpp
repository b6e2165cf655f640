// What a function answers that can fail: a value or an Error. Used everywhere below src/pg and the
// program's main; nothing there throws on purpose or logs from depth.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace pganalytics {

// Text in PostgreSQL's message style: `message` is lower case without a full stop; `detail` and
// `hint` are sentences. `sqlstate` is five characters ("08006"); it never holds a secret.
struct Error {
    std::string sqlstate = "XX000";
    std::string message;
    std::string detail;
    std::string hint;
};

// SQLSTATEs the program and the core use; the server's own list stays in src/pg.
namespace sqlstate {
inline constexpr std::string_view kConnectionFailure = "08006";
inline constexpr std::string_view kProtocolViolation = "08P01";
inline constexpr std::string_view kInvalidParameter = "22023";
inline constexpr std::string_view kInvalidText = "22P02";
inline constexpr std::string_view kInvalidAuthorization = "28000";
inline constexpr std::string_view kProgramLimit = "54000";
inline constexpr std::string_view kObjectNotReady = "55000";
inline constexpr std::string_view kQueryCanceled = "57014";
inline constexpr std::string_view kIoError = "58030";
inline constexpr std::string_view kInternal = "XX000";
}  // namespace sqlstate

inline Error make_error(std::string_view sqlstate, std::string message, std::string detail = {},
                        std::string hint = {}) {
    return Error{std::string(sqlstate), std::move(message), std::move(detail), std::move(hint)};
}

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }
    const T& value() const& { return std::get<0>(state_); }
    T& value() & { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    const Error& error() const& { return std::get<1>(state_); }
    Error&& error() && { return std::get<1>(std::move(state_)); }

    const T& operator*() const& { return value(); }
    T& operator*() & { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    const T* operator->() const { return &value(); }
    T* operator->() { return &value(); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const { return !error_.has_value(); }
    const Error& error() const& { return *error_; }
    Error&& error() && { return *std::move(error_); }

  private:
    std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace pganalytics
