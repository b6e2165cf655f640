// SHA-256 and what is made of it: HMAC, HKDF, comparison in constant time. Runs in the program.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"

namespace pganalytics::net {

Sha256 sha256(std::string_view bytes);

// For bytes that come in pieces. finish() may be called once.
class Sha256Hasher {
  public:
    Sha256Hasher();
    ~Sha256Hasher();
    Sha256Hasher(Sha256Hasher&&) noexcept;
    Sha256Hasher& operator=(Sha256Hasher&&) noexcept;
    void update(std::string_view bytes);
    Sha256 finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

Sha256 hmac_sha256(std::span<const uint8_t> key, std::string_view bytes);

// RFC 5869 with SHA-256, one block of output (32 bytes).
Sha256 hkdf_sha256(std::span<const uint8_t> key, std::string_view salt, std::string_view info);

// False at once where the sizes differ; else the time does not depend on the bytes.
bool equal_in_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b);

inline std::string_view as_text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace pganalytics::net
