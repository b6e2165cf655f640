// The worker's end of the socket to a program (see the header). Runs in the collector and hub
// workers.
#include "pganalytics/pg/frame_link.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace pganalytics::pg {

namespace {
constexpr size_t kWriteBytes = size_t{256} * 1024;
constexpr size_t kWriteFrames = 32;
constexpr size_t kReadBytes = size_t{64} * 1024;
}  // namespace

void FrameLink::open(int socket) {
    close();
    forget_input();
    socket_ = socket;
}

void FrameLink::close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    queue_.clear();
    front_taken_ = queued_ = 0;
}

void FrameLink::enqueue(std::string frame) {
    queued_ += frame.size();
    queue_.push_back(std::move(frame));
}

size_t FrameLink::write_some() {
    if (socket_ < 0 || queue_.empty()) return 0;
    iovec pieces[kWriteFrames];
    size_t count = 0;
    size_t bytes = 0;
    for (std::string& frame : queue_) {
        if (count == kWriteFrames || bytes >= kWriteBytes) break;
        const size_t skip = count == 0 ? front_taken_ : 0;
        pieces[count].iov_base = frame.data() + skip;
        pieces[count].iov_len = std::min(frame.size() - skip, kWriteBytes - bytes);
        bytes += pieces[count].iov_len;
        ++count;
    }
    msghdr message = {};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    // An error other than "full" shows as end of file to the reader.
    const ssize_t written = sendmsg(socket_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written <= 0) return 0;
    drop_taken(static_cast<size_t>(written));
    return static_cast<size_t>(written);
}

void FrameLink::drop_taken(size_t bytes) {
    queued_ -= bytes;
    front_taken_ += bytes;
    while (!queue_.empty() && front_taken_ >= queue_.front().size()) {
        front_taken_ -= queue_.front().size();
        queue_.pop_front();
    }
}

bool FrameLink::read_some(size_t limit) {
    char bytes[kReadBytes];
    while (splitter_.buffered() < limit) {
        const ssize_t count = recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count > 0) {
            splitter_.feed({bytes, static_cast<size_t>(count)});
        } else if (count == 0 || errno != EINTR) {
            return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
    }
    return true;
}

std::string_view FrameLink::rest_of_frame() const {
    if (front_taken_ == 0) return {};
    return std::string_view(queue_.front()).substr(front_taken_);
}

}  // namespace pganalytics::pg
