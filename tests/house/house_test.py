#!/usr/bin/env python3
"""House rules that no compiler checks. Prints one line per breach, `file:line: rule: what to do`; exit code 1 if there is one.

Rules: include arrows between folders of src/, file and function length, forbidden calls, where coroutines may be, how co_await is
written, words that belong in no file. Exceptions live in exceptions.txt beside this file, each with its reason; one that is no longer
needed is a breach too.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
SKIPPED_FOLDERS = {"build", "node_modules", ".git", "__pycache__"}
FORBIDDEN_CODE = {
    r"\bstd::regex\b|#include <regex>": "std::regex overflows the stack on long input; use a hand-written predicate",
    r"(?<![\w.>:])(?:std::|::)?system\s*\(": "no shell: start programs with an argument vector",
    r"(?<![\w.>])(?:::)?popen\s*\(": "no shell: start programs with an argument vector",
    r"\bstd::(?:format|print|println|vformat)\b|#include <(?:format|print)>": "not in g++ 12; use fmt or string concatenation",
}
# Spelled in parts, so that this file does not break its own rule.
FORBIDDEN_WORDS = {
    "registry." + "npmjs": "no registry host in a file: .npmrc with omit-lockfile-registry-resolved=true keeps it out of lock files",
    "deb." + "debian.org": "no mirror in a file: use the machine's own apt sources",
    "security." + "debian.org": "no mirror in a file: use the machine's own apt sources",
}


class Report:
    def __init__(self):
        self.exceptions = self.read_exceptions()
        self.used = set()
        self.lines = []

    def read_exceptions(self):
        exceptions = {}
        for number, line in enumerate((ROOT / "tests/house/exceptions.txt").read_text().splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            parts = line.split(maxsplit=2)
            if len(parts) < 3:
                sys.exit(f"tests/house/exceptions.txt:{number}: expected RULE FILE[:FUNCTION] REASON")
            exceptions[(parts[0], parts[1])] = number
        return exceptions

    def breach(self, rule, file, line, text, subject=""):
        name = str(file.relative_to(ROOT))
        for key in ((rule, f"{name}:{subject}"), (rule, name)):
            if key in self.exceptions:
                self.used.add(key)
                return
        self.lines.append(f"{name}:{line}: {rule}: {text}")

    def finish(self):
        for key, number in self.exceptions.items():
            if key not in self.used:
                self.lines.append(f"tests/house/exceptions.txt:{number}: stale: {' '.join(key)} is no longer needed; remove the line")
        print("\n".join(self.lines) if self.lines else "house rules: all kept")
        return 1 if self.lines else 0


def files_below(*folders, suffixes):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes and not SKIPPED_FOLDERS.intersection(path.relative_to(ROOT).parts):
                yield path


def blanked(text):
    """The same text with comments and the insides of literals replaced by spaces; positions and line numbers stay."""
    token = re.compile(r'R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/', re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[-1]

    return token.sub(blank, text)


def line_at(text, position):
    return text.count("\n", 0, position) + 1


# --- arrows -------------------------------------------------------------------------------------------------------------------


def modules():
    """{folder: folders it may include}, as CMakeLists.txt declares them."""
    text = re.sub(r"#[^\n]*", "", (ROOT / "CMakeLists.txt").read_text())
    allowed = {}
    for call in re.findall(r"add_module\(([^)]*)\)", text):
        words = call.split()
        depends = []
        if "DEPENDS" in words:
            for word in words[words.index("DEPENDS") + 1:]:
                if word == "LIBRARIES":
                    break
                depends.append(word)
        allowed[words[0]] = set(depends)
    return allowed


def check_arrows(report):
    allowed = modules()
    by_length = sorted(allowed, key=len, reverse=True)

    def module_of(path):
        return next((module for module in by_length if path == module or path.startswith(module + "/")), None)

    for file in files_below("src", suffixes={".cpp", ".hpp", ".h", ".c"}):
        inside = str(file.relative_to(ROOT / "src"))
        here = module_of(inside)
        if inside.startswith("daemon/") or file.stem.endswith("_test"):
            continue  # the program that puts everything together, and tests, may include anything
        if here is None:
            report.breach("arrow", file, 1, "this folder is no module; declare it in CMakeLists.txt")
            continue
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            target = module_of(match.group(1))
            if "/" not in match.group(1):
                report.breach("arrow", file, number, f'write the folder: #include "{here}/{match.group(1)}"')
            elif target is None:
                report.breach("arrow", file, number, f"{match.group(1)} is in no module")
            elif target != here and target not in allowed[here]:
                report.breach("arrow", file, number, f"{here} may not include {target}; allowed: {', '.join(sorted(allowed[here])) or 'nothing'}")


# --- length -------------------------------------------------------------------------------------------------------------------

NOT_A_FUNCTION = re.compile(r"\b(?:namespace|class|struct|union|enum|if|for|while|switch|do|else|try|catch|extern)\b")


def functions(code):
    """(name, first line, last line) of function bodies outside other functions. Braces are counted; heads are told by their shape."""
    stack = []
    head_start = 0
    depth_in_function = None
    for position, character in enumerate(code):
        if character == "{":
            head = code[head_start:position].strip()
            is_function = False
            if depth_in_function is None:
                last_line = re.sub(r"^\s*#[^\n]*$", "", head, flags=re.M)
                body_head = re.sub(r"<[^<>;{}]*>", "", last_line)
                starts = re.sub(r"^(?:template|public:|private:|protected:|\s)+", "", body_head)
                is_function = ")" in body_head and "=" not in body_head.split("(")[0] and not NOT_A_FUNCTION.match(starts)
            name = ""
            if is_function:
                match = re.search(r"([~\w]+)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)", head)
                name = match.group(1) if match else head.split("(")[0].split()[-1]
                depth_in_function = len(stack)
            stack.append((position, name, head_start + len(code[head_start:position]) - len(code[head_start:position].lstrip())))
            head_start = position + 1
        elif character == "}":
            if stack:
                _, name, head_position = stack.pop()
                if depth_in_function is not None and len(stack) == depth_in_function:
                    yield name, line_at(code, head_position), line_at(code, position)
                    depth_in_function = None
            head_start = position + 1
        elif character == ";":
            head_start = position + 1


def check_length(report):
    for file in files_below("src", "cli", "tests", suffixes={".cpp", ".hpp", ".h", ".c", ".S"}):
        text = file.read_text()
        lines = text.count("\n") + 1
        if lines > FILE_LINES_MAX:
            report.breach("file-length", file, 1, f"{lines} lines, {FILE_LINES_MAX} allowed; split it by what changes together")
        for name, first, last in functions(blanked(text)):
            if last - first + 1 > FUNCTION_LINES_MAX:
                report.breach("function-length", file, first, f"{name} has {last - first + 1} lines, {FUNCTION_LINES_MAX} allowed", subject=name)


# --- calls, coroutines, words -------------------------------------------------------------------------------------------------


def check_code(report):
    for file in files_below("src", "cli", "tests", suffixes={".cpp", ".hpp", ".h", ".c"}):
        code = blanked(file.read_text())
        for pattern, advice in FORBIDDEN_CODE.items():
            for match in re.finditer(pattern, code):
                report.breach("forbidden", file, line_at(code, match.start()), f"{match.group(0).strip()}: {advice}")
        in_http = file.is_relative_to(ROOT / "src/http")
        for match in re.finditer(r"\bco_(?:await|return|yield)\b", code):
            if not in_http and not file.stem.endswith("_test"):
                report.breach("coroutine", file, line_at(code, match.start()), "coroutines are for src/http only; the core is blocking code on threads")
                break
        if in_http:
            check_await(report, file, code)


def check_await(report, file, code):
    """g++ 12 miscompiles temporaries of some statements with co_await: only plain ones are allowed."""
    start = 0
    # A statement ends at `;`, and a block's opening or closing brace at the end of a line separates statements too.
    for end in [match.start() for match in re.finditer(r";|\{[ \t]*\n|\}[ \t]*\n", code)] + [len(code)]:
        statement = code[start:end]
        at = start + len(statement) - len(statement.lstrip())
        start = end + 1
        if "co_await" not in statement:
            continue
        for pattern, what in ((r"\[[^\[\]]*\]\s*(?:\([^()]*\))?\s*(?:mutable\s*)?\{", "a lambda"), (r"[\w>)]\s*\{[^}]*\}|=\s*\{|\(\s*\{", "a braced list"),
                              (r"\?[^:]*:(?!:)", "a conditional expression"), (r"&&|\|\|", "a logical operator")):
            if re.search(pattern, re.sub(r"\b(?:auto|\w+)\s*&&\s*\w+\s*[=:]", "=", statement)):
                report.breach("co_await", file, line_at(code, at), f"{what} in one statement with co_await; make it a named variable before")


def check_words(report):
    suffixes = {".cpp", ".hpp", ".h", ".c", ".py", ".md", ".txt", ".cmake", ".json", ".ts", ".js", ".html", ".css", ".yml", ".yaml", ".service", ".conf", ""}
    for file in sorted(ROOT.rglob("*")):
        parts = file.relative_to(ROOT).parts
        if SKIPPED_FOLDERS.intersection(parts) or not file.is_file() or file.suffix not in suffixes or file.stat().st_size > 4 << 20:
            continue
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for word, advice in FORBIDDEN_WORDS.items():
            if word in text:
                report.breach("word", file, line_at(text, text.index(word)), advice)


def main():
    report = Report()
    check_arrows(report)
    check_length(report)
    check_code(report)
    check_words(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
