#include "archive/tail.h"

#include <gtest/gtest.h>

namespace keel::archive {

namespace {

TailPiece piece(std::uint64_t from, std::uint64_t to, char hash = 'a') { return {from, to, std::string(64, hash)}; }

TEST(Tail, NamesAreReadAsTheyAreWritten) {
    auto const one = piece(0x1000, 0xFFFFFF);
    EXPECT_EQ(tail_piece_name(one), "00001000-00ffffff-" + std::string(64, 'a') + ".zst");
    EXPECT_EQ(parse_tail_piece(tail_piece_name(one)), one);
    auto const name = tail_piece_name(one);
    for (std::size_t i = 0; i < name.size(); ++i) EXPECT_FALSE(parse_tail_piece(name.substr(0, i)));
    EXPECT_FALSE(parse_tail_piece(tail_piece_name(piece(8, 8))));
    EXPECT_FALSE(parse_tail_piece("000000010000000000000003.partial"));
}

TEST(Tail, TheLongestBeginningWithoutAHole) {
    EXPECT_TRUE(chain_of({}).empty());
    EXPECT_TRUE(chain_of({piece(8, 20)}).empty());
    EXPECT_EQ(chain_of({piece(20, 30), piece(0, 8), piece(8, 20)}),
              (std::vector{piece(0, 8), piece(8, 20), piece(20, 30)}));
    EXPECT_EQ(chain_of({piece(0, 8), piece(9, 20)}), std::vector{piece(0, 8)});
    // Cut differently by two archivers.
    EXPECT_EQ(chain_of({piece(0, 8), piece(0, 12, 'b'), piece(8, 20), piece(10, 11)}),
              (std::vector{piece(0, 12, 'b'), piece(8, 20)}));
}

}  // namespace

}  // namespace keel::archive
