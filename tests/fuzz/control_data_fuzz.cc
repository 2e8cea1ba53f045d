// The output of pg_controldata.
#include "fuzz.h"
#include "postgres/control_data.h"

namespace keel::fuzz {

std::vector<std::string> seeds() {
    return {
        "pg_control version number:            1300\n"
        "Database system identifier:           7300000000000000000\n"
        "Database cluster state:               shut down in recovery\n"
        "Latest checkpoint location:           0/3000148\n"
        "Latest checkpoint's REDO location:    0/3000110\n"
        "Latest checkpoint's TimeLineID:       2\n"
        "Minimum recovery ending location:     0/30001C0\n"
        "Min recovery ending loc's timeline:   2\n"
        "Bytes per WAL segment:                16777216\n"
        "Data page checksum version:           1\n"};
}

void eat(std::string_view bytes) {
    auto const parsed = postgres::parse_control_data(bytes);
    if (parsed) (void)parsed->known_end();
}

}  // namespace keel::fuzz
