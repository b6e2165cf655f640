// The busiest rows of an encoder's (see row_encoder.hpp). C style: it runs between PostgreSQL
// calls, allocates by palloc and may raise ERROR, with the rows as they were. Runs in visitors.
#include <algorithm>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/row_encoder.hpp"

namespace pganalytics::pg {

namespace {

struct Candidate {
    RowWeight weight;
    uint64_t place;
};

// Of equal ones those that came first.
bool goes_before(const Candidate& a, const Candidate& b) {
    if (a.weight != b.weight) return a.weight.is_above(b.weight);
    return a.place < b.place;
}

// The rows in a chunk, one after the other.
class ChunkRows {
  public:
    explicit ChunkRows(RowChunk* chunk)
        : at_(chunk->bytes + kFrameHeaderBytes), end_(chunk->bytes + chunk->used) {}

    bool next() {
        begin_ = at_;
        if (at_ == end_) return false;
        ByteReader reader({at_, static_cast<size_t>(end_ - at_)});
        body_ = reader.text();
        at_ = end_ - reader.remaining();
        return reader.ok();
    }
    std::string_view body() const { return body_; }
    // With its length.
    const char* begin() const { return begin_; }
    size_t size() const { return static_cast<size_t>(at_ - begin_); }

  private:
    const char* begin_ = nullptr;
    const char* at_;
    const char* end_;
    std::string_view body_;
};

// Rows move towards the front only: each fits where one stood that came no later.
struct Packer {
    RowChunk* chunk;
    size_t used = kFrameHeaderBytes;

    void put(const char* row, size_t size) {
        while (used + size > chunk->capacity) next();
        std::memmove(chunk->bytes + used, row, size);
        used += size;
    }
    void next() {
        chunk->used = used;
        chunk = chunk->next;
        used = kFrameHeaderBytes;
    }
};

void drop_chunks_behind(RowEncoder* encoder, RowChunk* last) {
    for (RowChunk* chunk = last->next; chunk != nullptr;) {
        RowChunk* const next = chunk->next;
        encoder->bytes -= chunk->capacity;
        pfree(chunk);
        chunk = next;
    }
    last->next = nullptr;
    encoder->last = last;
}

void weigh_rows(const RowEncoder& encoder, Candidate* candidates) {
    const RowSumming summing = summing_of(encoder);
    uint64_t place = 0;
    for (RowChunk* chunk = encoder.first; chunk != nullptr; chunk = chunk->next) {
        for (ChunkRows rows(chunk); rows.next(); ++place)
            candidates[place] = {weight_of(summing, rows.body()), place};
    }
}

void pack_rows(RowEncoder* encoder, const bool* kept) {
    const RowSumming summing = summing_of(*encoder);
    Packer packer{encoder->first};
    uint64_t place = 0;
    encoder->rows = 0;
    for (RowChunk* chunk = encoder->first; chunk != nullptr; chunk = chunk->next) {
        // (as it was before rows were moved into it)
        for (ChunkRows rows(chunk); rows.next(); ++place) {
            if (kept[place]) {
                packer.put(rows.begin(), rows.size());
                ++encoder->rows;
            } else {
                add_to_sums(summing, rows.body(), &encoder->left_out);
            }
        }
    }
    packer.chunk->used = packer.used;
    drop_chunks_behind(encoder, packer.chunk);
}

}  // namespace

void choose_rows(RowEncoder* encoder, uint64_t most) {
    const uint64_t count = encoder->rows;
    if (count <= most) return;
    const auto option = static_cast<int>(MCXT_ALLOC_HUGE);
    auto* candidates = static_cast<Candidate*>(
        MemoryContextAllocExtended(encoder->context, count * sizeof(Candidate), option));
    auto* kept = static_cast<bool*>(MemoryContextAllocExtended(
        encoder->context, count, option | static_cast<int>(MCXT_ALLOC_ZERO)));
    weigh_rows(*encoder, candidates);
    std::nth_element(candidates, candidates + most, candidates + count, goes_before);
    for (uint64_t i = 0; i < most; ++i) kept[candidates[i].place] = true;
    pack_rows(encoder, kept);
    pfree(candidates);
    pfree(kept);
}

}  // namespace pganalytics::pg
