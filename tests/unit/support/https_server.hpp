// A small HTTPS server in python's ssl module, as the other end of https client tests. It keeps a
// log of handshakes and of every byte of HTTP that reached it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/command.hpp"

namespace pganalytics::testing {

inline constexpr const char* kHttpsServer = R"python(
import json, socket, ssl, sys, time

options = json.loads(sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.maximum_version = getattr(ssl.TLSVersion, options.get("version", "TLSv1_3"))
# What is weak must come from this server, so that the client can refuse it.
context.set_ciphers("DEFAULT@SECLEVEL=0")
context.load_cert_chain(options["chain"], options["key"])
if options.get("client_ca"):
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(options["client_ca"])
log = open(options["log"], "a", buffering=1)

def read_request(stream):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(65536)
        if not piece:
            return data, False
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = stream.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body, True

def serve(plain):
    stream = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    try:
        stream.do_handshake()
    except (ssl.SSLError, OSError) as error:
        log.write("refused %s\n" % getattr(error, "reason", error))
        # An orderly end, so that the alert arrives.
        plain = socket.socket(fileno=stream.detach())
        try:
            plain.settimeout(30)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(65536):
                pass
        except OSError:
            pass
        plain.close()
        return
    log.write("handshake %s %s reused=%s alpn=%s\n" % (
        stream.version(), stream.cipher()[0], stream.session_reused, stream.selected_alpn_protocol()))
    while True:
        request, whole = read_request(stream)
        if request:
            log.write("request %s\n" % json.dumps(request.decode("latin-1")))
        if not whole:
            break
        if options.get("mode") == "stall":
            time.sleep(600)
        if options.get("mode") == "close":
            break
        answer = open(options["answer"], "rb").read()
        try:
            stream.sendall(answer)
        except OSError:
            break
        if b"connection: close" in answer.lower():
            break
    try:
        stream.close()
    except OSError:
        pass

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(8)
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    connection.settimeout(30)
    try:
        serve(connection)
    except (OSError, ValueError) as error:
        log.write("error %s\n" % error)
)python";

// A program of ours that runs until the object goes.
class Background {
  public:
    // Waits for the first line of its standard output.
    explicit Background(const std::vector<std::string>& words) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        pid_ = fork();
        if (pid_ == 0) {
            dup2(ends[1], 1);
            std::vector<char*> arguments;
            for (const std::string& word : words) {
                arguments.push_back(const_cast<char*>(word.c_str()));
            }
            arguments.push_back(nullptr);
            execv(arguments[0], arguments.data());
            _exit(127);
        }
        close(ends[1]);
        char byte = 0;
        while (read(ends[0], &byte, 1) == 1 && byte != '\n') first_line_ += byte;
        close(ends[0]);
    }
    ~Background() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;
    const std::string& first_line() const { return first_line_; }
    pid_t pid() const { return pid_; }

  private:
    pid_t pid_ = -1;
    std::string first_line_;
};

class HttpsServer {
  public:
    // `options` is the inside of a JSON object: "chain", "key", and more as the script reads them.
    HttpsServer(const TemporaryFolder& folder, const std::string& name, const std::string& options,
                const std::string& answer)
        : log_(folder / (name + ".log")), process_(arguments(folder, name, options, answer)) {}

    std::string address() const { return "https://127.0.0.1:" + process_.first_line(); }
    std::string url() const { return "https://localhost:" + process_.first_line(); }
    std::string log() const { return read_text(log_); }
    pid_t pid() const { return process_.pid(); }

  private:
    std::vector<std::string> arguments(const TemporaryFolder& folder, const std::string& name,
                                       const std::string& options, const std::string& answer) {
        write_text(folder / "server.py", kHttpsServer);
        write_text(folder / (name + ".answer"), answer);
        return {"/usr/bin/python3", folder / "server.py",
                "{" + options + ",\"log\":\"" + log_ + "\",\"answer\":\"" +
                    (folder / (name + ".answer")) + "\"}"};
    }
    std::string log_;
    Background process_;
};

}  // namespace pganalytics::testing
