"""A capture whose QEMU says nothing for the minute that its stream is given ends with an error, and the source goes on as soon as it can."""
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import hung_test  # noqa: E402


class Silent(hung_test.Hung):
    test_a_cancel_while_the_agent_of_a_source_is_silent = test_a_cancel_while_the_qemu_of_a_source_hangs = None
    test_the_doctor_tells_of_a_vm_whose_qemu_hangs = test_a_cancel_in_the_middle_of_a_capture_leaves_no_source_that_stands = None
    test_a_source_that_a_capture_stopped_goes_on_after_a_restart_too = None

    def test_a_source_that_hangs_until_its_capture_gives_up_goes_on(self):
        with self.hung_at("qemu.memory.cut", lambda: self.start(memory=True)) as job:
            end = time.monotonic() + 120
            while self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] == 202:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.1)
            self.assertIn("ramet doctor", json.dumps(self.api.get("/jobs/" + job)))
        self.goes_on_soon()
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()


if __name__ == "__main__":
    unittest.main(verbosity=2)
