// How a session asks a worker, and how the answer comes back. The session makes a segment of
// dynamic shared memory with the encoded Request and a queue, takes a numbered slot
// (shared_state.hpp) and sets the collector's latch; the collector attaches and answers through the
// queue in messages:
//
//   'P' bytes          a piece of the answer
//   'E' AnswerEnd      the end, encoded
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

inline constexpr uint64 kRequestMagic = 0x70676172'65717565;
inline constexpr size_t kAnswerQueueBytes = size_t{64} << 10;

enum RequestKey : uint64 { kRequestKeyText = 1, kRequestKeyQueue = 2 };

inline constexpr char kAnswerPiece = 'P';
inline constexpr char kAnswerEnd = 'E';

}  // namespace pganalytics::pg
