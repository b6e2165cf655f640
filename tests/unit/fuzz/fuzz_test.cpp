// The fuzz targets of tests/fuzz without a fuzzer: the kept inputs, then changed ones for
// FUZZ_CHECK_SECONDS (60) of all targets together, by FUZZ_SEED (random, printed). An input that
// breaks a property is left in build/unit/fuzz-input. `make fuzz` looks deeper: it sees which code
// an input reaches.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

// All in one piece, so that their headers are read once.
// clang-format off
#define LLVMFuzzerTestOneInput fuzz_certificates
#include "../../fuzz/certificates_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_frames
#include "../../fuzz/frames_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_hub_answer
#include "../../fuzz/hub_answer_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_hub_pushes
#include "../../fuzz/hub_pushes_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_inflate
#include "../../fuzz/inflate_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_json
#include "../../fuzz/json_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_jwt
#include "../../fuzz/jwt_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_proc_figures
#include "../../fuzz/proc_figures_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_proc_mountinfo
#include "../../fuzz/proc_mountinfo_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_push
#include "../../fuzz/push_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_request_head
#include "../../fuzz/request_head_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_rows
#include "../../fuzz/rows_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_spool
#include "../../fuzz/spool_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_texts
#include "../../fuzz/texts_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
// clang-format on

namespace pganalytics {
namespace {

struct Target {
    const char* name;
    int (*run)(const uint8_t*, size_t);
};

const Target kTargets[] = {
    {"certificates", net::fuzz_certificates},
    {"frames", fuzz_frames},
    {"hub_answer", ship::fuzz_hub_answer},
    {"hub_pushes", fuzz_hub_pushes},
    {"inflate", net::fuzz_inflate},
    {"json", serve::fuzz_json},
    {"jwt", net::fuzz_jwt},
    {"proc_figures", host::fuzz_proc_figures},
    {"proc_mountinfo", host::fuzz_proc_mountinfo},
    {"push", serve::fuzz_push},
    {"request_head", serve::fuzz_request_head},
    {"rows", fuzz_rows},
    {"spool", fuzz_spool},
    {"texts", fuzz_texts},
};

std::string current;  // the input that is tried

void leave_input() {
    const int file = open("build/unit/fuzz-input", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return;
    if (write(file, current.data(), current.size()) < 0) std::perror("fuzz-input");
    close(file);
}

void leave_input_of_abort(int) {
    leave_input();
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}

class Fuzz : public testing::TestWithParam<Target> {
  protected:
    Fuzz() {
        const char* given = std::getenv("FUZZ_SEED");
        const auto seed = given ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10))
                                : std::random_device()();
        std::printf("FUZZ_SEED=%u\n", seed);
        std::fflush(stdout);
        random_.seed(seed);
        __asan_set_death_callback(leave_input);
        std::signal(SIGABRT, leave_input_of_abort);
    }
    ~Fuzz() override { std::signal(SIGABRT, SIG_DFL); }

    size_t below(size_t limit) {
        return std::uniform_int_distribution<size_t>(0, limit - 1)(random_);
    }
    const std::string& any_input() { return inputs_[below(inputs_.size())]; }

    void change(std::string& input) {
        const size_t at = below(input.size() + 1);
        const size_t length = std::min(1 + below(16), input.size() - at);
        static constexpr char kBytes[] = "\0\xff\x7f\x80\r\n\t \"\\,:{}[]-+.09eE%/;=_uA";
        const char byte = kBytes[below(sizeof kBytes - 1)];
        switch (below(6)) {
            case 0:
                if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
                break;
            case 1:
                if (at < input.size()) input[at] = byte;
                break;
            case 2:
                input.insert(at, 1 + below(3), byte);
                break;
            case 3:
                input.erase(at, length);
                break;
            case 4:
                input.insert(at, std::string(input, below(input.size() + 1), 1 + below(32)));
                break;
            default: {
                const std::string& other = any_input();
                input.insert(at, other, below(other.size() + 1), 1 + below(64));
            }
        }
        if (input.size() > 65'536) input.resize(65'536);
    }

    void try_input(const std::string& input) {
        current = input;
        GetParam().run(reinterpret_cast<const uint8_t*>(current.data()), current.size());
        ++runs_;
    }

    std::mt19937 random_;
    std::vector<std::string> inputs_;
    size_t runs_ = 0;
};

TEST_P(Fuzz, PropertiesHold) {
    const std::string folder = std::string("tests/fuzz/corpus/") + GetParam().name + "_fuzz";
    if (std::filesystem::is_directory(folder)) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream file(entry.path(), std::ios::binary);
            inputs_.emplace_back(std::istreambuf_iterator<char>(file),
                                 std::istreambuf_iterator<char>());
            try_input(inputs_.back());
        }
    }
    if (inputs_.empty()) inputs_.emplace_back(64, '\1');
    const char* given = std::getenv("FUZZ_CHECK_SECONDS");
    const double seconds = (given ? std::strtod(given, nullptr) : 60) / std::size(kTargets);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
        std::string input = any_input();
        for (size_t changes = 1 + below(8); changes > 0; --changes) change(input);
        try_input(input);
    }
    std::printf("%s: %zu inputs\n", GetParam().name, runs_);
    EXPECT_GT(runs_, inputs_.size());
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace pganalytics
