// Pressure stall information. Runs in the program.
#include "pganalytics/host/pressure.hpp"

namespace pganalytics::host {

// some avg10=0.00 avg60=0.00 avg300=0.00 total=0
PressureFigures parse_pressure(std::string_view text) {
    constexpr std::string_view kTotal = "total=";
    PressureFigures figures;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view first = words.next();
        if (first != "some" && first != "full") continue;
        Figure& figure = first == "some" ? figures.some_us : figures.full_us;
        for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
            if (word.starts_with(kTotal)) figure = to_figure(word.substr(kTotal.size()));
        }
    }
    return figures;
}

}  // namespace pganalytics::host
