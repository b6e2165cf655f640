// What was sent of users' own rowsets (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/own_groups.hpp"

#include <algorithm>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/own_rowset.hpp"

namespace pganalytics::ship {

void OwnGroups::inherit(std::string_view bytes) {
    ByteReader reader(bytes);
    SentList list;
    Decoder decoder(reader);
    SentList::fields(list, decoder);
    if (!reader.done()) return;
    std::erase_if(list.sent, [](const Sent& one) { return !is_own_name(one.name); });
    inherited_ = std::move(list.sent);
    kept_ = bytes;
}

std::optional<std::string> OwnGroups::to_keep() {
    SentList list{inherited_};
    for (const auto& [group, names] : groups_)
        list.sent.push_back({group.datid, names.name, names.datname});
    ByteWriter out;
    Encoder encoder(out);
    SentList::fields(list, encoder);
    std::string bytes = out.take();
    if (bytes == kept_) return std::nullopt;
    kept_ = bytes;
    return bytes;
}

void OwnGroups::sent(RowsetGroup group, std::string_view name, std::string_view datname) {
    groups_[group] = {std::string(name), std::string(datname)};
    std::erase_if(inherited_,
                  [&](const Sent& one) { return one.datid == group.datid && one.name == name; });
}

std::vector<OwnGroups::Gone> OwnGroups::keep(std::span<const OwnNumber> own) {
    std::vector<Gone> gone;
    for (const auto& [group, names] : groups_) {
        const auto number = group.own;
        const auto is_number = [number](const OwnNumber& one) { return one.number == number; };
        if (std::any_of(own.begin(), own.end(), is_number)) continue;
        gone.push_back({group, names.name, names.datname});
    }
    for (const Gone& one : gone) groups_.erase(one.group);
    // Which number it had nobody knows any more, nor whether it is defined as it was then: its rows
    // come whole soon, which tells the rest.
    std::erase_if(inherited_, [&](const Sent& one) {
        const auto is_name = [&](const OwnNumber& known) { return known.name == one.name; };
        if (std::any_of(own.begin(), own.end(), is_name)) return false;
        gone.push_back(
            {{rowset_number(*find_rowset("own", "rows")), one.datid}, one.name, one.datname});
        return true;
    });
    return gone;
}

void OwnGroups::keep_databases(std::span<const uint32_t> datids) {
    const auto is_gone = [&](uint32_t datid) {
        return std::find(datids.begin(), datids.end(), datid) == datids.end();
    };
    std::erase_if(groups_, [&](const auto& entry) { return is_gone(entry.first.datid); });
    std::erase_if(inherited_, [&](const Sent& one) { return is_gone(one.datid); });
}

}  // namespace pganalytics::ship
