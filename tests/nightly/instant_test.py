"""An old capture with 100 clones, 25 at once, instead of 10: 100 values of everything that must differ, no frame of the source's, the time of now."""
import os
import pathlib
import sys
import unittest

os.environ.setdefault("RAMET_CLONES", "100")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import instant_life_test  # noqa: E402


class Old(instant_life_test.Life):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        instant_life_test.AT_ONCE = 25  # a hundred idle guests keep two processors busy by their timers alone, under TCG
        for category, name in (("host", "cpu.overProvisioning.ratio"), ("mevoco", "overProvisioning.memory")):
            cls.api.put(f"/global-configurations/{category}/{name}/actions", {"updateGlobalConfig": {"value": "100"}})

    test_five_generations_go_on_from_each_other_and_go_in_any_order = test_volumes_snapshots_and_clones_of_a_clone = None


if __name__ == "__main__":
    unittest.main(verbosity=2)
