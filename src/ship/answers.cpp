// Answers to requests (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/answers.hpp"

#include <algorithm>
#include <utility>

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/net/gzip.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kPiece = size_t{64} << 10;
// Beyond this the socket has enough to do.
constexpr size_t kQueued = size_t{1} << 20;
constexpr size_t kLargestDocument = size_t{32} << 20;

}  // namespace

void Answers::send(uint64_t number, std::string bytes) {
    Waiting answer;
    answer.number = number;
    answer.bytes = std::move(bytes);
    waiting_.push_back(std::move(answer));
    pump();
}

void Answers::send_error(uint64_t number, const Error& error) {
    Waiting answer;
    answer.number = number;
    answer.error = error;
    waiting_.push_back(std::move(answer));
    pump();
}

void Answers::send_documents(uint64_t number, std::vector<Snapshot> snapshots) {
    Waiting answer;
    answer.number = number;
    answer.is_array = snapshots.size() > 1;
    answer.more.assign(std::make_move_iterator(snapshots.begin()),
                       std::make_move_iterator(snapshots.end()));
    if (answer.is_array) answer.bytes.push_back('[');
    waiting_.push_back(std::move(answer));
    pump();
}

// Fills an empty piece with the next document; false where there is none.
bool Answers::next_piece(Waiting& answer) {
    answer.bytes.clear();
    answer.sent = 0;
    if (answer.more.empty()) return false;
    net::Inflated document = net::inflate_gzip(answer.more.front().body, kLargestDocument);
    answer.more.pop_front();
    answer.bytes = std::move(document.bytes);
    if (answer.is_array) answer.bytes += answer.more.empty() ? "]" : ",";
    return true;
}

void Answers::end(const Waiting& answer) {
    AnswerEnd end;
    end.number = answer.number;
    if (!answer.error.message.empty()) {
        end.sqlstate = answer.error.sqlstate;
        end.message = answer.error.message;
        end.detail = answer.error.detail;
        end.hint = answer.error.hint;
    }
    socket_.send_message(end);
}

void Answers::pump() {
    while (!waiting_.empty() && socket_.queued() < kQueued) {
        Waiting& answer = waiting_.front();
        if (answer.sent == answer.bytes.size() && !next_piece(answer)) {
            end(answer);
            waiting_.pop_front();
            continue;
        }
        AnswerPart part;
        part.number = answer.number;
        part.bytes = answer.bytes.substr(answer.sent, kPiece);
        answer.sent += part.bytes.size();
        socket_.send_message(part);
    }
}

}  // namespace pganalytics::ship
