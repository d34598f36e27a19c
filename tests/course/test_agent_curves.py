"""Agents in lessons: whatever the shipped table holds is drawn and printed, with as many seeds as there are."""

from matplotlib.figure import Figure

from polygrad_edu.course.agent_curves import agent_evaluations, draw_agents, print_agents


def rows(preset, env_id, returns):
    return [
        {"preset": preset, "env_id": env_id, "seed": str(seed), "env_step": str(step), "eval_return": str(value)}
        for seed, of_seed in enumerate(returns)
        for step, value in zip((5_000, 10_000), of_seed, strict=False)
    ]


HOPPERS = rows("hopper-pathwise", "Hopper-v5", [(100, 1000), (300,)])


def test_the_shipped_table_is_drawn_a_line_for_each_seed():
    shipped, figure = agent_evaluations(), Figure()
    draw_agents(shipped, figure)
    shown = {axes.get_title(): axes for axes in figure.axes if axes.axison}
    assert set(shown) == {row["env_id"].removeprefix("polygrad_edu/") for row in shipped}
    for task, axes in shown.items():
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        runs = {
            (row["preset"].endswith(", before"), row["seed"])
            for row in shipped
            if row["env_id"].removeprefix("polygrad_edu/") == task
        }
        assert sorted(names) == sorted(f"{'before, ' if before else ''}seed {seed}" for before, seed in runs)


def test_tasks_that_others_published_stand_first():
    figure = Figure()
    draw_agents([row for task in ("Reacher-v5", "Hopper-v5") for row in rows("some-preset", task, [(1, 2)])], figure)
    assert [axes.get_title() for axes in figure.axes] == ["Hopper-v5", "Reacher-v5"]


def test_presets_of_one_task_are_named():
    figure = Figure()
    draw_agents(HOPPERS + rows("hopper-cpu", "Hopper-v5", [(50, 60)]), figure)
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["hopper-pathwise, seed 0", "hopper-pathwise, seed 1", "hopper-cpu, seed 0"]


def test_a_fourth_task_begins_a_second_row():
    tasks = ["Hopper-v5", "Walker2d-v5", "HalfCheetah-v5", "Reacher-v5"]
    figure = Figure()
    draw_agents([row for task in tasks for row in rows("some-preset", task, [(1, 2)])], figure)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == tasks
    assert [axes.get_subplotspec().rowspan.start for axes in shown] == [0, 0, 0, 1]
    assert [axes.get_ylabel() for axes in shown] == ["return at that step", "", "", "return at that step"]


def test_more_seeds_are_averaged_and_counted(capsys):
    print_agents(HOPPERS, steps=(5_000, 10_000))
    first, second = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert first == ["hopper-pathwise", "5,000", "200", "2", "100", "300", "449", "MACURA"]  # over two seeds
    assert second == ["hopper-pathwise", "10,000", "1,000", "1", "1,000", "1,000", "623", "MACURA"]  # one got so far


def test_a_task_without_published_returns_is_told_so(capsys):
    print_agents(rows("humanoid-pathwise", "Nothing-v5", [(7,)]), steps=(5_000,))
    assert capsys.readouterr().out.splitlines()[1].split() == ["humanoid-pathwise", "5,000", "7", "1", "7", "7", "-"]


def test_one_preset_on_two_tasks_is_not_averaged(capsys):
    print_agents(rows("ant-pathwise", "Ant-v5", [(5,)]) + rows("ant-pathwise", "Nothing-v5", [(7,)]), steps=(5_000,))
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["5", "7"]


def test_a_table_that_is_not_there_has_no_rows(tmp_path):
    assert agent_evaluations(tmp_path / "none.csv") == []
