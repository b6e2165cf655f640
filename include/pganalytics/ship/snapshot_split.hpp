// A snapshot that the hub refuses, in two: each with half of its rowsets. Runs in
// `pganalytics ship`.
//
// Halves of halves lead to the one rowset that the hub does not take, and cost the others nothing
// but a second push. What a half is follows from the snapshot alone: split again after a kill it is
// the same, id, number and bytes, and is stored once.
//
//     id        of the SHA-256 of the whole's id and which half it is
//     sequence  the whole's in the lower 32 bits; above it the way to the half, as in a heap: 1 the
//               whole, 2 and 3 its halves, 4 and 5 those of 2
//     parts     one more where the cycle was cut into several pushes: as long as a half is missing,
//               the cycle is not all there
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

using SnapshotHalves = std::array<Snapshot, 2>;

// Empty: it holds one rowset or none, it is nothing that the SnapshotWriter made, or memory is
// short.
std::optional<SnapshotHalves> split_snapshot(const Snapshot& whole);

}  // namespace pganalytics::ship
