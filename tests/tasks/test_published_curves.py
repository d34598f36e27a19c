from polygrad_edu.tasks.published_curves import best_published, published_curves


def test_published_curves_belong_to_a_task_and_stop_where_asked():
    curves = published_curves("Hopper-v5", 20_000)
    assert {point.mean for point in curves["DHMBPO"]} == {164, 595, 2101}
    assert all(point.env_steps <= 20_000 for points in curves.values() for point in points)
    for points in published_curves("Walker2d-v4").values():
        assert [point.env_steps for point in points] == sorted({point.env_steps for point in points})
        assert {point.task for point in points} == {"Walker2d"}
    assert published_curves("Pendulum-v1") == published_curves("polygrad_edu/Ant-ET-v0") == {}


def test_the_best_published_mean_is_of_exactly_that_step():
    best = best_published("Hopper-v5", 20_000)
    assert best.mean == max(point.mean for point in published_curves("Hopper-v5", 20_000)[best.method])
    assert (best.method, best.env_steps, round(best.mean)) == ("MACURA", 20_000, 2142)
    assert best_published("Hopper-v5", 20_001) is None
    assert best_published("Pendulum-v1", 20_000) is None
