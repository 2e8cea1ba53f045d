// libFuzzer's entry points. `fuzz_x --write-seeds DIR` writes the starting inputs and ends.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    if (*argc != 3 || std::strcmp((*argv)[1], "--write-seeds") != 0) return 0;
    int number = 0;
    for (auto const& seed : keel::fuzz::seeds()) {
        std::ofstream out(std::string((*argv)[2]) + "/seed-" + std::to_string(number++), std::ios::binary);
        out << seed;
        if (!out.flush()) std::exit(1);
    }
    std::exit(number > 0 ? 0 : 1);
}

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    keel::fuzz::eat({reinterpret_cast<char const*>(data), size});
    return 0;
}
