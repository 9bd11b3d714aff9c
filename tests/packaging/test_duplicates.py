"""tools/duplicates.py: copied code is found, similar-looking code is not."""

from __future__ import annotations

from tools.duplicates import code_lines, duplicates

BODY = "".join(f"    step_{number}(value)\n" for number in range(8))
FLAT = BODY.replace("    ", "")


def found(*sources: str) -> list[str]:
    files = [code_lines(f"{'abc'[index]}.py", source) for index, source in enumerate(sources)]
    return [str(duplicate) for duplicate in duplicates(files)]


def test_eight_equal_lines_in_two_files_are_reported_once_with_both_places():
    assert found(f"def one(value):\n{BODY}", f"x = 1\ndef two(value):\n{BODY}") == [
        "a.py:2 and b.py:3: 8 equal lines; give them one home"
    ]


def test_seven_equal_lines_are_silent():
    assert found(f"def one(value):\n{BODY}", f"def two(value):\n{BODY.replace('step_3', 'stride')}") == []


def test_a_long_copy_is_one_report():
    assert len(found(f"{FLAT * 3}last()\n", f"{FLAT * 3}other()\n")) == 1


def test_blank_lines_and_comments_do_not_hide_a_copy():
    assert len(found(FLAT, FLAT.replace("\n", "  # why\n\n"))) == 1


def test_equal_imports_are_silent():
    imports = "".join(f"from warpgauge.core import part_{number}\n" for number in range(12))
    names = "".join(f"    name_{number},\n" for number in range(12))
    together = f"{imports}from warpgauge.core import (\n{names})\n"
    assert found(together, together) == []


def test_a_repetition_inside_one_file_is_silent():
    assert found(FLAT + FLAT) == []
