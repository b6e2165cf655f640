// Boost.Asio as the front uses it: one thread, coroutines, errors as values. Included by the few
// files that wait for something. Runs in `pganalytics serve`.
#pragma once

#define BOOST_ASIO_NO_DEPRECATED
// g++ 12 takes Asio's pair of functions for the frames of coroutines for a mismatch wherever it
// inlines one of them, so that the warning appears in our functions.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>

namespace pganalytics::serve {

namespace asio = boost::asio;
template <class T = void>
using Task = asio::awaitable<T>;
using Tcp = asio::ip::tcp;
using boost::system::error_code;

// Coroutines wait for it, others wake them all.
class Signal {
  public:
    explicit Signal(asio::io_context& io) : io_(io) {}

    // Until notify() or `deadline`; the caller looks which by what it waits for.
    Task<> wait(std::chrono::steady_clock::time_point deadline) {
        asio::steady_timer timer(io_, deadline);
        const auto place = waiting_.insert(waiting_.end(), &timer);
        error_code error;
        try {
            co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
        } catch (...) {
            waiting_.erase(place);
            throw;
        }
        waiting_.erase(place);
    }
    void notify() {
        for (asio::steady_timer* timer : waiting_) timer->cancel();
    }

  private:
    asio::io_context& io_;
    std::list<asio::steady_timer*> waiting_;
};

}  // namespace pganalytics::serve
