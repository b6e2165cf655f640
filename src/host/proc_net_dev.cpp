// /proc/net/dev. Runs in the program.
#include "pganalytics/host/proc_net_dev.hpp"

namespace pganalytics::host {

std::vector<InterfaceFigures> parse_net_dev(std::string_view text) {
    std::vector<InterfaceFigures> interfaces;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        // The kernel allows no colon in a name; the first counter may follow it without a space.
        // The two heading lines have none.
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        InterfaceFigures interface;
        interface.name = Words(line.substr(0, colon)).next();
        Words words(line.substr(colon + 1));
        // With fewer figures than these the meaning of each is not known.
        const size_t count = words.figures(interface.figures);
        if (interface.name.empty() || count < interface.figures.size()) continue;
        interfaces.push_back(interface);
    }
    return interfaces;
}

}  // namespace pganalytics::host
