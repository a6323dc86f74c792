"""What watching a training keeps in memory, told by what is imported."""

from tests.test_house_startup import imported_by

LATE = {"jinja2", "pandas", "rich", "scipy", "sklearn"}
LOOP = """
import torch, trainwell
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with trainwell.watch(model, optimizer) as w:
    for _ in range(3):
        loss = model(torch.ones(4, 2)).square().mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        w.step(loss)
found = w.findings
"""


def test_watching_and_judging_import_none_of_the_libraries_of_pages_and_baselines() -> None:
    assert imported_by(LOOP) & LATE == set()


def test_they_are_imported_when_a_page_is_asked_for() -> None:
    assert "jinja2" in imported_by(f"{LOOP}\nimport os, tempfile\nw.report(os.path.join(tempfile.mkdtemp(), 'r.html'))")
