import subprocess
import sys


def test_the_api_pays_for_neither_dbos_nor_alembic_at_its_start() -> None:
    program = (
        "import sys; from store import artifacts, attempts, database, moves, queue, searches;"
        "print(*{'torch', 'fastapi', 'dbos', 'alembic', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
