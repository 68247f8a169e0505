# SPDX-License-Identifier: Apache-2.0
import pytest

import support


def pytest_configure(config):
    config.addinivalue_line("markers", "only(ARCH): the test is about a device or an instruction of this architecture")
    unknown = set(support.CHOSEN) - support.ARCHS.keys()
    if unknown:
        raise pytest.UsageError(f"AXVM_ARCHS: no such architecture: {' '.join(unknown)}")


def pytest_generate_tests(metafunc):
    """A test that takes `arch` and doesn't say which runs for each."""
    said = any("arch" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "arch" in metafunc.fixturenames and not said:
        only = metafunc.definition.get_closest_marker("only")
        names = only.args if only else support.ARCHS
        metafunc.parametrize("arch", [support.ARCHS[name] for name in names], ids=names)


def pytest_collection_modifyitems(config, items):
    """Of those that run for an architecture, keep what was chosen."""
    def chosen(item):
        arch = item.callspec.params.get("arch") if hasattr(item, "callspec") else None
        return not isinstance(arch, support.Arch) or arch.name in support.CHOSEN

    config.hook.pytest_deselected(items=[item for item in items if not chosen(item)])
    items[:] = [item for item in items if chosen(item)]


@pytest.fixture
def start(request):
    """
    Start machines, which end with the test: start(*FILES, smp=N, memory=M, axvm_args=[...], qemu_args=[...]) or
    start.command([...]).
    """
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
