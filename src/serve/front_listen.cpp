// The front's listeners (see front.hpp). Runs in `pganalytics serve`.
#include <algorithm>
#include <string>

#include "pganalytics/serve/front.hpp"

namespace pganalytics::serve {

namespace {

Error listen_error(const Tcp::endpoint& endpoint, const error_code& error) {
    return make_error(sqlstate::kConnectionFailure,
                      "could not listen on address \"" + endpoint.address().to_string() +
                          "\", port " + std::to_string(endpoint.port()) + ": " + error.message());
}

}  // namespace

std::string address_text(const asio::ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    }
    return address.to_string();
}

std::string network_text(const asio::ip::address& address) {
    if (address.is_v4() || address.is_loopback() || address.to_v6().is_v4_mapped()) {
        return address_text(address);
    }
    auto bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), uint8_t{0});
    return asio::ip::address_v6(bytes).to_string() + "/64";
}

void Front::say_listening(std::string error) {
    if (listening_said_ == error) return;
    listening_said_ = error;
    link_.send(Listening{state_.settings.port, state_.settings.console_port, std::move(error),
                         sandbox_.text()});
}

void Front::listen() {
    if (!open_ || listening_) return;
    for (const std::shared_ptr<Gate>& gate : gates_) {
        error_code ignored;
        gate->acceptor.close(ignored);
    }
    gates_.clear();
    if (collectors_tls_ == nullptr || console_tls_ == nullptr) {
        return say_listening(files_problem_.empty() ? "no certificate yet" : files_problem_);
    }
    const bool single = state_.settings.console_port == 0;
    Status opened =
        open_gates(state_.settings.port, single ? Listener::kBoth : Listener::kCollectors);
    if (opened && !single) opened = open_gates(state_.settings.console_port, Listener::kConsole);
    if (!opened) {
        for (const std::shared_ptr<Gate>& gate : gates_) {
            error_code ignored;
            gate->acceptor.close(ignored);
        }
        gates_.clear();
        return say_listening(opened.error().message);
    }
    listening_ = true;
    for (const std::shared_ptr<Gate>& gate : gates_) {
        spawn(accept_loop(gate));
    }
    listening_said_.reset();
    say_listening({});
}

// Every address of the settings on one port. Like the server itself: an address this machine does
// not have is passed over where another one works; a port that is taken never is.
Status Front::open_gates(int32_t port, Listener kind) {
    Error failure = make_error(sqlstate::kConnectionFailure, "no address to listen on");
    size_t opened = 0;
    std::vector<Tcp::endpoint> done;
    for (const std::string& address : state_.settings.listen_addresses) {
        for (const Tcp::endpoint& endpoint :
             listen_endpoints(io_, address, static_cast<uint16_t>(port))) {
            if (std::find(done.begin(), done.end(), endpoint) != done.end()) continue;
            done.push_back(endpoint);
            Status gate = open_gate(endpoint, kind);
            if (gate) {
                ++opened;
            } else if (gate.error().sqlstate == sqlstate::kObjectNotReady) {
                return gate;
            } else {
                failure = std::move(gate).error();
            }
        }
    }
    if (opened == 0) return failure;
    return {};
}

std::vector<Tcp::endpoint> listen_endpoints(asio::io_context& io, const std::string& address,
                                            uint16_t port) {
    if (address == "*") return {{Tcp::v4(), port}, {Tcp::v6(), port}};
    Tcp::resolver resolver(io);
    error_code error;
    const auto found =
        resolver.resolve(address, std::to_string(port),
                         Tcp::resolver::passive | Tcp::resolver::numeric_service, error);
    std::vector<Tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    return endpoints;
}

Status Front::open_gate(const Tcp::endpoint& endpoint, Listener kind) {
    auto gate = std::make_shared<Gate>(Gate{Tcp::acceptor(io_), kind});
    error_code error;
    Tcp::acceptor& acceptor = gate->acceptor;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) {
        acceptor.set_option(asio::ip::v6_only(true), error);
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(kBacklog, error);
    if (error) {
        Error failure = listen_error(endpoint, error);
        if (error == boost::asio::error::address_in_use) {
            failure.sqlstate = sqlstate::kObjectNotReady;
        }
        return failure;
    }
    gates_.push_back(std::move(gate));
    return {};
}

Task<> Front::accept_loop(std::shared_ptr<Gate> gate) {
    asio::steady_timer pause(io_);
    while (gate->acceptor.is_open()) {
        error_code error;
        Tcp::socket socket =
            co_await gate->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (!error) {
            admit(std::move(socket), gate->kind);
        } else if (error != boost::asio::error::operation_aborted) {
            // No descriptor left, most likely: wait until some connections have gone.
            pause.expires_after(kAcceptPause);
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        }
    }
}

}  // namespace pganalytics::serve
