"""The rules of the tree, each a function from one file's text to a list of complaints "line: what is wrong"."""
import re

# Folders whose code is handed `now` and returns data; files of a folder that are pure although the folder is not.
PURE_FOLDERS = ("config", "cluster", "availability", "alert", "protocol", "sql", "auth", "proxy")
PURE_FILES = ("consensus/register", "archive/wal.", "archive/catalogue.", "archive/blocks.", "archive/tar.", "archive/manifest.",
              "archive/tail.", "archive/s3_sign.", "archive/s3_answer.")
IMPURE_HEADERS = re.compile(
    r'[<"](ctime|time\.h|thread|mutex|future|atomic|condition_variable|random|fstream|filesystem|iostream'
    r'|unistd\.h|fcntl\.h|pthread\.h|signal\.h|sys/[a-z_]+\.h|netinet/[a-z_]+\.h|arpa/[a-z_]+\.h|netdb\.h|poll\.h'
    r'|boost/asio[^">]*|boost/beast[^">]*|libpq-fe\.h|spdlog/[^">]*|runtime/[^">]*)[>"]')
IMPURE_CALLS = re.compile(r"\b(now|clock_gettime|gettimeofday|getenv|rand|random|std::time|time\(nullptr|sleep_for)\s*\(")

BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Who may include these at all (path prefixes); everybody else goes through that door.
DOORS = [
    (re.compile(r"[<\"]boost/asio"), ("src/runtime/",), "the headers of runtime/"),
    (re.compile(r"[<\"](libpq-fe|libpq/[a-z-]+|postgres_ext)\.h"), ("src/postgres/libpq",),
     "postgres/libpq.h"),
]

OLD_TERMS = re.compile(r"\b(master|slave)s?\b", re.IGNORECASE)
# Input and URLs of older tools that we accept; "master" of a word such as "postmaster" is no match at all.
OLD_TERMS_ACCEPTED = re.compile(r"/(master|slave|replica)\b|[\"'](master|slave)[\"']|compatib", re.IGNORECASE)

HOME_PATHS = re.compile(r"(?<![\w.}/-])/(home|root|Users|work)/\w")
AUTHOR_TOOLS = re.compile(r"\b(chat ?gpt|copilot|claude|codex|ai[- ](assistant|generated|agent)|language model)\b", re.IGNORECASE)
OPEN_ENDS = re.compile(r"(?://|#|/\*|<!--).*\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\)| \(?issue \d+)")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"][^>"]+[>"])', re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def layers(cmake_text):
    """{folder: set of the folders it may include} as CMakeLists.txt declares them: the one place where ranks are."""
    table = {}
    for folder, depends in re.findall(r"^keel_(?:layer|program)\(\s*(\w+)(?:\s+HEADERS\s+\w+)?(?:\s+DEPENDS\s+([\w\s]*?))?\s*(?:LIBRARIES[^)]*)?\)",
                                      cmake_text, re.MULTILINE):
        table[folder] = set(depends.split())
    return table


def layer_order(table):
    """A layer may only name layers declared above it: so there is no cycle."""
    seen, problems = set(), []
    for folder, depends in table.items():
        problems += [f"CMakeLists.txt: {folder} depends on {other}, which is not declared above it"
                     for other in sorted(depends - seen)]
        seen.add(folder)
    return problems


def includes(path, text, table):
    """src/<folder>/x.cc includes its own folder and its declared dependencies only."""
    folder = path.split("/")[1]
    if folder not in table:
        return [f"1: folder {folder} is not declared in CMakeLists.txt"]
    problems = []
    for match in INCLUDE.finditer(text):
        other = match[1].strip('<>"').split("/")[0]
        if other in table and other != folder and other not in table[folder]:
            problems.append(f"{line_of(text, match.start())}: {folder} must not include {other}: CMakeLists.txt does not "
                            f"list it among {folder}'s dependencies")
    return problems


def is_pure(path):
    inside = path.removeprefix("src/")
    return (inside.split("/")[0] in PURE_FOLDERS or inside.startswith(PURE_FILES)) and not inside.endswith("_test.cc")


def purity(path, text, *, pure=None):
    if not (is_pure(path) if pure is None else pure):
        return []
    problems = [f"{line_of(text, m.start())}: {m[1]} has no place in pure code: it must be handed time, chance and bytes"
                for m in INCLUDE.finditer(text) if IMPURE_HEADERS.match(m[1])]
    code = without_comments_and_texts(text)
    problems += [f"{line_of(code, m.start())}: {m[1]}() in pure code: take it as a parameter"
                 for m in IMPURE_CALLS.finditer(code)]
    return problems


def doors(path, text):
    problems = []
    for match in INCLUDE.finditer(text):
        for pattern, allowed, door in DOORS:
            if pattern.match(match[1]) and not path.startswith(allowed):
                problems.append(f"{line_of(text, match.start())}: {match[1]} is included through {door} only")
    return problems


def names(path):
    stems = [part.rsplit(".", 1)[0] if "." in part[1:] else part for part in path.split("/")]
    words = {word for stem in stems for word in re.split(r"[_\-.]", stem.lower())}
    return [f"1: the name says nothing: '{word}'. mend: name the thing it is about" for word in sorted(words & BANNED_NAMES)]


def wording(path, text):
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if OLD_TERMS.search(line) and not OLD_TERMS_ACCEPTED.search(line):
            problems.append(f"{number}: say primary and standby")
        if HOME_PATHS.search(line):
            problems.append(f"{number}: an absolute path of one machine")
        if AUTHOR_TOOLS.search(line):
            problems.append(f"{number}: the text is about the project, not about what it was written with")
        if OPEN_ENDS.search(line):
            problems.append(f"{number}: an open end without an issue number. mend: TODO(#12), or do it")
    return problems


def without_comments_and_texts(text):
    """C++ with comments and literals blanked, line for line the same."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.DOTALL)


SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def functions(text):
    """[(name, first line, lines)] of the outermost function bodies of C++ text."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), without_comments_and_texts(text),
                  flags=re.MULTILINE)
    found, stack, head_start = [], [], 0
    for token in re.finditer(r"[{};]", code):
        inside_function = any(kind == "function" for kind, _, _ in stack)
        if token[0] == "{":
            head = code[head_start:token.start()].strip()
            bare = re.sub(r"template\s*<[^{;]*?>\s*(?=[\w\[])", "", head)
            is_function = not inside_function and "(" in bare and not re.match(r"(inline\s+)?(namespace|class|struct|union|enum)\b", bare)
            first = code.index(head[:1], head_start) if head else token.start()
            stack.append(("function" if is_function else "scope", head, first))
        elif token[0] == "}" and stack:
            kind, head, first = stack.pop()
            if kind == "function":
                name = re.search(r"(TEST\w*\([^)]*\)|[~\w:]+|operator[^\s(]*)\s*(?:\(|$)", head)
                start = line_of(code, first)
                found.append((name[1] if name else head[:30], start, line_of(code, token.start()) - start + 1))
        head_start = token.end()
    return found
