"""Sums the test results below a directory: lists what failed and what was skipped and why; last line: N passed, N failed, N skipped.

Each run has a folder with ctest's JUnit file and, from GoogleTest programs, one XML file per program in gtest/. A GoogleTest program
counts by its test cases, a Python unittest program and node's test runner by their closing lines; any other test, and a program that died before it could
close, counts as one.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def gtest_cases(folder):
    for file in sorted(folder.glob("gtest/*.xml")):
        try:
            tree = ElementTree.parse(file)
        except ElementTree.ParseError:
            continue  # cut short by a crash: ctest's own entry tells
        for case in tree.iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None:
                yield name, "failed", ""
            elif (skipped := case.find("skipped")) is not None:
                yield name, "skipped", (skipped.get("message") or skipped.text or "").strip().split("\n")[-1]
            elif case.get("status") == "notrun":
                continue  # DISABLED_ tests
            else:
                yield name, "passed", ""


def unittest_cases(name, output):
    """Cases of a Python unittest program, or None if its output has no closing lines."""
    closing = re.search(r"^Ran (\d+) tests? in .*\n\s*\n(?:OK|FAILED)(?: \((.*)\))?$", output, re.M)
    if not closing:
        return None
    counts = {key: int(number) for key, number in re.findall(r"([a-z][a-z ]*)=(\d+)", closing.group(2) or "")}
    bad, skipped = counts.get("failures", 0) + counts.get("errors", 0), counts.get("skipped", 0)
    reasons = re.findall(r"\.\.\. skipped ['\"](.*)['\"]$", output, re.M)
    failures = re.findall(r"^(?:FAIL|ERROR): (\S+)", output, re.M)
    cases = [(f"{name}: {failures[i] if i < len(failures) else 'a test'}", "failed", "") for i in range(bad)]
    cases += [(name, "skipped", reasons[i] if i < len(reasons) else "") for i in range(skipped)]
    return cases + [(name, "passed", "")] * max(0, int(closing.group(1)) - bad - skipped)


def tap_cases(name, output):
    """Cases of a run of node's test runner, or None if its output has no closing lines."""
    counts = {key: int(number) for key, number in re.findall(r"^# (pass|fail|cancelled|skipped|todo) (\d+)$", output, re.M)}
    if "pass" not in counts:
        return None
    failures = re.findall(r"^\s*not ok \d+ - (.*)$", output, re.M)
    bad = counts.get("fail", 0) + counts.get("cancelled", 0)
    skipped = counts.get("skipped", 0) + counts.get("todo", 0)
    cases = [(f"{name}: {failures[i] if i < len(failures) else 'a test'}", "failed", "") for i in range(bad)]
    reasons = re.findall(r"^\s*ok \d+ - .* # (?:SKIP|TODO) ?(.*)$", output, re.M)
    cases += [(name, "skipped", reasons[i] if i < len(reasons) else "") for i in range(skipped)]
    return cases + [(name, "passed", "")] * counts["pass"]


def ctest_cases(folder):
    file = folder / "ctest.xml"
    if not file.exists():
        yield "nothing ran: the build failed or ctest did", "failed", ""
        return
    for case in ElementTree.parse(file).iter("testcase"):
        status = case.get("status")
        output = case.findtext("system-out") or ""
        is_gtest = "[==========] Running" in output
        counted = None if is_gtest else unittest_cases(case.get("name"), output) or tap_cases(case.get("name"), output)
        # A failure of the whole program that its closing lines do not show (a time-out in clean-up, say) still counts.
        if counted is not None and (status == "run" or any(result == "failed" for _, result, _ in counted)):
            yield from counted
        elif status == "fail":
            if not is_gtest or " ran. (" not in output:  # died, or ran out of time: there is no file of its cases
                yield case.get("name"), "failed", ""
        elif status == "run":
            if not is_gtest:
                yield case.get("name"), "passed", ""
        else:
            reason = case.find("skipped")
            message = (reason.get("message") if reason is not None else "") or status or ""
            by_itself = status == "disabled" or message.startswith("SKIP_")
            yield case.get("name"), "skipped" if by_itself else "failed", message


def main(results):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for folder in sorted(path for path in pathlib.Path(results).iterdir() if path.is_dir()):
        for name, result, reason in [*gtest_cases(folder), *ctest_cases(folder)]:
            count[result] += 1
            if result != "passed":
                print(f"{result}: {folder.name}: {name}{': ' + reason if reason else ''}")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


sys.exit(main(sys.argv[1]))
