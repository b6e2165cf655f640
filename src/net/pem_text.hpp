// PEM and DER between OpenSSL's objects and strings. Private to src/net.
#pragma once

#include <openssl/err.h>

#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

inline constexpr size_t kMostDerBytes = 64 * 1024;

// Reads `text`, which outlives it.
inline Bio text_bio(std::string_view text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string bio_text(BIO& bio) {
    char* data = nullptr;
    const long length = BIO_get_mem_data(&bio, &data);
    return length > 0 ? std::string(data, static_cast<size_t>(length)) : std::string();
}

// `encode` is an i2d function.
template <class Object, class Encode>
Result<std::string> der_text(const Object& object, Encode encode, const char* what) {
    unsigned char* bytes = nullptr;
    const int length = encode(&object, &bytes);
    if (length <= 0) {
        return make_error(sqlstate::kInternal,
                          std::string("could not encode ") + what + ": " + take_openssl_error());
    }
    std::string text(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
    OPENSSL_free(bytes);
    return text;
}

}  // namespace pganalytics::net
