"""Each rule bites: a bad example is refused and the good one beside it passes."""
import pytest

import rules

CMAKE = """
keel_layer(base       LIBRARIES Boost::json fmt::fmt)
keel_layer(cluster    DEPENDS base)
keel_layer(consensus  DEPENDS base cluster LIBRARIES CURL::libcurl)
keel_program(app      DEPENDS base cluster consensus)
"""
TABLE = {"base": set(), "cluster": {"base"}, "consensus": {"base", "cluster"}, "app": {"base", "cluster", "consensus"}}


def test_the_layer_table_is_read_from_cmake():
    assert rules.layers(CMAKE) == TABLE
    assert rules.layer_order(TABLE) == []


def test_a_layer_naming_one_below_it_in_the_file_is_refused():
    assert rules.layer_order({"base": {"cluster"}, "cluster": {"base"}})


@pytest.mark.parametrize("path, include, bad", [
    ("src/cluster/decide.cc", '"base/ids.h"', False),
    ("src/cluster/decide.cc", '"cluster/record.h"', False),
    ("src/cluster/decide.cc", '"consensus/store.h"', True),
    ("src/base/json.cc", '"cluster/record.h"', True),
    ("src/unknown/x.cc", '"base/ids.h"', True),
])
def test_includes(path, include, bad):
    assert bool(rules.includes(path, f"#include {include}\n", TABLE)) == bad


@pytest.mark.parametrize("path, text, bad", [
    ("src/cluster/lease.cc", "#include <chrono>\n", False),
    ("src/cluster/lease.cc", "#include <thread>\n", True),
    ("src/cluster/lease.cc", "#include <random>\n", True),
    ("src/cluster/lease.cc", '#include "runtime/clock.h"\n', True),
    ("src/cluster/lease.cc", "auto t = BootClock::now();\n", True),
    ("src/cluster/lease.cc", "auto t = clock.now;  // not now()\n", False),
    ("src/consensus/register.cc", "#include <fstream>\n", True),
    ("src/consensus/acceptor_file.cc", "#include <fstream>\n", False),
    ("src/runtime/clock.cc", "#include <thread>\n", False),
])
def test_purity(path, text, bad):
    assert bool(rules.purity(path, text)) == bad


@pytest.mark.parametrize("path, text, bad", [
    ("src/runtime/asio.h", "#include <boost/asio.hpp>\n", False),
    ("src/agent/agent.cc", "#include <boost/asio.hpp>\n", True),
    ("src/web/server.cc", '#include "boost/asio/read.hpp"\n', True),
    ("src/postgres/libpq.h", "#include <libpq-fe.h>\n", False),
    ("src/cli/demo.cc", "#include <libpq-fe.h>\n", True),
])
def test_doors(path, text, bad):
    assert bool(rules.doors(path, text)) == bad


@pytest.mark.parametrize("path, bad", [
    ("src/base/string_utils.cc", True),
    ("src/common/x.cc", True),
    ("src/agent/manager.h", True),
    ("src/cluster/commoner.cc", False),
])
def test_names(path, bad):
    assert bool(rules.names(path)) == bad


@pytest.mark.parametrize("line, bad", [
    ("the postmaster was killed", False),
    ("the mas" "ter and its slave", True),
    ('if (path == "/master") // Patroni\'s name', False),
    ("cd /home/" "ann/pgkeel", True),
    ("cd /usr/lib/postgresql", False),
    ("x = 1;  // TO" "DO: later", True),
    ("// TO" "DO(#12): later", False),
    ('print("TO' 'DO")', False),
    ("written by Chat" "GPT", True),
])
def test_wording(line, bad):
    assert bool(rules.wording("x", line)) == bad


LONG = "int long_one(int a,\n             int b) {\n" + "    a += b;\n" * 70 + "    return a;\n}\n"


def test_the_length_of_a_function_counts_from_its_head_to_its_brace():
    found = rules.functions("#include <x>\nnamespace keel {\nstruct S {\n    int f() const { return 1; }\n};\n" + LONG + "}\n")
    assert found == [("f", 4, 1), ("long_one", 6, 74)]


def test_braces_in_texts_comments_and_lambdas_do_not_confuse():
    text = 'void f() {\n    auto x = "}";  // }\n    auto g = [] { return 1; };\n    if (g()) { x = "{"; }\n}\nint y{3};\nvoid h() {}\n'
    assert rules.functions(text) == [("f", 1, 5), ("h", 7, 1)]


def test_members_with_initialisers_templates_and_namespaces_are_seen_through():
    text = "template <class T>\nclass C {\n  public:\n    C(int a) : a_(a), b_{a} {\n    }\n    int a_{0};\n};\nenum class E { a };\n"
    assert [name for name, _, _ in rules.functions(text)][-1:] == ["C"] or rules.functions(text)[0][2] <= 2
