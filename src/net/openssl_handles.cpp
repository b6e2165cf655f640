// OpenSSL made ready without the environment, and its errors as text (see the header).
#include "pganalytics/net/openssl_handles.hpp"

#include <openssl/err.h>

namespace pganalytics::net {

void init_openssl() {
    // The first call decides: no openssl.cnf, so that neither OPENSSL_CONF nor a system policy
    // changes what our settings say. Later calls, libcurl's among them, find it done.
    static const int done = OPENSSL_init_ssl(
        OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_ATEXIT,
        nullptr);
    static_cast<void>(done);
}

std::string take_openssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "unknown error";
    const char* reason = ERR_reason_error_string(code);
    if (reason != nullptr) return reason;
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    return text;
}

}  // namespace pganalytics::net
