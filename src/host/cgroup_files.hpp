// The small files in the folder of a control group. What is missing or makes no sense is null.
#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

class CgroupFolder {
  public:
    using Named = std::initializer_list<std::pair<std::string_view, Figure*>>;

    explicit CgroupFolder(std::string path) : path_(std::move(path)) {}

    // False for an empty path too.
    bool there() const;
    // A file of one number; "max" is null.
    Figure figure(std::string_view file) const { return figures<1>(file)[0]; }
    template <size_t N>
    std::array<Figure, N> figures(std::string_view file) const {
        std::array<Figure, N> out;
        const std::string content = text(file);
        Words(std::string_view(content).substr(0, content.find('\n'))).figures(out);
        return out;
    }
    // Lines "name value".
    void named(std::string_view file, Named wanted) const;
    // Lines of devices, "8:0 rbytes=1 wbytes=2" or "8:0 Read 1": the sum over the devices of the
    // number behind each text. Null where no line has it.
    void sums(std::string_view file, Named wanted) const;

  private:
    std::string text(std::string_view file) const;

    std::string path_;
};

}  // namespace pganalytics::host
