// What stands in the spool's files. A segment is a header and records behind each other; nothing in
// it is ever changed, only added at its end. Runs in `pganalytics ship`.
//
//     segment   "pgaspool" · version u32 · length u32 · checksum u32 · header (length bytes)
//     record    mark u32 · type u8 · 0 u8 u16 · meta length u32 · body length u32 · number u64
//               · checksum of meta u32 · of body u32 · of these 32 bytes u32 · meta · body
//
// Numbers are little-endian. Checksums are CRC-32C, in records seeded with a random number of the
// segment, so that neither an old block of the disk nor bytes somebody planted in what is monitored
// pass for a record of it. Snapshots are numbered from 1 without a gap through all segments: a gap
// is a loss that can be counted.
//
// The version is in each segment and in each file's name. A version reads those before it, and
// leaves alone those after it, which begin as a segment does, with a checksum of the same bytes: a
// damaged one is not taken for another version's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/ship/loss_book.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

inline constexpr uint32_t kSpoolVersion = 1;
inline constexpr size_t kSegmentPreambleBytes = 20;
inline constexpr size_t kRecordHeaderBytes = 36;
inline constexpr size_t kMostHeaderBytes = size_t{8} << 10;
inline constexpr size_t kMostMetaBytes = size_t{4} << 20;
inline constexpr size_t kMostBodyBytes = size_t{64} << 20;

// Names of files: "v1-000000000000002a.spool", "….aside". Made of our counters only.
enum class SpoolFileKind : uint8_t { kSegment, kAside };
std::string spool_file_name(SpoolFileKind kind, uint64_t number);
struct SpoolFileName {
    SpoolFileKind kind = SpoolFileKind::kSegment;
    uint64_t number = 0;
};
// Empty where it is none of this version's.
std::optional<SpoolFileName> parse_spool_file_name(std::string_view name);

// What holds for the spool as a whole; the last one written counts.
struct SpoolState {
    uint64_t position = 1;  // every snapshot with a number below is delivered or declared lost
    LossBook losses;
    static void fields(auto& self, auto& codec) { codec(self.position, self.losses); }
};

struct SegmentHeader {
    uint64_t segment = 0;
    uint64_t first_number = 1;  // of the snapshots in it
    uint32_t seed = 0;
    int64_t created_at = 0;
    SpoolState state;
    static void fields(auto& self, auto& codec) {
        codec(self.segment, self.first_number, self.seed, self.created_at, self.state);
    }
};

std::string encode_segment_header(const SegmentHeader& header);
struct SegmentStart {
    SegmentHeader header;
    uint64_t bytes = 0;  // where the first record begins
};
// Both: `bytes` are the first of the file, kSegmentPreambleBytes + kMostHeaderBytes at most.
std::optional<uint32_t> segment_version(std::string_view bytes);
std::optional<SegmentStart> decode_segment_header(std::string_view bytes);

enum class RecordType : uint8_t {
    kSnapshot = 1,
    kState = 2,     // meta: SpoolState
    kPosition = 3,  // `number` as SpoolState::position
    kFinished = 4,  // snapshot `number` was delivered out of its turn
    kRefused = 5,   // in a file set aside: the snapshot with the reason
};

struct RecordHeader {
    RecordType type = RecordType::kSnapshot;
    uint32_t meta_bytes = 0;
    uint32_t body_bytes = 0;
    uint64_t number = 0;
    uint32_t meta_checksum = 0;
    uint32_t body_checksum = 0;

    uint64_t bytes() const { return kRecordHeaderBytes + uint64_t{meta_bytes} + body_bytes; }
};

// Header and meta; the body follows as it is.
std::string encode_record(RecordType type, uint64_t number, uint32_t seed, std::string_view meta,
                          std::string_view body);
std::optional<RecordHeader> decode_record_header(std::string_view bytes, uint32_t seed);
// Where in `bytes` the first place is that a record may begin at; `from` on. npos: nowhere.
size_t find_record_mark(std::string_view bytes, size_t from);

// Of a snapshot's record, and of one set aside.
struct SnapshotMeta {
    Uuid snapshot_id{};
    Uuid collector_id{};
    Uuid incarnation{};
    uint64_t sequence = 0;
    Sha256 digest{};
    uint64_t bytes_json = 0;
    uint64_t rows = 0;
    int64_t time = 0;
    struct Group {
        uint16_t rowset = 0;
        uint32_t datid = 0;
        uint16_t own = 0;
        static void fields(auto& self, auto& codec) { codec(self.rowset, self.datid, self.own); }
    };
    std::vector<Group> groups;
    std::string reason;  // why it was set aside

    static void fields(auto& self, auto& codec) {
        codec(self.snapshot_id, self.collector_id, self.incarnation, self.sequence, self.digest,
              self.bytes_json, self.rows, self.time, self.groups, self.reason);
    }
};

SnapshotMeta meta_of(const Snapshot& snapshot, const Uuid& incarnation);
// Without its body; its groups only where `incarnation` wrote it: rowsets are numbered by the run.
Snapshot snapshot_of(const SnapshotMeta& meta, const Uuid& incarnation);

}  // namespace pganalytics::ship
