// The front as a whole: takes the worker's settings and lists, opens the listeners, keeps the
// connections, sees to their times. Runs in `pganalytics serve`.
//
//   waiting for settings and Open --both there--> open --other addresses, ports--> open anew
//   a port that can't be had: said, and tried again each 5 s
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/net/frame_socket.hpp"
#include "pganalytics/net/openssl_handles.hpp"
#include "pganalytics/serve/connection.hpp"
#include "pganalytics/serve/front_state.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

// An address as text; IPv4 in IPv6's clothes is IPv4.
std::string address_text(const asio::ip::address& address);
// As limits count addresses: IPv6 by its network of 64 bits.
std::string network_text(const asio::ip::address& address);
// What a name of pganalytics.hub_listen_addresses stands for ("*": everything).
std::vector<Tcp::endpoint> listen_endpoints(asio::io_context& io, const std::string& address,
                                            uint16_t port);

class Front {
  public:
    Front(asio::io_context& io, net::FrameSocket& socket);

    // Until the worker ends the conversation, or says Stop.
    void run();

  private:
    struct Gate {
        Tcp::acceptor acceptor;
        Listener kind;
    };

    bool take_frame(const Frame& frame);
    bool take_settings(ServeSettings settings);
    bool take_targets(const ServeTargets& targets);
    void start_once();
    // False: the settings name files that only a new process gets at.
    bool enter_sandbox();
    void begin_anew(std::string why);

    // The files the settings name: read anew where they changed. The old ones stay in use where
    // the new ones are not fit for it.
    void read_files();

    // Opens and closes listeners so that they are as the settings say.
    void listen();
    Status open_gates(int32_t port, Listener kind);
    Status open_gate(const Tcp::endpoint& endpoint, Listener kind);
    void say_listening(std::string error);

    Task<> accept_loop(std::shared_ptr<Gate> gate);
    void admit(Tcp::socket socket, Listener kind);
    Task<> keep(std::shared_ptr<Connection> connection);

    // Runs a part of the front for as long as it lives; where it fails, the front ends (and the
    // worker starts a new one).
    void spawn(Task<> part);
    Task<> talk();
    Task<> sweep();
    Task<> watch();

    asio::io_context& io_;
    net::FrameSocket& socket_;
    WorkerLink link_;
    FrontState state_;
    bool open_ = false;       // the worker's lists are complete
    bool listening_ = false;  // as the settings say
    std::optional<std::string> listening_said_;
    std::vector<std::shared_ptr<Gate>> gates_;
    net::TlsContext collectors_tls_;
    net::TlsContext console_tls_;
    std::string files_mark_;
    std::string files_problem_;
    std::optional<host::FileLock> lock_;
    host::Sandbox sandbox_;
    std::map<Admission::Id, std::shared_ptr<Connection>> connections_;
    Admission::Id last_id_ = 0;
};

}  // namespace pganalytics::serve
