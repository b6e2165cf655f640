// Losses, counted (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/loss_book.hpp"

#include <algorithm>

namespace pganalytics::ship {

namespace {

constexpr int64_t kHour = 3600 * 1'000'000LL;

size_t place(LossReason reason) { return static_cast<size_t>(reason); }

}  // namespace

std::string_view loss_name(LossReason reason) {
    switch (reason) {
        case LossReason::kLimit:
            return "limit";
        case LossReason::kNoRoom:
            return "no room";
        case LossReason::kRefused:
            return "refused";
        case LossReason::kDamaged:
            return "damaged";
        case LossReason::kStranger:
            return "other collector";
    }
    return "unknown";
}

std::string_view loss_note(LossReason reason) {
    switch (reason) {
        case LossReason::kLimit:
            return "The hub was away for longer than pganalytics.spool_limit lasts; the oldest "
                   "went first.";
        case LossReason::kNoRoom:
            return "Neither disk nor memory could take them; the oldest went first.";
        case LossReason::kRefused:
            return "The hub refused them for good.";
        case LossReason::kDamaged:
            return "Files of the spool were damaged or cut off by a crash.";
        case LossReason::kStranger:
            return "They were collected before this server was enrolled as another collector.";
    }
    return "";
}

void Losses::count(uint64_t snapshot_rows, uint64_t bytes_json, int64_t time) {
    add({1, snapshot_rows, bytes_json, time, time});
}

void Losses::add(const Losses& other) {
    snapshots += other.snapshots;
    rows += other.rows;
    bytes += other.bytes;
    if (other.first_time != 0)
        first_time = first_time == 0 ? other.first_time : std::min(first_time, other.first_time);
    last_time = std::max(last_time, other.last_time);
}

void LossBook::add(LossReason reason, const Losses& losses, int64_t now) {
    if (losses.nothing()) return;
    totals_[place(reason)].add(losses);
    const auto last = std::find_if(episodes_.rbegin(), episodes_.rend(),
                                   [&](const LossEpisode& one) { return one.reason == reason; });
    if (last != episodes_.rend() && now - last->ended_at < kHour && now >= last->began_at) {
        last->losses.add(losses);
        last->ended_at = std::max(now, last->ended_at);
        return;
    }
    if (episodes_.size() >= kMostEpisodes) episodes_.erase(episodes_.begin());
    episodes_.push_back({next_number_++, reason, losses, now, now});
}

const Losses& LossBook::total(LossReason reason) const { return totals_[place(reason)]; }

Losses LossBook::dropped() const {
    Losses sum = total(LossReason::kLimit);
    sum.add(total(LossReason::kNoRoom));
    sum.add(total(LossReason::kStranger));
    return sum;
}

bool LossBook::plausible() const {
    return episodes_.size() <= kMostEpisodes &&
           std::all_of(episodes_.begin(), episodes_.end(),
                       [](const LossEpisode& one) { return place(one.reason) < kLossReasons; });
}

}  // namespace pganalytics::ship
