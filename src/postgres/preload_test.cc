#include "postgres/preload.h"

#include <gtest/gtest.h>

namespace keel::postgres {

TEST(Preload, TheUsersLibrariesStayAndOursComesLastOnce) {
    EXPECT_EQ(with_extension("", "/b/pgkeel.so"), "\"/b/pgkeel.so\"");
    EXPECT_EQ(with_extension("pg_stat_statements, auto_explain", "/b/pgkeel.so"),
              "pg_stat_statements, auto_explain, \"/b/pgkeel.so\"");
    EXPECT_EQ(with_extension("\"/a/pgkeel.so\",x,$libdir/pgkeel , pgkeel", "/b/pgkeel.so"), "x, \"/b/pgkeel.so\"");
}

TEST(Preload, WithoutOneOursIsTakenOutSoThatTheServerStarts) {
    EXPECT_EQ(with_extension("x, \"/a/pgkeel.so\"", ""), "x");
    EXPECT_EQ(with_extension("pgkeel", ""), "");
}

TEST(Preload, AlterSystemWinsOverEveryFileSoOursGoesInThereToo) {
    EXPECT_EQ(auto_conf_with_extension("# text\nwork_mem = '8MB'\nshared_preload_libraries = 'x'\n", "/b/pgkeel.so"),
              "# text\nwork_mem = '8MB'\nshared_preload_libraries = 'x, \"/b/pgkeel.so\"'\n");
    EXPECT_EQ(auto_conf_with_extension("a = 1", "/b/pgkeel.so"), "a = 1");
}

TEST(Preload, TheLastLineOfAFileCounts) {
    EXPECT_EQ(libraries_of("shared_preload_libraries = 'a'\n#shared_preload_libraries = 'b'\n"), "a");
    EXPECT_EQ(libraries_of("shared_preload_libraries = 'a'\nShared_Preload_Libraries = 'b, c' # x\n"), "b, c");
    EXPECT_EQ(libraries_of("port = 1\n"), "");
}

}  // namespace keel::postgres
