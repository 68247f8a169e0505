# SPDX-License-Identifier: Apache-2.0
import pytest

import support


@pytest.fixture
def start(request):
    """Start machines, which end with the test: start(*FILES, smp=N, memory=M, qemu_args=[...]) or start.command([...])."""
    machines = request.node.machines = []

    def start_command(command):
        machines.append(support.Machine(command))
        return machines[-1]

    def start_files(*files, **options):
        return start_command(support.run_command(files, **options))

    start_files.command = start_command
    yield start_files
    for machine in machines:
        machine.end()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What a failed test's machines said is in the report."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for machine in getattr(item, "machines", []):
            report.sections.append(("console", machine.log))
