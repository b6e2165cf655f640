// TLS on a socket that never blocks (see the header). Runs in `pganalytics serve`.
#include "pganalytics/serve/tls_stream.hpp"

#include <openssl/err.h>

#include <array>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/tls.hpp"

namespace pganalytics::serve {

TlsStream::TlsStream(Tcp::socket socket, SSL_CTX& context)
    : socket_(std::move(socket)), ssl_(SSL_new(&context)) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    if (ssl_ == nullptr) throw std::bad_alloc();
    SSL_set_mode(ssl_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_fd(ssl_.get(), socket_.native_handle());
}

// False where waiting does not help: closed, failed, expired.
Task<bool> TlsStream::wait_for(int ssl_error) {
    error_code error;
    if (expired_) co_return false;
    if (ssl_error == SSL_ERROR_WANT_READ) {
        co_await socket_.async_wait(Tcp::socket::wait_read,
                                    asio::redirect_error(asio::use_awaitable, error));
    } else if (ssl_error == SSL_ERROR_WANT_WRITE) {
        co_await socket_.async_wait(Tcp::socket::wait_write,
                                    asio::redirect_error(asio::use_awaitable, error));
    } else {
        // Nothing may be written any more, not even a farewell.
        if (ssl_error != SSL_ERROR_ZERO_RETURN) established_ = false;
        co_return false;
    }
    co_return !error && !expired_;
}

Task<TlsStream::Outcome> TlsStream::handshake() {
    while (true) {
        ERR_clear_error();
        const int result = SSL_accept(ssl_.get());
        if (result == 1) break;
        const int error = SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_SSL) {
            const long verified = SSL_get_verify_result(ssl_.get());
            handshake_problem_ = verified == X509_V_OK
                                     ? net::take_openssl_error()
                                     : net::verify_error_text(static_cast<int>(verified));
        }
        const bool again = co_await wait_for(error);
        if (!again) co_return expired_ ? Outcome::kExpired : Outcome::kClosed;
    }
    established_ = true;
    co_return Outcome::kDone;
}

Task<TlsStream::Read> TlsStream::read_some(char* out, size_t size) {
    while (true) {
        Read read;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_.get(), out, size, &read.bytes);
        if (result == 1) {
            read.outcome = Outcome::kDone;
            co_return read;
        }
        const bool again = co_await wait_for(SSL_get_error(ssl_.get(), result));
        if (!again) {
            read.outcome = expired_ ? Outcome::kExpired : Outcome::kClosed;
            co_return read;
        }
    }
}

Task<TlsStream::Outcome> TlsStream::write_all(std::string_view bytes) {
    while (!bytes.empty()) {
        size_t written = 0;
        ERR_clear_error();
        const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
        if (result == 1) {
            bytes.remove_prefix(written);
            continue;
        }
        const bool again = co_await wait_for(SSL_get_error(ssl_.get(), result));
        if (!again) co_return expired_ ? Outcome::kExpired : Outcome::kClosed;
    }
    co_return Outcome::kDone;
}

Task<> TlsStream::close(size_t bytes) {
    error_code error;
    if (established_) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
    }
    socket_.shutdown(Tcp::socket::shutdown_send, error);
    // Below TLS: what comes now is of no interest.
    std::array<char, 4096> thrown_away;
    while (!error && !expired_ && bytes > 0) {
        co_await socket_.async_wait(Tcp::socket::wait_read,
                                    asio::redirect_error(asio::use_awaitable, error));
        if (error) break;
        const size_t got = socket_.read_some(asio::buffer(thrown_away), error);
        bytes -= std::min(bytes, got);
    }
    socket_.close(error);
}

void TlsStream::expire() {
    expired_ = true;
    error_code ignored;
    socket_.cancel(ignored);
}

std::optional<Sha256> TlsStream::peer_fingerprint() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr) return std::nullopt;
    return net::certificate_fingerprint(*certificate);
}

}  // namespace pganalytics::serve
